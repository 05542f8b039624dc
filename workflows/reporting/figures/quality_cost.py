"""Quality against cost: PSNR at the largest fraction against parameters, and against operations per pixel or training hours."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from workflows.analysis.records import SCORED_ON, percent
from workflows.reporting.study import Study
from workflows.reporting.style import (
    column,
    empty,
    equal_spans,
    legend,
    model_colors,
    model_markers,
    note,
    page,
    thousands,
    title,
)

COSTS = {
    "parameters": "parameters",
    "macs_per_output_pixel": "multiply-adds per output pixel",
    "train_hours": "training hours per run",
}
# An axis is logarithmic where its values span more than this factor.
LOG = 3
ACROSS = 4


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data, `tables/quality_cost.csv`.

    One set: one panel per cost, side by side. Several sets: one column per set, one row per cost; more sets than fit
    continue below.
    """
    data = study.table("quality_cost").dropna(subset="psnr_y")
    if data.empty:
        return empty("No trained model is scored yet."), data
    # Multiply-adds are preferred to hours, which depend on the machine.
    costs = ["parameters", "macs_per_output_pixel" if data["macs_per_output_pixel"].notna().any() else "train_hours"]
    costs = [cost for cost in costs if data[cost].notna().any()]
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    across = -(-len(keys) // -(-len(keys) // ACROSS))
    places = {
        (key, cost): (0, row) if len(keys) == 1 else (number // across * len(costs) + row, number % across)
        for number, key in enumerate(keys)
        for row, cost in enumerate(costs)
    }
    down, across = (1 + max(ends) for ends in zip(*places.values(), strict=True))
    size = (column() if across == 1 else page(), 1.75 * down + 0.5)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False)
    handles, firsts, rows = {}, {}, {}
    for (key, cost), place in places.items():
        points = data[(data["dataset"] == key[0]) & (data["task"] == key[1])].dropna(subset=cost)
        if points.empty:
            continue
        ax = axes[place]
        # The panels of one set share their scale.
        if firsts.setdefault(key, ax) is ax:
            title(ax, ", ".join(key), needed=len(keys) > 1)
        else:
            ax.sharey(firsts[key])
            ax.tick_params(labelleft=len(keys) > 1)
        if rows.setdefault(place[0], ax) is ax:
            ax.set_ylabel("PSNR-Y in dB")
        handles |= _panel(ax, points, cost, study)
        ax.set_xlabel(COSTS[cost])
    for ax in axes.flat:
        if not ax.has_data():
            ax.remove()
    for ax in firsts.values():
        ax.autoscale_view(scalex=False)
    equal_spans(firsts.values())
    legend(figure, list(handles.values()), list(handles))
    note(figure, _explain(data, costs))
    return figure, data


def _panel(ax: Axes, data: pd.DataFrame, cost: str, study: Study) -> dict:
    colors, markers, names = model_colors(study.runs), model_markers(study.runs), study.labels
    values = data[cost]
    log = len(values) > 0 and values.min() > 0 and values.max() > LOG * values.min()
    # An axis spans at least a fifth of its values, so that networks of matched cost appear close together.
    span = np.log(values.max() / values.min()) if log else max(np.ptp(values), 0.2 * values.max(), 1e-9)
    # Models of equal cost are moved apart a little, so that all are visible.
    equal = data.groupby(cost)[cost]
    shift = 0.04 * span * (equal.cumcount() - (equal.transform("size") - 1) / 2)
    places = values * np.exp(shift) if log else values + shift
    handles = {}
    for at, point in zip(places, data.to_dict("records"), strict=True):
        bar = None
        if pd.notna(point["low"]):
            bar = [[point["psnr_y"] - point["low"]], [point["high"] - point["psnr_y"]]]
        model = point["model"]
        handles[names[model]] = ax.errorbar(
            at, point["psnr_y"], bar, fmt=markers[model], color=colors[model], capsize=2, linewidth=1
        )
    if log:
        ax.set_xscale("log")
        ax.set_xlim(places.min() * np.exp(-0.12 * span), places.max() * np.exp(0.12 * span))
        ax.xaxis.set_major_locator(FixedLocator(_log_ticks(*ax.get_xlim())))
        ax.xaxis.set_minor_locator(NullLocator())
    elif len(places):
        middle = (places.max() + places.min()) / 2
        ax.set_xlim(middle - 0.62 * span, middle + 0.62 * span)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: thousands(value)))
    ax.margins(y=0.12)
    return handles


def _log_ticks(low: float, high: float) -> np.ndarray:
    """Round values within an axis, at least three: powers of ten, with others between if these are few."""
    for subs in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = np.array(LogLocator(subs=subs, numticks=50).tick_values(low, high))
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) >= 3:
            break
    return ticks


def _explain(data: pd.DataFrame, costs: list[str]) -> list[str]:
    at = " / ".join(percent(fraction) for fraction in sorted(data["fraction"].unique()))
    lines = [f"Trained on {at} of the images."]
    lines.append("Bars: 95 % t intervals over seeds." if data["low"].notna().any() else "One seed: no interval.")
    if data["low"].notna().any() and data["low"].isna().any():
        lines.append("Without a bar: one seed.")
    if any(data.dropna(subset=cost).duplicated([*SCORED_ON, cost]).any() for cost in costs):
        lines.append("Models of equal cost stand side by side.")
    return lines + [
        f"Left out: models with no {COSTS[cost]} on record for a task." for cost in costs if data[cost].isna().any()
    ]
