"""What a finished run leaves: `model.safetensors`, `train.csv` and, last, `provenance.json`."""

import csv
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ipt_models.files import replacing
from workflows import models, provenance
from workflows.config.grid import Run
from workflows.training.history import History


def write_results(
    run: Run,
    digest: str,
    network: nn.Module,
    history: History,
    tables: tuple[Path, ...],
    output: Path,
    images: int,
    precision: str,
    cpu_seconds: float,
    macs: dict[str, float],
    interpolation: dict[str, float],
    started_from: dict[str, str] | None,
) -> None:
    """Write them, each whole or not at all.

    Args:
        run: the run that is complete.
        digest: of the run and of the weights that it started from.
        network: the weights to score: of the last step, or their average.
        history: what was done.
        tables: the files that say which images were used.
        output: folder to write into.
        images: number of training images.
        precision: what was computed in.
        cpu_seconds: processor time of all its processes, in core-seconds.
        macs: multiply-adds a pixel of each task's output.
        interpolation: interpolation's L1 on the fixed crops of training and of held-out images.
        started_from: path and hash of the weights that the run started from, if not from fresh ones.
    """
    output.mkdir(parents=True, exist_ok=True)
    header = {**run.model_dump(mode="json", include={"experiment", "model", "fraction", "seed"}), "run": run.name}
    models.save(network, output / "model.safetensors", {**header, "digest": digest})
    write_log(history.log, output / "train.csv")
    patches = history.seen.total()
    record = provenance.record(
        data=tables,
        **header,
        variant=run.variant,
        tasks=run.tasks,
        digest=digest,
        init=started_from,
        config=run.model_dump(mode="json"),
        training={
            "steps": history.step,
            "batch_size": run.training.batch_size,
            "patch_size": run.training.patch_size,
            "patches": patches,
            "patches_by_task": dict(history.seen),
            "images": images,
            "crops_per_image": patches / images,
            "interpolation_l1": interpolation,
            "negatives": None if run.group_size is None else run.group_size - 1,
            "weights": "last step" if run.training.ema is None else f"average of decay {run.training.ema}, last step",
            "precision": precision,
            "computed_on": history.computed_on,
            "wall_seconds": history.log[-1]["seconds"],
            "cpu_seconds": round(cpu_seconds, 2),
        },
        parameters=sum(p.numel() for p in network.parameters()),
        macs_per_output_pixel=macs,
        threads=torch.get_num_threads(),
        weights_sha256=provenance.sha256(output / "model.safetensors"),
    )
    provenance.write_json(record, output / "provenance.json")


def write_log(rows: list[dict[str, Any]], path: Path) -> None:
    """Write train.csv atomically."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
