"""The model card of a shared IPT, from its run's `provenance.json` and `metrics.csv`. Imports no torch."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any

HEAD = """---
library_name: ipt_models
pipeline_tag: image-to-image
tags: [image-restoration, ipt, {tags}]
---

# {name}

An Image Processing Transformer (Chen et al., CVPR 2021) for {tasks}: {parameters:,} parameters, patches of {size}×{size}.

```python
import ipt_models

model = ipt_models.IPT.from_pretrained("{source}")
restored = ipt_models.restore(model, image, "{task}")  # image: float RGB in [0, 1], (1, 3, H, W)
```
"""
SCORED = {"psnr_y": ("PSNR (Y)", 2), "ssim_y": ("SSIM (Y)", 4), "psnr_rgb": ("PSNR (RGB)", 2)}
KINDS = {"sr": "super-resolution", "dn": "denoising", "dr": "deraining"}


def model_card(
    tasks: Sequence[str],
    config: Mapping[str, Any],
    parameters: int,
    weights_sha256: str,
    name: str | None = None,
    provenance: str | PathLike[str] | Mapping[str, Any] | None = None,
    scores: str | PathLike[str] | None = None,
    source: str = "path/to/this/folder",
) -> str:
    """Markdown with Hugging Face's front matter.

    Args:
        tasks: of the network.
        config: its arguments.
        parameters: their number.
        weights_sha256: hash of the weights, as in the header of `model.safetensors`.
        name: of the model; None: its run's name, or `ipt`.
        provenance: a run's `provenance.json`, or its content.
        scores: a run's `metrics.csv`.
        source: where it is loaded from: its repository on Hugging Face, or its folder.
    """
    if provenance is not None and not isinstance(provenance, Mapping):
        provenance = _record(Path(provenance))
    facts: Mapping[str, Any] = provenance or {}
    kinds = dict.fromkeys(KINDS[task[:2]] for task in tasks)
    text = HEAD.format(
        tags=", ".join(kinds),
        name=name or facts.get("run", "ipt"),
        source=source,
        tasks=", ".join(tasks),
        parameters=parameters,
        size=config["patch_size"],
        task=tasks[0],
    )
    if scores is not None:
        text += "\n## Scores\n\n" + _score_table(Path(scores))
    text += "\n## Training\n\n" + _training(facts)
    network = {**config, "weights_sha256": weights_sha256}
    return text + "\n## Network\n\n" + "".join(f"- `{key}`: {value}\n" for key, value in network.items())


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path}: holds no JSON object")
    return record


def _score_table(path: Path) -> str:
    try:
        return _means(path)
    except KeyError as error:
        raise ValueError(f"{path}: lacks the column {error}") from None
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: is not a table of scores: {error}") from None


def _means(path: Path) -> str:
    """Means over images, and their number, without exactly restored ones, whose PSNR is infinite."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["dataset"], row.get("setting") or "plain"), []).append(row)
    shown = [key for key in SCORED if any(row.get(key) for row in rows)]
    lines = [["task", "set", "setting", "images", *(SCORED[key][0] for key in shown)]]
    for group, members in groups.items():
        members = [row for row in members if all(math.isfinite(float(row[key] or 0)) for key in shown)]
        means = []
        for key in shown:
            values = [float(row[key]) for row in members if row[key]]
            means.append(f"{fmean(values):.{SCORED[key][1]}f}" if values else "–")
        lines.append([*group, str(len(members)), *means])
    lines.insert(1, ["---"] * 4 + ["---:"] * len(shown))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _training(facts: Mapping[str, Any]) -> str:
    if not facts:
        return "Not stated.\n"
    training, config = facts.get("training", {}), facts.get("config", {})
    facts = {
        "steps": training.get("steps"),
        "batch size": training.get("batch_size"),
        "training images": training.get("images"),
        "patches seen": training.get("patches"),
        "distinct patches": training.get("distinct_patches"),
        "learning rate": config.get("training", {}).get("learning_rate"),
        "contrastive loss": config.get("contrastive"),
        "fraction of the images": facts.get("fraction"),
        "seed": facts.get("seed"),
        "experiment": facts.get("experiment"),
        "commit": facts.get("commit"),
        "code": facts.get("code"),
    }
    return "".join(f"- {key}: {value}\n" for key, value in facts.items() if value is not None)
