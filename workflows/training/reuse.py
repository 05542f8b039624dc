"""Copies a finished run of the same training from another experiment instead of training again. Imports no torch.

Two runs are the same training when a repeat would give the same weights: equal digests (everything in the config that
weights depend on; a length in epochs or patches is the same as that many steps), equal tables of training and validation
images, equal weights to start from, equal code, equal versions of the packages, batches divided alike. Machines may differ,
as they may within one experiment; the copy's provenance keeps the original's hardware, commit and hours, and names the
original under `reused_from`.

A run's own results have a second link in the folder of its checkpoints, because an interrupted Snakemake deletes the outputs
of a training that has just finished.
"""

import csv
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ipt_models.files import replacing
from workflows import models, provenance
from workflows.config.runs import Run
from workflows.config.schema import Budget
from workflows.files import write_text

SAME = ("data", "init", "code", "versions", "devices")  # besides the digest
CODE = "workflows.training.loop"  # what trains
RESULTS = ("model.safetensors", "train.csv", "provenance.json")  # provenance last: it marks a run as finished
KEPT = "finished"
ANSWER = ".answer-"  # to `agreed`, with the name of the Slurm step
PATIENCE = 600  # seconds that other tasks wait for the answer


def find(
    run: Run,
    tables: tuple[Path, ...],
    results: Path | None,
    output: Path,
    init: Path | None = None,
    resume: Path | None = None,
) -> Path | None:
    """The folder of a finished run of the same training, or None.

    Prints a line, with the reason, for each run of equal config that cannot be reused.

    Args:
        run: the run to train.
        tables: its tables of training and validation images.
        results: folder of experiments, searched as `<experiment>/runs/<run>/`; None: do not search other runs.
        output: the run's own folder, which is not searched.
        init: the checkpoint that the run starts from.
        resume: folder of its checkpoints, where `keep` may have left its own results.
    """
    wanted: dict[str, Any] | None = None
    steps: int | None = None
    for folder, record in _finished(results, output, resume):
        steps = steps or _steps(run, tables[0])
        if not (run.is_recorded_in(record) or _is_as_long(record, run, steps)):
            continue
        wanted = wanted or {
            "data": {path.name: provenance.sha256(path) for path in tables},
            "init": models.weights_sha256(init) if init else None,
            "code": models.code(CODE, run.variant, run.kwargs),
            "versions": provenance.versions(),
            "devices": [run.training.division],
        }
        other = {**record, "init": (record.get("init") or {}).get("weights_sha256")}
        other["devices"] = record.get("training", {}).get("computed_on")
        if folder.name != KEPT and len(record.get("training", {}).get("made_by", ())) > 1:
            other["code"] = None  # its steps are not all of one version
        if differs := [key for key in SAME if other.get(key) != wanted[key]]:
            print(
                f"{run.name}: {folder} has the same config but different {' and '.join(differs)}: not reused",
                flush=True,
            )
        elif record["training"].get("diverged"):
            print(f"{run.name}: {folder} is the same training, as a trial that diverged: not reused", flush=True)
        elif not _is_whole(folder, record):
            print(f"{run.name}: {folder} is the same training, but its files are missing or changed", flush=True)
        else:
            return folder
    return None


def is_first_task() -> bool:
    """Whether this process is the only or first task of its Slurm step; True outside Slurm."""
    return os.environ.get("SLURM_PROCID", "0") == "0"


def agreed(search: Callable[[], Path | None], resume: Path) -> Path | None:
    """The search's result in the first task of a Slurm step, for all tasks.

    If each task searched, one might find a run that has just finished and copy it, while the others wait for it to train.

    Args:
        search: finds a finished run; only the first task calls it.
        resume: a folder that all tasks see; the answer is written there, under the name of the step.

    Raises:
        OSError: if the first task gives no answer.
    """
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) <= 1:
        return search()
    step = "-".join(os.environ.get(f"SLURM_{part}", "0") for part in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    answer = resume / f"{ANSWER}{step}"
    if is_first_task():
        resume.mkdir(parents=True, exist_ok=True)
        for earlier in resume.glob(f"{ANSWER}*"):
            earlier.unlink(missing_ok=True)
        source = search()
        write_text("" if source is None else str(source), answer)
        return source
    patience = time.monotonic() + PATIENCE
    while not answer.exists():
        if time.monotonic() > patience:
            raise OSError(f"{answer}: the first task of this Slurm step did not say whether to train, in {PATIENCE} s")
        time.sleep(0.1)
    text = answer.read_text(encoding="utf-8")
    return Path(text) if text else None


def is_finished(folder: Path, run: Run) -> bool:
    """Whether a folder holds the finished training of a run."""
    try:
        record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    return run.is_recorded_in(record) and (folder / "model.safetensors").is_file()


def keep(output: Path, resume: Path) -> None:
    """Give a finished run's results a second link in place of its checkpoints.

    The Snakefile removes it when the workflow has succeeded.
    """
    kept = resume / KEPT
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in RESULTS:
        _link(output / name, kept / name)
    for checkpoint in resume.glob("*step-*"):
        checkpoint.unlink()


def take(source: Path, run: Run, output: Path, init: Path | None = None) -> None:
    """Copy a finished run's results to another run: weights, train.csv and, last, provenance.json.

    The weights' header and the provenance get the run's own names, so that the files equal those of a training here.
    """
    record = json.loads((source / "provenance.json").read_text(encoding="utf-8"))
    output.mkdir(parents=True, exist_ok=True)
    if source.name == KEPT and run.is_recorded_in(record):
        for name in RESULTS:
            _link(source / name, output / name)
        return
    # The text after the digest names the weights that it started from.
    digest = run.digest + "".join(record["digest"].partition("-")[1:])
    names = {
        **run.model_dump(mode="json", include={"experiment", "model", "fraction", "seed"}),
        "run": run.name,
        "digest": digest,
    }
    models.copy(source / "model.safetensors", output / "model.safetensors", names)
    with replacing(output / "train.csv") as temporary:
        shutil.copyfile(source / "train.csv", temporary)
    record = {
        **record,
        **names,
        "config": run.model_dump(mode="json"),
        "init": models.origin(init) if init else None,
        "weights_sha256": provenance.sha256(output / "model.safetensors"),
        "reused_from": record.get("reused_from") or {key: record[key] for key in ("experiment", "run")},
    }
    provenance.write_json(record, output / "provenance.json")


def _link(source: Path, path: Path) -> None:
    """A hard link to a file, or a copy if the disk has no links."""
    with replacing(path) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _finished(results: Path | None, output: Path, resume: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    own = [] if resume is None else [resume / KEPT / "provenance.json"]
    others = [] if results is None else sorted(results.glob("*/runs/*/provenance.json"))
    for path in (*own, *others):
        if path.parent.resolve() == output.resolve():
            continue
        try:
            yield path.parent, json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue  # removed or replaced meanwhile


def _is_whole(folder: Path, record: dict[str, Any]) -> bool:
    weights = folder / "model.safetensors"
    return (
        (folder / "train.csv").is_file()
        and weights.is_file()
        and provenance.sha256(weights) == record.get("weights_sha256")
    )


def _is_as_long(record: dict[str, Any], run: Run, steps: int) -> bool:
    """Whether it is the same training with its length in another unit."""
    if record.get("training", {}).get("steps") != steps:
        return False
    try:
        other = Run.model_validate(record.get("config"))
        return _of_steps(other, steps).digest == _of_steps(run, steps).digest
    except ValueError:  # an earlier version's, or its network's file is gone
        return False


def _of_steps(run: Run, steps: int) -> Run:
    return run.model_copy(update={"training": run.training.model_copy(update={"budget": Budget(steps=steps)})})


def _steps(run: Run, table: Path) -> int:
    with open(table, newline="", encoding="utf-8") as file:
        images = sum(1 for _ in csv.reader(file)) - 1
    return run.training.budget.resolve_steps(images, run.training.batch_size, run.data.epoch_crops)
