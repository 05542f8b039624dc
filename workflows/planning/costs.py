"""Estimates of an experiment's cost, and the state of its runs.

Training only, without scoring and reporting. FLOPs are 2 × multiply-adds of convolutions and matrix products, times three for
each patch (the backward pass costs twice the forward pass). The contrastive loss's FLOPs are not counted; its time is.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from workflows.config.experiment import Experiment
from workflows.config.runs import Run
from workflows.config.schema import FINETUNED
from workflows.data.fractions import count_of
from workflows.data.manifest import read_table
from workflows.peak_rates import PEAKS, peak_of
from workflows.planning.throughput import recipe_of
from workflows.training import reuse

COPIES = 3  # copies of the weights in a checkpoint: the weights and Adam's two moments; a moving average adds one
KEPT = 2  # checkpoints of a running training
COLUMNS = [
    "run",
    "stage",
    "model",
    "fraction",
    "seed",
    "state",
    "images",
    "steps",
    "patches",
    "flops",
    "patches_per_second",
    "measured",
    "tflops_per_second",
    "mfu",
    "hours",
    "weights_mb",
    "checkpoints_mb",
    "threads",
]
FLOATS = ("flops", "patches_per_second", "tflops_per_second", "mfu", "hours")
FASTEST = 1e12 * max(peak.bf16 for peak in PEAKS.values())  # FLOP/s
DONE, REUSED, TO_DO = "done", "to be copied", "to do"


def plan(experiment: Experiment, given: dict[str, float], measured: Callable[[Run], float | None]) -> pd.DataFrame:
    """One row per run; learning-rate trials come last.

    Columns: `run`, `stage` (`training`, `fine-tuning` or `trials` of learning rates), `model`, `fraction`, `seed`, `state`
    (`done`, `to be copied` from another experiment, `to do`), `images`, `steps`, `patches` and `flops` (of the whole run,
    even if it is done; missing if they depend on an unknown number of images), `patches_per_second`, `measured` (or given),
    `tflops_per_second`, `mfu` (the fraction of the GPU's stated peak; only for measured speeds), `hours` (of the
    run on this device), `weights_mb`, `checkpoints_mb` (while it trains), `threads` (of all its processes).

    Args:
        given: patches per second by model.
        measured: called for models that are not in `given`, once for runs of equal speed.

    Raises:
        ValueError: if a given rate is beyond any GPU.
    """
    images = {source: training_images(experiment, source) for source in experiment.sources}
    shapes: dict[str, tuple[float, float]] = {}
    speeds: dict[str, float | None] = {}
    trials, rows = experiment.trials(), []
    for run in experiment.trainings().values():
        key = recipe_of(run)
        if key not in shapes:
            shapes[key] = flops_per_patch(run), weights_mb(run)
        flops, size = shapes[key]
        count = images[run.source] and count_of(run.subset_fraction, images[run.source])
        steps = _steps(run, count)
        patches = None if steps is None else steps * run.training.batch_size
        state = _state(experiment, run)
        speed = given.get(run.model.removesuffix(FINETUNED) if run.finetuned else run.model)
        if speed is None and state == TO_DO and key not in speeds:
            speeds[key] = measured(run)
        rate = speed or speeds.get(key)
        row = {"run": run.name, "stage": _stage(run, trials), "model": run.model}
        row |= {"fraction": run.fraction, "seed": run.seed, "state": state, "images": count, "steps": steps}
        row |= {"patches": patches, "flops": patches and patches * flops, "patches_per_second": rate}
        if speed and speed * flops > FASTEST * run.training.processes:
            raise ValueError(
                f"{run.model}: {speed:g} patches/s are {speed * flops / 1e12:,.0f} TFLOP/s, more than the peak of "
                f"{run.training.processes} of the fastest listed GPUs ({FASTEST / 1e12:,.0f} each); rates are per second of a run"
            )
        row |= {"measured": None if rate is None else speed is None} | _pace(run, rate, flops, speed is None)
        row |= {"hours": patches / rate / 3600 if patches and rate else None}
        copies = COPIES + (run.training.ema is not None)
        row |= {"weights_mb": size, "checkpoints_mb": KEPT * copies * size}
        rows.append(row | {"threads": run.training.threads * run.training.processes})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(("images", "steps", "patches"), "Int64") | dict.fromkeys(FLOATS, float))


def flops_per_patch(run: Run) -> float:
    """Floating-point operations of training on one patch, the mean over the run's tasks."""
    from workflows import models
    from workflows.training.history import training_flops

    macs = models.macs_per_output_pixel(run.variant, run.tasks, **run.kwargs)
    return sum(training_flops(macs, run.training.patch_size).values()) / len(run.tasks)


def _pace(run: Run, rate: float | None, flops: float, measured: bool) -> dict[str, float | None]:
    if rate is None:
        return {"tflops_per_second": None, "mfu": None}
    peak = _peak(run) if measured else None
    return {"tflops_per_second": rate * flops / 1e12, "mfu": rate * flops / peak if peak else None}


def _peak(run: Run) -> float | None:
    """Peak FLOP/s of the GPUs that a run trains on; None on a CPU and for an unknown GPU."""
    import torch

    from workflows.training.devices import choose_precision

    recipe = run.training
    if recipe.accelerator == "cpu" or not torch.cuda.is_available():
        return None
    precision = choose_precision(recipe.precision, recipe.accelerator).precision
    peak = peak_of(torch.device("cuda"), precision, recipe.matmul_precision)
    return peak and peak * recipe.processes


def weights_mb(run: Run) -> float:
    """Size of a run's model.safetensors in MB."""
    from baselines.cost import build_shape
    from ipt_models.variants import VARIANTS as IPTS
    from workflows import models

    several = run.variant in IPTS and len(run.tasks) > 1
    shape = (
        models.build(run.variant, run.tasks, **run.kwargs)
        if several
        else build_shape(run.variant, run.tasks[0], **run.kwargs)
    )
    return sum(tensor.numel() * tensor.element_size() for tensor in shape.state_dict().values()) / 1e6


def training_images(experiment: Experiment, source: str = "data") -> int | None:
    """Number of training images of a stage: from its manifest, or from the config if images are drawn; else None."""
    data, folder = experiment.sources[source], experiment.folder / source
    if (folder / "manifest.csv").is_file():
        return len(read_table(folder / "manifest.csv")) - len(read_table(folder / "validation.csv"))
    if data.source == "dead_leaves" and data.size >= experiment.min_side(source):
        return data.count - data.validation
    return None


def own_images(experiment: Experiment, source: str = "data") -> tuple[Path, pd.DataFrame] | None:
    """A stage's own images to measure with, if they are listed already."""
    manifest = experiment.folder / source / "manifest.csv"
    root = experiment.images(source)
    return (root, read_table(manifest)) if manifest.is_file() and root.is_dir() else None


def _stage(run: Run, trials: Iterable[str]) -> str:
    return "trials" if run.name in trials else "fine-tuning" if run.finetuned else "training"


def _steps(run: Run, images: int | None) -> int | None:
    budget = run.training.budget
    if images is None and budget.epochs is not None:
        return None
    return budget.resolve_steps(images or 0, run.training.batch_size, run.data.epoch_crops)


def _state(experiment: Experiment, run: Run) -> str:
    own = experiment.folder / "runs" / run.name
    if reuse.is_finished(own, run):
        return DONE
    tables = experiment.folder / run.subset, experiment.folder / run.source / "validation.csv"
    init = experiment.folder / "runs" / run.pretrained.name / "model.safetensors" if run.pretrained else None
    known = all(path.is_file() for path in (*tables, init) if path is not None)
    if run.training.reuse and known and reuse.find(run, tables, experiment.folder.parent, own, init):
        return REUSED
    return TO_DO
