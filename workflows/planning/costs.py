"""`python -m workflows.planning.costs`: what an experiment costs before it is paid for, and what of it is done already.

Counted of training alone: scoring and reporting come on top. FLOPs are 2 × multiply-adds, three times the forward pass of
every patch (the backward pass costs two), of convolutions and matrix products; the contrastive loss's own are not counted,
its time is.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ipt_models.tasks import parse_task
from workflows.config import grid
from workflows.config.grid import Experiment, Run
from workflows.config.schema import FINETUNED
from workflows.data.fractions import count_of
from workflows.data.manifest import read_table
from workflows.files import write_text
from workflows.peak_rates import peak_of
from workflows.planning.throughput import SpeedError, measure, recipe_of
from workflows.training import reuse

COPIES = 3  # of the weights in a checkpoint: themselves and Adam's two moments; a moving average is one more
KEPT = 2  # checkpoints of a run under way
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
DONE, REUSED, TO_DO = "done", "to be copied", "to do"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflows.planning.costs", description=__doc__)
    parser.add_argument("experiment", type=Path, help="the experiment's YAML file")
    parser.add_argument(
        "--patches-per-second",
        nargs="*",
        default=[],
        metavar="MODEL=RATE",
        help="training speed by model; the others are measured here; RATE alone holds for all models",
    )
    parser.add_argument("--seconds", type=float, help="of a measurement (default: the experiment's plan.seconds)")
    parser.add_argument("--out", type=Path, help="folder for plan.csv and plan.md (default: results/<name>)")
    options = parser.parse_args(arguments)
    try:
        experiment = grid.read(options.experiment)
        given = experiment.plan.patches_per_second | _rates(options.patches_per_second, experiment)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    seconds = options.seconds or experiment.plan.seconds

    def measured(run: Run) -> float | None:
        print(f"measuring {run.model}: about {seconds + 10:.0f} s", file=sys.stderr, flush=True)
        try:
            return measure(run, seconds, own_images(experiment, run.source))
        except SpeedError as error:
            print(f"{error}\n{run.model}: no speed; plan.patches_per_second takes one", file=sys.stderr)
            return None

    table = plan(experiment, given, measured)
    text = to_markdown(experiment, table)
    out = options.out or experiment.folder
    write_text(table.to_csv(index=False), out / "plan.csv")
    write_text(text, out / "plan.md")
    print(text)
    return 0


def plan(experiment: Experiment, given: dict[str, float], measured: Callable[[Run], float | None]) -> pd.DataFrame:
    """One row a run, those that try learning rates last.

    Columns: `run`, `stage` (`training`, `fine-tuning` or `trials` of learning rates), `model`, `fraction`, `seed`, `state`
    (`done`, `to be copied` from another experiment, `to do`), `images`, `steps`, `patches` and `flops` (of the whole run, also
    where it is done; missing where the number of images is unknown and decides them), `patches_per_second`, `measured` (or
    given), `tflops_per_second`, `mfu` (their share of the peak that a GPU's maker states; of measured ones alone), `hours` (of
    the run on this device), `weights_mb`, `checkpoints_mb` (while it trains), `threads` (of all its processes).

    Args:
        given: patches a second by model.
        measured: gives those of a model that is not in `given`; asked once for runs of equal speed.
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

    macs = models.macs_per_output_pixel(run.variant, run.tasks, **run.kwargs)
    side = {task: run.training.patch_size * parse_task(task).scale for task in run.tasks}
    return sum(3 * 2 * macs[task] * side[task] ** 2 for task in run.tasks) / len(run.tasks)


def _pace(run: Run, rate: float | None, flops: float, measured: bool) -> dict[str, float | None]:
    if rate is None:
        return {"tflops_per_second": None, "mfu": None}
    peak = _peak(run) if measured else None
    return {"tflops_per_second": rate * flops / 1e12, "mfu": rate * flops / peak if peak else None}


def _peak(run: Run) -> float | None:
    """FLOP/s of the GPUs that a run trains on, by their maker; None on a CPU and for an unknown GPU."""
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
    """All training images of a stage: from its manifest where there is one; of drawn images also before; else None."""
    data, folder = experiment.sources[source], experiment.folder / source
    if (folder / "manifest.csv").is_file():
        return len(read_table(folder / "manifest.csv")) - len(read_table(folder / "validation.csv"))
    if data.source == "dead_leaves" and data.size >= experiment.min_side(source):
        return data.count - data.validation
    return None


def own_images(experiment: Experiment, source: str = "data") -> tuple[Path, pd.DataFrame] | None:
    """A stage's own images to measure on, where they are listed already."""
    manifest = experiment.folder / source / "manifest.csv"
    root = experiment.sources[source].root or experiment.folder / source / "images"
    if not manifest.is_file() or not root.expanduser().is_dir():
        return None
    return root.expanduser(), read_table(manifest)


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


def _rates(texts: Iterable[str], experiment: Experiment) -> dict[str, float]:
    known = [model.name for model in experiment.models]
    found = {}
    for text in texts:
        name, _, rate = text.rpartition("=")
        if name and name not in known:
            raise ValueError(f"--patches-per-second: no model is called {name!r}; allowed: {', '.join(known)}")
        try:
            number = float(rate)
        except ValueError:
            number = 0.0
        if not number > 0:
            raise ValueError(
                f"--patches-per-second: {text!r}: expected MODEL=RATE with a rate above 0, for example ipt=120"
            )
        found |= {name: number} if name else dict.fromkeys(known, number)
    return found


def to_markdown(experiment: Experiment, table: pd.DataFrame) -> str:
    """The plan for a reader: a line for each model and fraction, totals, and what the numbers mean."""
    if table.empty:
        return f"# Plan of {experiment.name}\n\nNo run: nothing is trained.\n"
    rows = []
    for (stage, model, steps), runs in table.groupby(["stage", "model", "steps"], sort=False, dropna=False):
        first = runs.iloc[0]
        rows.append(
            {
                "model": model + (" (learning rates)" if stage == "trials" else ""),
                "% of the images": ", ".join(f"{100 * fraction:g}" for fraction in runs["fraction"].unique()),
                "runs": len(runs),
                "steps a run": _whole(steps),
                "patches": _whole(_sum(runs["patches"])),
                "FLOPs": _flops(_sum(runs["flops"])),
                "patches/s": _short(first["patches_per_second"]),
                "TFLOP/s": _short(first["tflops_per_second"])
                + ("" if pd.isna(first["mfu"]) else f" ({first['mfu']:.0%})"),
                "hours": _short(_sum(runs["hours"])),
                "done": int((runs["state"] == DONE).sum()),
                "copied": int((runs["state"] == REUSED).sum()),
                "hours left": _short(_sum(runs.loc[runs["state"] == TO_DO, "hours"])),
            }
        )
    lines = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return f"# Plan of {experiment.name}\n\n{lines}\n\n" + "".join(f"- {note}\n" for note in _notes(table))


def _notes(table: pd.DataFrame) -> list[str]:
    left = table[table["state"] == TO_DO]
    notes = [
        f"{len(table)} runs: {(table['state'] == DONE).sum()} done, {(table['state'] == REUSED).sum()} to be copied from other "
        f"experiments, {len(left)} to do. {_whole(_sum(table['patches']))} patches, {_flops(_sum(table['flops']))} FLOPs in all.",
        f"Left, one run at a time: {_short(_sum(left['hours']))} hours "
        f"({_short(_sum(left['hours'] * left['threads']))} core-hours where a run has `training.threads` cores). "
        "Training alone; a run under way counts in full.",
        f"Disk: {table['weights_mb'].sum():,.1f} MB of weights, and up to {table['checkpoints_mb'].max():,.1f} MB of checkpoints "
        "for each run under way.",
        "FLOPs: 2 × multiply-adds, 3 × the forward pass; the contrastive loss's own are not counted, its time is.",
    ]
    if table["steps"].isna().any():
        notes.append(
            "Unknown (?): steps of epochs need the number of images, which stands in data/manifest.csv once it is made."
        )
    if (unknown := left["patches_per_second"].isna()).any():
        notes.append(
            f"No speed of {', '.join(left.loc[unknown, 'model'].unique())}: `plan.patches_per_second` takes one."
        )
    if table["state"].ne(TO_DO).any():
        notes.append("Speeds are measured only of what is to do.")
    return notes


def _sum(numbers: pd.Series) -> Any:
    """Unknown as soon as one is; 0 of none."""
    return numbers.sum() if numbers.notna().all() else None


def _whole(number: Any) -> str:
    return "?" if pd.isna(number) else f"{number:,.0f}"


def _short(number: Any) -> str:
    return "?" if pd.isna(number) else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _flops(number: Any) -> str:
    return "?" if pd.isna(number) else f"{number:.2e}"


if __name__ == "__main__":
    sys.exit(main())
