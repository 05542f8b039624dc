"""A finished run of the same training, found in another experiment, is copied instead of trained again. No torch here.

Two runs are the same training when a repeat would give the same weights: equal digests (everything in the config that
weights depend on; a length in epochs or patches is the same as that many steps), equal tables of training and validation
images, equal weights to start from, equal code, equal versions of the packages, batches divided alike. Machines may differ,
as they may within one experiment; the copy's provenance keeps its origin's hardware, commit and hours, and names the origin
under `reused_from`.
"""

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ipt_models.files import replacing
from workflows import models, provenance
from workflows.config.grid import Run
from workflows.config.schema import Budget

SAME = ("data", "init", "code", "versions", "devices")  # beside the digest


def find(run: Run, tables: tuple[Path, ...], results: Path, output: Path, init: Path | None = None) -> Path | None:
    """The folder of a finished run of the same training, or None.

    Prints a line for each run of equal config that cannot be taken, with the reason.

    Args:
        run: the run that is wanted.
        tables: its tables of training and validation images.
        results: folder of experiments, searched as `<experiment>/runs/<run>/`.
        output: the run's own folder, which is not searched.
        init: the checkpoint that the run starts from.
    """
    wanted: dict[str, Any] | None = None
    steps: int | None = None
    for folder, found in _finished(results, output):
        steps = steps or _steps(run, tables[0])
        if not (_is_of(found, run) or _is_as_long(found, run, steps)):
            continue
        wanted = wanted or {
            "data": {path.name: provenance.sha256(path) for path in tables},
            "init": models.weights_sha256(init) if init else None,
            "code": provenance.code(),
            "versions": provenance.versions(),
            "devices": [run.training.division],
        }
        theirs = {**found, "init": (found.get("init") or {}).get("weights_sha256")}
        theirs["devices"] = found.get("training", {}).get("computed_on")
        if differs := [key for key in SAME if theirs.get(key) != wanted[key]]:
            print(f"{run.name}: {folder} is of equal config but other {' and '.join(differs)}: not taken", flush=True)
        elif not _is_whole(folder, found):
            print(f"{run.name}: {folder} is the same training, but its files are missing or changed", flush=True)
        else:
            return folder
    return None


def is_finished(folder: Path, run: Run) -> bool:
    """Whether a folder holds the finished training of a run."""
    try:
        found = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    return _is_of(found, run) and (folder / "model.safetensors").is_file()


def take(origin: Path, run: Run, output: Path, init: Path | None = None) -> None:
    """Copy a finished run under another run's name: weights, train.csv and, last, provenance.json.

    The weights' header and the provenance get the run's own names, so that the files equal those of a training here.
    """
    found = json.loads((origin / "provenance.json").read_text(encoding="utf-8"))
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return  # another process of this job copies
    output.mkdir(parents=True, exist_ok=True)
    # What follows the digest names the weights that it started from.
    digest = run.digest + "".join(found["digest"].partition("-")[1:])
    names = {
        **run.model_dump(mode="json", include={"experiment", "model", "fraction", "seed"}),
        "run": run.name,
        "digest": digest,
    }
    models.copy(origin / "model.safetensors", output / "model.safetensors", names)
    with replacing(output / "train.csv") as temporary:
        shutil.copyfile(origin / "train.csv", temporary)
    record = {
        **found,
        **names,
        "config": run.model_dump(mode="json"),
        "init": models.origin(init) if init else None,
        "weights_sha256": provenance.sha256(output / "model.safetensors"),
        "reused_from": found.get("reused_from") or {key: found[key] for key in ("experiment", "run")},
    }
    provenance.write_json(record, output / "provenance.json")


def _finished(results: Path, output: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(results.glob("*/runs/*/provenance.json")):
        if path.parent.resolve() == output.resolve():
            continue
        try:
            yield path.parent, json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue  # removed or replaced while this looks


def _is_whole(folder: Path, found: dict[str, Any]) -> bool:
    weights = folder / "model.safetensors"
    return (
        (folder / "train.csv").is_file()
        and weights.is_file()
        and provenance.sha256(weights) == found.get("weights_sha256")
    )


def _is_of(found: dict[str, Any], run: Run) -> bool:
    return str(found.get("digest")).split("-")[0] == run.digest


def _is_as_long(found: dict[str, Any], run: Run, steps: int) -> bool:
    """Whether it is the same training, told another way how long it should be."""
    if found.get("training", {}).get("steps") != steps:
        return False
    try:
        other = Run.model_validate(found.get("config"))
    except ValidationError:  # an earlier version's
        return False
    return _of_steps(other, steps).digest == _of_steps(run, steps).digest


def _of_steps(run: Run, steps: int) -> Run:
    return run.model_copy(update={"training": run.training.model_copy(update={"budget": Budget(steps=steps)})})


def _steps(run: Run, table: Path) -> int:
    with open(table, newline="", encoding="utf-8") as file:
        images = sum(1 for _ in csv.reader(file)) - 1
    return run.training.budget.resolve_steps(images, run.training.batch_size, run.data.epoch_crops)
