"""Gain from the contrastive loss: PSNR with it minus PSNR without, paired by seed, at every fraction; and its part of the
gradient.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.analysis.records import CENTRE
from workflows.reporting.study import Study
from workflows.reporting.style import (
    empty,
    leftmost,
    legend,
    lowest,
    model_colors,
    model_markers,
    note,
    panels,
    same_limits,
    spaced,
    title,
)

RATIO = "ratio"


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data: as `tables/contrastive.csv`, then rows of level `ratio` with the contrastive term's part of
    the gradient's norm, one per run.
    """
    data = study.table("contrastive")
    data = data[data["windows"] == CENTRE].drop(columns="windows")
    if data.empty:
        return empty("No model is scored both with and without the contrastive loss."), data
    ratios = gradient_ratios(data, study.table("gradient_shares_by_seed"))
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    figure, axes = panels([*keys, *([RATIO] if len(ratios) else [])])
    fractions = sorted({*data["fraction"], *ratios["fraction"]})
    handles: dict = {}
    for key, ax in axes.items():
        if key == RATIO:
            _draw_ratios(ax, ratios, study, fractions)
        else:
            rows = data[(data["dataset"] == key[0]) & (data["task"] == key[1])]
            handles |= _draw_gains(ax, rows, study, fractions)
            title(ax, ", ".join(key), needed=len(keys) > 1)
        across = 1 if len(axes) == 1 else min(len(axes), 4)
        labelled = spaced(range(len(fractions)), len(fractions) / (18 if across == 1 else 36 / across))
        ax.set_xticks(
            range(len(fractions)), [f"{100 * f:g}" if s else "" for f, s in zip(fractions, labelled, strict=True)]
        )
        ax.set_xlim(-0.6, len(fractions) - 0.4)
    gains = [ax for key, ax in axes.items() if key != RATIO]
    same_limits(gains, "y")
    for ax in gains:
        ax.tick_params(labelleft=ax in leftmost(gains))
    for ax in set(leftmost(axes.values())) & set(gains):
        ax.set_ylabel("gain in PSNR-Y in dB")
    for ax in lowest(axes.values()):
        ax.set_xlabel("training images in %")
    legend(figure, list(handles.values()), list(handles))
    note(figure, _explain(data[data["level"] == "mean"]))
    return figure, pd.concat([data, ratios], ignore_index=True) if len(ratios) else data


def gradient_ratios(data: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """Rows of level `ratio`: with, weight, fraction, seed, ratio (0 to 1); empty if the logs have none."""
    rows = shares[shares["model"].isin(data["with"])].assign(level=RATIO)
    return rows.rename(columns={"model": "with", "share": RATIO})


def _places(rows: pd.DataFrame, pairs: list[str], fractions: list[float]) -> pd.Series:
    """Positions of rows on the axis of fractions, pairs side by side."""
    shift = {name: 0.6 * ((number + 0.5) / len(pairs) - 0.5) for number, name in enumerate(pairs)}
    places = [fractions.index(f) + shift[name] for f, name in zip(rows["fraction"], rows["with"], strict=True)]
    return pd.Series(places, rows.index, dtype="float64")


def _draw_gains(ax: Axes, rows: pd.DataFrame, study: Study, fractions: list[float]) -> dict:
    colors, markers, names = model_colors(study.runs), model_markers(study.runs), study.labels
    pairs, handles = list(dict.fromkeys(rows["with"])), {}
    over_seeds = (rows["over"] == "seeds").any()
    for name in pairs:
        line = rows[rows["with"] == name]
        color = colors[name]
        single = line[line["level"] == ("seed" if over_seeds else "image")]
        # A single seed is its own mean.
        single = single[single.groupby("fraction")["gain"].transform("size") > 1]
        spread = _places(single, pairs, fractions) + np.resize([-0.14, 0.08, -0.08, 0.14], len(single)) / len(pairs)
        ax.plot(spread, single["gain"], ".", color=color, alpha=0.5, markersize=5, markeredgewidth=0)
        mean = line[line["level"] == "mean"]
        # Next to means over seeds, a single seed has no bar: an interval over images would look like one over seeds.
        sure = mean[mean["over"] == "seeds"] if over_seeds else mean
        half = [sure["gain"] - sure["low"], sure["high"] - sure["gain"]]
        style = {"color": color, "fmt": markers[name]}
        handles[f"{names[name]} − {names[line['without'].iloc[0]]}"] = ax.errorbar(
            _places(sure, pairs, fractions), sure["gain"], half, capsize=2.5, linewidth=1.2, **style
        )
        alone = mean.drop(sure.index)
        ax.plot(_places(alone, pairs, fractions), alone["gain"], markers[name], color=color, markerfacecolor="white")
    ax.axhline(0, color="0.35", linewidth=0.8, zorder=0)
    return handles


def _draw_ratios(ax: Axes, ratios: pd.DataFrame, study: Study, fractions: list[float]) -> None:
    colors, markers = model_colors(study.runs), model_markers(study.runs)
    pairs = list(dict.fromkeys(ratios["with"]))
    for name, line in ratios.groupby("with", sort=False):
        places = _places(line, pairs, fractions)
        ax.plot(places, 100 * line[RATIO], markers[name], color=colors[name], alpha=0.6, markersize=3)
    ax.set_ylim(0, 115 * ratios[RATIO].max())
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    title(ax, "contrastive part of\nthe gradient in %")


def _explain(means: pd.DataFrame) -> list[str]:
    if (means["over"] == "seeds").any():
        lines = ["Dots: seeds. Bars: 95 % t intervals over seeds, paired by seed."]
        return lines + ["Hollow: one seed, no interval."] * bool((means["over"] == "images").any())
    return [
        "One seed: dots and bars (95 % t intervals) are over images,",
        "paired by image; nothing about other trainings.",
    ]
