"""The plan as Markdown."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from workflows.config.experiment import Experiment
from workflows.planning.costs import DONE, REUSED, TO_DO


def to_markdown(experiment: Experiment, table: pd.DataFrame, gpus: int = 1) -> str:
    """The plan as text: a line for each model and fraction, totals, and notes.

    Args:
        gpus: number of devices that share the runs.
    """
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
                "steps per run": _whole(steps),
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
    return f"# Plan of {experiment.name}\n\n{lines}\n\n" + "".join(
        f"- {note}\n" for note in _notes(experiment, table, gpus)
    )


def _notes(experiment: Experiment, table: pd.DataFrame, gpus: int) -> list[str]:
    left = table[table["state"] == TO_DO]
    notes = [
        f"{len(table)} runs: {(table['state'] == DONE).sum()} done, {(table['state'] == REUSED).sum()} to be copied from other "
        f"experiments, {len(left)} to do; in all {_total(table['patches'], _whole)} patches, "
        f"{_total(table['flops'], _flops)} FLOPs.",
        f"Left, one run at a time: {_total(left['hours'], _short)} hours "
        f"({_total(left['hours'] * left['threads'], _short)} core-hours where a run has `training.threads` cores). "
        "Training only; running trainings count in full.",
        f"Disk: {table['weights_mb'].sum():,.1f} MB of weights, and up to {table['checkpoints_mb'].max():,.1f} MB of checkpoints "
        "for each run under way.",
        "FLOPs: 2 × multiply-adds, 3 × the forward pass; the contrastive loss's own are not counted, its time is.",
    ]
    if gpus > 1 and pd.notna(hours := _sum(left["hours"])):
        at_once = max(1, gpus // max(run.training.processes for run in experiment.trainings().values()))
        longest = max(left["hours"], default=0.0)
        notes.append(
            f"On {gpus} GPUs, {at_once} runs at a time: {_short(max(hours / at_once, longest))} hours at best."
        )
    if table["steps"].isna().any():
        notes.append("Unknown (?): a budget in epochs gives a number of steps only once data/manifest.csv exists.")
    if (unknown := left["patches_per_second"].isna()).any():
        notes.append(
            f"No speed known for {', '.join(left.loc[unknown, 'model'].unique())}; set `plan.patches_per_second`."
        )
    if table["state"].ne(TO_DO).any():
        notes.append("Speeds are measured only for runs still to do.")
    return notes


def _sum(numbers: pd.Series) -> Any:
    """The sum, unknown if any value is."""
    return numbers.sum() if numbers.notna().all() else None


def _total(numbers: pd.Series, text: Callable[[Any], str]) -> str:
    """The sum; "at least" the sum of the known values if some are unknown."""
    if numbers.isna().all() and len(numbers):
        return text(None)
    return "at least " * bool(numbers.isna().any()) + text(numbers.sum())


def _whole(number: Any) -> str:
    return "?" if pd.isna(number) else f"{number:,.0f}"


def _short(number: Any) -> str:
    return "?" if pd.isna(number) else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _flops(number: Any) -> str:
    return "?" if pd.isna(number) else f"{number:.2e}"
