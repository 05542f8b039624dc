"""PSNR against the fraction of the training images, crossovers marked."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.analysis.records import CENTRE, SCORED_ON, images_at
from workflows.reporting.figures.curves import draw_panels, points, remarks
from workflows.reporting.study import Study
from workflows.reporting.style import empty, model_colors, note, small, thousands

# More crossovers would hide the curves; the table of crossovers has them all.
MOST_MARKS = 4


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points: mean PSNR-Y and its interval.

    An IPT's rows also say where it overtakes the network that is best at the largest fraction: `overtakes`, `at`, `at_low`,
    `at_high` (fractions).
    """
    data = points(study)
    if data["psnr_y"].notna().sum() == 0 or data["fraction"].isna().all():
        return empty("No trained model is scored yet."), data
    crossovers = study.table("crossovers")
    data = mark_crossovers(data, crossovers[crossovers["windows"] == CENTRE])
    images = images_at(study.runs).dropna().to_dict()

    def name(fraction: float) -> str:
        return f"{100 * fraction:g}" + (f"\n{thousands(images[fraction])}" if fraction in images else "")

    label = "training images in %" + ("\nand their number" if images else "")
    figure, axes = draw_panels(data, study, "fraction", label, name)
    for (dataset, task), ax in axes.items():
        _mark(ax, data[(data["dataset"] == dataset) & (data["task"] == task)], study)
    lines = remarks(data, study)
    if data["at"].notna().any():
        lines.append("Diamonds: where a model overtakes, with 95 % intervals.")
    note(figure, lines)
    return figure, data


def mark_crossovers(data: pd.DataFrame, crossovers: pd.DataFrame) -> pd.DataFrame:
    """The points with each IPT's crossover with one rival, the best at the largest fraction.

    With one seed nothing is marked: a crossover without an interval would look more certain than it is.
    """
    marks = crossovers[(crossovers["status"] == "overtakes") & crossovers["tested"] & crossovers["best_rival"]]
    names = {"other": "overtakes", "fraction": "at", "low": "at_low", "high": "at_high"}
    return data.merge(
        marks.rename(columns=names)[[*SCORED_ON, "model", *names.values()]], on=[*SCORED_ON, "model"], how="left"
    )


def _mark(ax: Axes, data: pd.DataFrame, study: Study) -> None:
    """Crossovers in a strip below the curves, not hidden by bands and lines."""
    marked = data.dropna(subset="at").drop_duplicates("model")
    if marked.empty or len(marked) > MOST_MARKS:
        return
    colors = model_colors(study.runs)
    bottom, top = ax.get_ylim()
    step = 0.055
    ax.set_ylim(bottom - step * len(marked) * (top - bottom), top)
    for number, crossover in enumerate(marked.itertuples()):
        style = {"color": colors[crossover.model], "transform": ax.get_xaxis_transform()}
        height = step * (number + 0.6)
        ax.plot([crossover.at_low, crossover.at_high], [height] * 2, linewidth=1.4, solid_capstyle="butt", **style)
        ax.plot(crossover.at, height, marker="d", markersize=5, markeredgecolor="white", mew=0.5, zorder=4, **style)
    # The text is on the side without marks.
    right = marked["at_high"].max() < data["fraction"].max() * 0.7
    place = {"x": 0.99, "ha": "right"} if right else {"x": 0.01, "ha": "left"}
    rivals = marked["overtakes"].unique()  # one for each stage
    words = f"overtakes {study.labels[rivals[0]] if len(rivals) == 1 else 'the best of its stage'}"
    ax.text(y=step * (len(marked) + 0.2) / 2, s=words, va="center", fontsize=small(), transform=ax.transAxes, **place)
