"""Training loss and held-out PSNR against step: one column per model, one line per fraction."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.analysis.records import models, percent
from workflows.readers import read_csv
from workflows.reporting.study import Study
from workflows.reporting.style import column, empty, legend, note, page, thousands

# In this first part of the steps curves fall from far outside the axis; the rest is compared.
SETTLED = 0.2
# A loss that varies by more than this factor afterwards, because a training diverged, has a logarithmic axis.
LOG = 20
LINES = [":", "--", "-"]
ACROSS = 4


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data, `tables/learning_curves.csv` of the fractions shown: the smallest, the middle, the largest.

    Behind the smoothed loss is the loss of each run's batches, from its `train.csv`.
    """
    data = study.table("learning_curves")
    if data.empty:
        return empty("No training log yet."), data
    data = data[data["fraction"].isin(chosen_fractions(data["fraction"]))]
    trained = [model for model in models(study.runs) if model in set(data["model"])]
    fractions = sorted(data["fraction"].unique())
    lines = LINES[-len(fractions) :]
    styles = dict(zip(fractions, zip(sns.color_palette("flare", len(fractions)), lines, strict=True), strict=True))
    bands = -(-len(trained) // ACROSS)
    across = -(-len(trained) // bands)
    size = (column() if across == 1 else page(), 2.7 * bands + 0.6)
    figure, axes = plt.subplots(2 * bands, across, figsize=size, squeeze=False)
    pairs = {
        model: (axes[2 * (i // across), i % across], axes[2 * (i // across) + 1, i % across])
        for i, model in enumerate(trained)
    }
    for ax in set(axes.flat) - {ax for pair in pairs.values() for ax in pair}:
        ax.remove()
    handles = {}
    for model, (loss, psnr) in pairs.items():
        for fraction in fractions:
            color, line = styles[fraction]
            for step, l1 in _batches(study, model, fraction):
                loss.plot(step, l1, color=color, linewidth=0.5, alpha=0.2, zorder=1)
            curve = data[(data["model"] == model) & (data["fraction"] == fraction)]
            loss.plot(curve["step"], curve["l1"], line, color=color, zorder=3)
            measured = curve.dropna(subset="validation_psnr")
            (handles[fraction],) = psnr.plot(
                measured["step"], measured["validation_psnr"], line, marker=".", markersize=3, color=color
            )
        loss.set_title(study.labels[model], loc="left")
        loss.tick_params(labelbottom=False)
        psnr.set_xlabel("step")
        first = loss.get_subplotspec().is_first_col()
        loss.set_ylabel("training L1" if first else "")
        psnr.set_ylabel("held-out PSNR in dB" if first else "")
        for ax in (loss, psnr):
            ax.tick_params(labelleft=first)
            ax.xaxis.set_major_formatter(lambda value, _: thousands(value))
            ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    _limits([loss for loss, _ in pairs.values()], data, "l1")
    _limits([psnr for _, psnr in pairs.values()], data, "validation_psnr")
    legend(figure, [handles[f] for f in fractions], [f"{percent(f)} of the images" for f in fractions])
    seeds = "Means over seeds." if data["seeds"].max() > 1 else "One seed."
    note(
        figure,
        [
            f"{seeds} L1 on the 0–255 scale, smoothed; pale: single batches.",
            "The first steps may lie outside the axes.",
        ],
    )
    return figure, data


def _batches(study: Study, model: str, fraction: float) -> list[tuple[pd.Series, pd.Series]]:
    runs = study.runs[(study.runs["model"] == model) & (study.runs["fraction"] == fraction)]
    paths: list[Path] = [study.folder / "runs" / run / "train.csv" for run in runs["run"]]
    logs = [read_csv(path, ("step", "l1")) for path in paths if path.is_file()]
    return [(log["step"], log["l1"]) for log in logs]


def chosen_fractions(fractions: pd.Series) -> list[float]:
    """The smallest, the middle and the largest."""
    each = sorted(set(fractions))
    return sorted({each[0], each[len(each) // 2], each[-1]})


def _limits(axes: list[Axes], data: pd.DataFrame, values: str) -> None:
    """One scale for all models that contains everything after the first steps of each training."""
    last = data.groupby(["model", "fraction"])["step"].transform("max")
    settled = data.loc[data["step"] > SETTLED * last, values].dropna()
    if settled.empty:
        return
    low, high = settled.min(), settled.max()
    margin = max(0.06 * (high - low), 0.05)
    for ax in axes:
        if values == "l1" and low > 0 and high > LOG * low:
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.set_ylim(0.8 * low, 1.25 * high)
        else:
            ax.set_ylim(low - margin, high + margin)
