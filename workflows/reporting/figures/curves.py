"""Quality against the amount of data: one line per model with intervals, references dashed, one panel per task and set."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.analysis.records import CENTRE, models
from workflows.reporting.study import Study
from workflows.reporting.style import (
    REFERENCE,
    REFERENCE_DASHES,
    DataAxis,
    equal_spans,
    leftmost,
    legend,
    lowest,
    model_colors,
    model_markers,
    panels,
    title,
)


def points(study: Study) -> pd.DataFrame:
    """`tables/quality_data.csv` of the main windows: mean PSNR-Y and its interval (`low`, `high`), with amounts of data."""
    data = study.table("quality_data")
    return data[data["windows"] == CENTRE].drop(columns="windows")


def draw_panels(
    data: pd.DataFrame, study: Study, amount: str, label: str, name: Callable[[float], str]
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """The curves of all sets.

    Args:
        data: from `points`.
        study: the experiment.
        amount: the column with the amount of data.
        label: of its axis.
        name: of an amount.

    Returns:
        The figure, and its panels by (dataset, task).
    """
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    figure, axes = panels(keys)
    axis, named = DataAxis(data[amount].dropna()), lowest(axes.values())
    handles: dict = {}
    for (dataset, task), ax in axes.items():
        handles |= _panel(ax, data[(data["dataset"] == dataset) & (data["task"] == task)], study, amount, axis)
        axis.draw(ax, name, across=len(named))
        ax.set_xlabel(label if ax in named else "")
        title(ax, f"{dataset}, {task}", needed=len(keys) > 1)
    equal_spans(axes.values())
    for ax in leftmost(axes.values()):
        ax.set_ylabel("PSNR-Y in dB")
    legend(figure, list(handles.values()), list(handles))
    return figure, axes


def _panel(ax: Axes, data: pd.DataFrame, study: Study, amount: str, axis: DataAxis) -> dict:
    colors, markers, names = model_colors(study.runs), model_markers(study.runs), study.labels
    handles = {}
    scored = [model for model in models(study.runs) if data.loc[data["model"] == model, "psnr_y"].notna().any()]
    for number, model in enumerate(scored):
        line = data[(data["model"] == model) & data["psnr_y"].notna()].sort_values("fraction")
        at = axis.places(line[amount], number, len(scored))
        style = {"color": colors[model], "zorder": 3}
        (handle,) = ax.plot(at, line["psnr_y"], marker=markers[model], mec="white", mew=0.5, **style)
        handles[names[model]] = handle
        ax.fill_between(at, line["low"], line["high"], color=colors[model], alpha=0.12, linewidth=0)
        sure = line["low"].notna().to_numpy()
        ax.vlines(at[sure], line["low"][sure], line["high"][sure], color=colors[model], linewidth=1, alpha=0.7)
        if (data["over"] == "seeds").any():
            ax.plot(at[~sure], line["psnr_y"][~sure], markers[model], markerfacecolor="white", mew=0.9, **style)
    untrained = data[data["fraction"].isna() & data["psnr_y"].notna()]
    for dashes, reference in zip(REFERENCE_DASHES, untrained.itertuples(), strict=False):
        handles[names[reference.model]] = ax.axhline(
            reference.psnr_y, color=REFERENCE, linewidth=1, dashes=dashes, zorder=1
        )
    return handles


def remarks(data: pd.DataFrame, study: Study) -> list[str]:
    """The note: what the intervals are over, and what is missing."""
    lines = []
    sure = data.loc[data["over"] == "seeds", "seeds"]
    trained = data[data["fraction"].notna()]
    if (data["over"] == "images").any():
        lines.append(
            "One seed. Bars and bands: 95 % t intervals over images, the images' own levels removed; not over trainings."
        )
    elif len(sure):
        count = f"{sure.min()}" if sure.min() == sure.max() else f"{sure.min()} to {sure.max()}"
        lines.append(f"Bars and bands: 95 % t intervals over {count} seeds.")
        if (trained["seeds"] == 1).any():
            lines.append("Hollow points: one seed, no interval.")
    else:
        lines.append("One seed: no interval.")
    planned = study.runs[study.runs["fraction"].notna()]
    if absent := (planned["status"] != "done").sum():
        lines.append(f"Missing: {absent} of {len(planned)} runs.")
    return lines
