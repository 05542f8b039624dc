"""Gain from more data: each model's gain from the smallest to the largest fraction, and IPT's gain minus each rival's, for
both kinds of IPT's windows.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.analysis.records import AVERAGED, CENTRE, models
from workflows.reporting.numbers import percents
from workflows.reporting.study import Study
from workflows.reporting.style import empty, leftmost, legend, model_colors, note, panels, same_limits, title

NAMES = {CENTRE: "centre of windows", AVERAGED: "averaged windows"}
MARKERS = {CENTRE: "o", AVERAGED: "s"}


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data: task, dataset, windows, model, rival (empty for a model's own gain), span, gain, low, high."""
    data = points(study)
    if data.empty:
        return empty("No model is scored at two fractions."), data
    rows = list(data[["model", "rival"]].drop_duplicates().fillna("").itertuples(index=False, name=None))
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    figure, axes = panels(keys, height=0.7 + 0.22 * len(rows), most=3)
    handles: dict = {}
    for (dataset, task), ax in axes.items():
        handles |= _panel(ax, data[(data["dataset"] == dataset) & (data["task"] == task)], rows, study)
        title(ax, f"{dataset}, {task}", needed=len(keys) > 1)
        if ax not in leftmost(axes.values()):
            ax.tick_params(labelleft=False)
    same_limits(axes.values(), "x")
    windows = [name for name in NAMES if name in handles]
    if len(windows) > 1:
        legend(figure, [handles[name] for name in windows], [NAMES[name] for name in windows])
    sure = "95 % intervals over seeds" if data["low"].notna().any() else "one seed: no interval"
    note(
        figure,
        [
            f"Gain in PSNR-Y from {percents(data['span'].iloc[0])} of the images; {sure}.",
            "Below the line: difference of two gains.",
        ],
    )
    return figure, data


def points(study: Study) -> pd.DataFrame:
    """Gains over the widest span, then their differences."""
    gains, differences = study.table("gains"), study.table("gain_differences")
    if gains.empty:
        return gains
    widest = gains.loc[(gains["largest"] - gains["smallest"]).idxmax(), "span"]
    order = {model: number for number, model in enumerate(models(study.runs))}
    own = gains.sort_values("model", key=lambda names: names.map(order), kind="stable").assign(rival=None)
    table = pd.concat([own, differences.rename(columns={"difference": "gain"})], ignore_index=True)
    columns = ["task", "dataset", "windows", "model", "rival", "span", "gain", "low", "high"]
    return table.loc[(table["span"] == widest) & table["gain"].notna(), columns].reset_index(drop=True)


def _panel(ax: Axes, data: pd.DataFrame, rows: list[tuple[str, str]], study: Study) -> dict:
    colors, names, handles = model_colors(study.runs), study.labels, {}
    own = sum(1 for _, rival in rows if not rival)
    for number, (model, rival) in enumerate(rows):
        points = data[(data["model"] == model) & (data["rival"].fillna("") == rival)]
        apart = 0.16 * (data["windows"] == AVERAGED).any()
        for shift, windows in ((-apart, CENTRE), (apart, AVERAGED)):
            for point in points[points["windows"] == windows].to_dict("records"):
                bar = (
                    None if pd.isna(point["low"]) else [[point["gain"] - point["low"]], [point["high"] - point["gain"]]]
                )
                handles[windows] = ax.errorbar(
                    point["gain"],
                    number + shift,
                    xerr=bar,
                    fmt=MARKERS[windows],
                    color=colors[model],
                    markerfacecolor=colors[model] if windows == CENTRE else "white",
                    capsize=2,
                    linewidth=1,
                )
    ax.axvline(0, color="0.35", linewidth=0.8, zorder=0)
    if 0 < own < len(rows):
        ax.axhline(own - 0.5, color="0.75", linewidth=0.8)
    labels = [names[model] + (f" − {names[rival]}" if rival else "") for model, rival in rows]
    ax.set_yticks(np.arange(len(rows)), labels)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel("gain in dB")
    return handles
