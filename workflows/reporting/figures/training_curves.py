"""Training loss and held-out PSNR against step: one row a model, one line a fraction, light to dark."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from workflows.analysis.records import RUN, labels, models
from workflows.reporting.style import COLUMN, empty, legend, note, thousands

# A single batch's loss is mostly noise: a centred mean over this share of the rows shows its course.
SMOOTHING = 0.05


def draw(results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data: step, `l1` (0-255 scale, smoothed) and `validation_psnr` (dB), means over seeds."""
    data = curves(runs, train_logs)
    if data.empty:
        return empty("No training log yet."), data
    shown = [model for model in models(runs) if model in set(data["model"])]
    fractions = sorted(data["fraction"].unique())
    shades = dict(zip(fractions, sns.color_palette("crest", len(fractions)), strict=True))
    figure, axes = plt.subplots(
        len(shown), 2, figsize=(COLUMN, 1.15 * len(shown) + 0.75), sharex="row", sharey="col", squeeze=False
    )
    handles = {}
    for model, (loss, psnr) in zip(shown, axes, strict=True):
        for fraction in fractions:
            line = data[(data["model"] == model) & (data["fraction"] == fraction)]
            if line.empty:
                continue
            (handles[f"{100 * fraction:g} %"],) = loss.plot(
                line["step"], line["l1"], color=shades[fraction], linewidth=1
            )
            measured = line.dropna(subset="validation_psnr")
            psnr.plot(measured["step"], measured["validation_psnr"], color=shades[fraction], linewidth=1)
        loss.set_ylabel(labels(runs)[model])
        psnr.yaxis.tick_right()
        psnr.spines["left"].set_visible(False)
        loss.spines["right"].set_visible(False)
        for ax in (loss, psnr):
            ax.spines["top"].set_visible(False)
            ax.xaxis.set_major_formatter(lambda value, _: thousands(value))
            ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    axes[0, 0].set_title("training L1 (0–255)", loc="left")
    axes[0, 1].set_title("held-out PSNR in dB", loc="left")
    # The first steps lie far off; the course after them is what is compared.
    settled = data[data["step"] > data.groupby("model")["step"].transform("max") * 0.05]
    axes[0, 0].set_ylim(0.9 * settled["l1"].min(), 1.05 * settled["l1"].quantile(0.98))
    reached = settled["validation_psnr"].dropna()
    if len(reached):
        margin = 0.05 * (reached.max() - reached.min()) + 0.05
        axes[0, 1].set_ylim(reached.quantile(0.02) - margin, reached.max() + margin)
    for ax in axes[-1]:
        ax.set_xlabel("step")
    order = [name for name in (f"{100 * f:g} %" for f in fractions) if name in handles]
    legend(figure, [handles[name] for name in order], order, columns=min(len(order), 5))
    seeds = data["seeds"].max()
    lines = "One seed a line." if seeds == 1 else f"Lines are means over up to {seeds} seeds."
    note(figure, f"{lines} The first steps lie outside.")
    return figure, data


def curves(runs: pd.DataFrame, train_logs: Sequence[Path]) -> pd.DataFrame:
    """Every log's loss (smoothed) and held-out PSNR, averaged over the seeds that reached the step."""
    known = runs.set_index("run")
    tables = []
    for path in map(Path, train_logs):
        name = path.parent.name
        if name not in known.index or not path.is_file():
            continue
        log = pd.read_csv(path)
        window = max(1, round(SMOOTHING * len(log)))
        table = pd.DataFrame({"step": log["step"], "l1": log["l1"].rolling(window, center=True, min_periods=1).mean()})
        table["validation_psnr"] = log.get("validation_psnr")
        tables.append(table.assign(**{column: known.loc[name, column] for column in RUN}))
    if not tables:
        return pd.DataFrame(columns=["model", "fraction", "step", "l1", "validation_psnr", "seeds"])
    group = pd.concat(tables).groupby(["model", "fraction", "step"], sort=True)
    return group[["l1", "validation_psnr"]].mean().assign(seeds=group["seed"].nunique()).reset_index()
