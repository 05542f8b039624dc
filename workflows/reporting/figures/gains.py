"""Gain from more data: each model's gain from the smallest to the largest fraction, and IPT's gain minus each rival's, for
both kinds of IPT's windows.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from workflows.analysis.records import AVERAGED, CENTRE, ends, models
from workflows.reporting.numbers import percents
from workflows.reporting.study import Study
from workflows.reporting.style import (
    REFERENCE,
    column,
    empty,
    leftmost,
    legend,
    model_colors,
    note,
    page,
    panels,
    row_height,
    same_limits,
    title,
    wrapped,
)

NAMES = {CENTRE: "centre of windows", AVERAGED: "averaged windows"}
MARKERS = {CENTRE: "o", AVERAGED: "s"}
FILLS = {AVERAGED: "white"}  # others have their line's colour


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data: task, dataset, windows, model, rival (empty for a model's own gain), span, gain, low, high."""
    data = points(study)
    if data.empty:
        return empty("No model is scored at two fractions above 0."), data
    rows = list(data[["model", "rival", "span"]].drop_duplicates().fillna("").itertuples(index=False, name=None))
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    spans = sorted(set(data["span"]))
    width = column() / 2 if len(keys) == 1 else page() / 3
    labels = [_label(*row, study, len(spans) > 1, width) for row in rows]
    figure, axes = panels(keys, 0.7 + len(rows) * row_height(labels), most=3)
    for (dataset, task), ax in axes.items():
        _panel(ax, data[(data["dataset"] == dataset) & (data["task"] == task)], rows, study)
        ax.set_yticks(range(len(rows)), labels)
        title(ax, f"{dataset}, {task}", needed=len(keys) > 1)
        if ax not in leftmost(axes.values()):
            ax.tick_params(labelleft=False)
    same_limits(axes.values(), "x")
    if (data["windows"] == AVERAGED).any():
        style = {"linestyle": "none", "color": REFERENCE}
        handles = [Line2D([], [], marker=MARKERS[name], markerfacecolor=FILLS.get(name), **style) for name in NAMES]
        legend(figure, handles, list(NAMES.values()))
    lines = [f"Gain in PSNR-Y from {percents(spans[0])} of the images." if len(spans) == 1 else "Gain in PSNR-Y."]
    lines.append("Bars: 95 % t intervals over seeds." if data["low"].notna().any() else "One seed: no intervals.")
    if data["low"].notna().any() and data["low"].isna().any():
        lines.append("Without a bar: one seed at a fraction.")
    if data["rival"].notna().any():
        lines.append("Below the line: difference of two gains.")
    note(figure, lines)
    return figure, data


def _label(model: str, rival: str, span: str, study: Study, spanned: bool, width: float) -> str:
    names = study.labels
    name = names[model] + (f" − {names[rival]}" if rival else "") + (f", {percents(span)}" if spanned else "")
    # A pair that needs several lines is broken between its names first.
    return name if wrapped(name, width) == name else wrapped(name.replace(" − ", "\n− "), width)


def points(study: Study) -> pd.DataFrame:
    """Each model's gain in PSNR-Y over the widest span it has, then the pairs' differences."""
    gains, differences = (
        table[table["measure"] == "psnr_y"] for table in map(study.table, ("gains", "gain_differences"))
    )
    if gains.empty:
        return gains
    order = {model: number for number, model in enumerate(models(study.runs))}
    own = gains.sort_values("model", key=lambda names: names.map(order), kind="stable").assign(rival=None)
    table = pd.concat([own, differences.rename(columns={"difference": "gain"})]).dropna(subset="gain")
    key = ["task", "dataset", "windows", "model", "rival"]
    width = table["span"].map(lambda span: np.ptp(ends(span)))
    widest = width == width.groupby([table[column] for column in key], dropna=False).transform("max")
    return table.loc[widest, [*key, "span", "gain", "low", "high"]].reset_index(drop=True)


def _panel(ax: Axes, data: pd.DataFrame, rows: list[tuple[str, str, str]], study: Study) -> None:
    colors = model_colors(study.runs)
    own = sum(1 for _, rival, _ in rows if not rival)
    for number, (model, rival, span) in enumerate(rows):
        points = data[(data["model"] == model) & (data["rival"].fillna("") == rival) & (data["span"] == span)]
        apart = 0.16 * (len(set(points["windows"])) > 1)
        for shift, windows in ((-apart, CENTRE), (apart, AVERAGED)):
            for point in points[points["windows"] == windows].to_dict("records"):
                bar = (
                    None if pd.isna(point["low"]) else [[point["gain"] - point["low"]], [point["high"] - point["gain"]]]
                )
                ax.errorbar(
                    point["gain"],
                    number + shift,
                    xerr=bar,
                    fmt=MARKERS[windows],
                    color=colors[model],
                    markerfacecolor=FILLS.get(windows),
                    capsize=2,
                    linewidth=1,
                )
    ax.axvline(0, color="0.35", linewidth=0.8, zorder=0)
    if 0 < own < len(rows):
        ax.axhline(own - 0.5, color="0.75", linewidth=0.8)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel("gain in dB")
