"""PSNR against the share of the training images: one line a model, bicubic dashed, crossings marked.

Bands are 95 % t intervals over seeds. Where no model has two seeds they are over images instead, the images' own levels
removed (`within_image_interval`), and the figure says so.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.analysis.effects import crossovers
from workflows.analysis.means import common_images, summarise
from workflows.analysis.records import PLAIN, SCORED_ON, labels, models, rivals
from workflows.analysis.statistics import OVERTAKES, within_image_interval
from workflows.reporting.style import (
    REFERENCE,
    REFERENCE_DASHES,
    FractionAxis,
    empty,
    legend,
    model_colors,
    model_markers,
    note,
    panels,
)

# More crossings than these would hide the curves; the table of crossings has them all.
MOST_MARKS = 4

OVER_SEEDS = "seeds"
OVER_IMAGES = "images"


def draw(results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points: mean PSNR-Y, the band's ends and what it is over (`band`: seeds, images or empty).

    On an IPT's rows also where it overtakes the best other network of the largest fraction: `overtakes`, `at`, `at_low`,
    `at_high` (fractions).
    """
    data = points(results, runs)
    if data["psnr_y"].notna().sum() == 0:
        return empty("No run is scored yet."), data
    data = mark_crossings(data, results, runs)
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    figure, axes = panels(keys)
    handles: dict = {}
    for (dataset, task), ax in axes.items():
        here = data[(data["dataset"] == dataset) & (data["task"] == task)]
        handles |= _panel(ax, here, runs)
        ax.set_title(f"{dataset}, {task}", loc="left")
        ax.set_ylabel("PSNR-Y in dB")
        ax.spines[["top", "right"]].set_visible(False)
    legend(figure, list(handles.values()), list(handles))
    note(figure, _explain(data))
    return figure, data


def points(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a point, with the band that belongs to it; missing runs are rows without numbers."""
    data = summarise(results, runs).rename(columns={"psnr_y_low": "low", "psnr_y_high": "high"})
    data = data[["task", "dataset", "model", "fraction", "seeds", "seeds_planned", "images", "psnr_y", "low", "high"]]
    data["band"] = np.where(data["low"].notna(), OVER_SEEDS, "")
    if not data["low"].notna().any():
        plain = common_images(results[results["setting"] == PLAIN])
        for (task, dataset), scores in plain[plain["fraction"].notna()].groupby(["task", "dataset"]):
            table = scores.pivot_table(index=["model", "fraction"], columns="image", values="psnr_y")
            means, half = within_image_interval(table)
            for (model, fraction), mean, width in zip(table.index, means, half, strict=True):
                row = (data["task"] == task) & (data["dataset"] == dataset)
                row &= (data["model"] == model) & (data["fraction"] == fraction)
                data.loc[row, ["low", "high"]] = mean - width, mean + width
                data.loc[row, "band"] = OVER_IMAGES
    return data


def mark_crossings(data: pd.DataFrame, results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The points with what each IPT overtakes: the one rival that matters, the best at the largest fraction.

    With one seed nothing is marked: a crossing without an interval invites belief that it has not earned.
    """
    found = crossovers(results, runs)
    found = found[(found["status"] == OVERTAKES) & (found["seeds"] > 1)]
    largest = data[(data["fraction"] == data["fraction"].max()) & data["model"].isin(rivals(runs))]
    best = largest.dropna(subset="psnr_y").sort_values("psnr_y").drop_duplicates(SCORED_ON, keep="last")
    marks = found.merge(best[[*SCORED_ON, "model"]].rename(columns={"model": "other"}), on=[*SCORED_ON, "other"])
    names = {"other": "overtakes", "fraction": "at", "low": "at_low", "high": "at_high"}
    return data.merge(
        marks.rename(columns=names)[[*SCORED_ON, "model", *names.values()]], on=[*SCORED_ON, "model"], how="left"
    )


def _panel(ax: Axes, here: pd.DataFrame, runs: pd.DataFrame) -> dict:
    colors, markers, names = model_colors(runs), model_markers(runs), labels(runs)
    handles = {}
    over_seeds = (here["band"] == OVER_SEEDS).any()
    trained = here["fraction"].dropna()
    axis = FractionAxis(trained) if len(trained) else None
    shown = [model for model in models(runs) if here.loc[here["model"] == model, "psnr_y"].notna().any()]
    for number, model in enumerate(shown):
        line = here[(here["model"] == model) & here["psnr_y"].notna()].sort_values("fraction")
        line = line.assign(place=axis.places(line["fraction"], number, len(shown)))
        style = {"color": colors[model], "zorder": 3}
        (handle,) = ax.plot(line["place"], line["psnr_y"], marker=markers[model], mec="white", mew=0.5, **style)
        handles[names[model]] = handle
        ax.fill_between(line["place"], line["low"], line["high"], color=colors[model], alpha=0.12, linewidth=0)
        sure = line.dropna(subset="low")
        ax.vlines(sure["place"], sure["low"], sure["high"], color=colors[model], linewidth=1, alpha=0.7, zorder=2)
        if over_seeds:
            alone = line[line["low"].isna()]
            ax.plot(alone["place"], alone["psnr_y"], markers[model], markerfacecolor="white", mew=0.9, **style)
    untrained = here[here["fraction"].isna() & here["psnr_y"].notna()]
    for dashes, reference in zip(REFERENCE_DASHES, untrained.itertuples(), strict=False):
        handles[names[reference.model]] = ax.axhline(
            reference.psnr_y, color=REFERENCE, linewidth=1, dashes=dashes, zorder=1
        )
    _mark(ax, here, runs)
    if axis:
        axis.draw(ax, runs)
    else:
        ax.set_xticks([])
    return handles


def _mark(ax: Axes, here: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Crossings in a strip below the curves, where bands and lines do not hide them."""
    crossings = here.dropna(subset="at").drop_duplicates("model")
    if crossings.empty or len(crossings) > MOST_MARKS:
        return
    colors, names = model_colors(runs), labels(runs)
    bottom, top = ax.get_ylim()
    step = 0.055
    ax.set_ylim(bottom - step * len(crossings) * (top - bottom), top)
    for number, crossing in enumerate(crossings.itertuples()):
        style = {"color": colors[crossing.model], "transform": ax.get_xaxis_transform()}
        height = step * (number + 0.6)
        ax.plot([crossing.at_low, crossing.at_high], [height] * 2, linewidth=1.4, solid_capstyle="butt", **style)
        ax.plot(crossing.at, height, marker="d", markersize=5, markeredgecolor="white", mew=0.5, zorder=4, **style)
    # The words stand where the marks do not.
    right = crossings["at_high"].max() < here["fraction"].max() * 0.7
    place = {"x": 0.99, "ha": "right"} if right else {"x": 0.01, "ha": "left"}
    words = f"overtakes {names[crossings['overtakes'].iloc[0]]}"
    ax.text(y=step * (len(crossings) + 0.2) / 2, s=words, va="center", fontsize=6.5, transform=ax.transAxes, **place)


def _explain(data: pd.DataFrame) -> str:
    lines = []
    if (data["band"] == OVER_SEEDS).any():
        most = data.loc[data["band"] == OVER_SEEDS, "seeds"]
        count = f"{most.min()}" if most.min() == most.max() else f"{most.min()} to {most.max()}"
        lines.append(f"Bars and bands: 95 % t intervals over {count} seeds.")
        if data["at"].notna().any():
            lines.append("Diamonds: where a model overtakes, with 95 % intervals.")
        if (data["fraction"].notna() & (data["seeds"] == 1)).any():
            lines.append("Hollow points: one seed, no interval.")
    elif (data["band"] == OVER_IMAGES).any():
        count = " / ".join(str(n) for n in data["images"].unique())
        lines.append(
            f"One seed. Bands: 95 % t intervals over the {count} images,\nimages' own levels removed; not over trainings."
        )
    absent = data[data["fraction"].notna() & (data["seeds"] == 0)][["model", "fraction"]].drop_duplicates()
    if len(absent):
        lines.append(f"Missing: {len(absent)} of the planned points.")
    return "\n".join(lines)
