"""What the contrastive loss gained: PSNR with it minus without, paired by seed and image, at every fraction; and how much
of the gradient it was.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.analysis.contrastive_pairs import gains
from workflows.analysis.records import labels
from workflows.reporting.style import empty, legend, model_colors, model_markers, note, panels

SHARE = "share"


def draw(results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data: as `gains` gives it, then rows of level `share` with λ·contrastive's share of the gradient's
    norm, one a run.
    """
    data = gains(results, runs)
    if data.empty:
        return empty("No model is scored both with and without the contrastive loss."), data
    shares = gradient_shares(data, runs)
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    figure, axes = panels([*keys, *([SHARE] if len(shares) else [])], height=2.0)
    fractions = sorted(data["fraction"].unique())
    handles = {}
    for key, ax in axes.items():
        if key == SHARE:
            _draw_shares(ax, shares, runs, fractions)
        else:
            here = data[(data["dataset"] == key[0]) & (data["task"] == key[1])]
            handles |= _draw_gains(ax, here, runs, fractions)
            ax.set_title(", ".join(key), loc="left")
        ax.set_xticks(range(len(fractions)), [f"{100 * f:g}" for f in fractions])
        ax.set_xlim(-0.6, len(fractions) - 0.4)
        if ax.get_subplotspec().is_last_row():
            ax.set_xlabel("share of the training images in %")
        ax.spines[["top", "right"]].set_visible(False)
    legend(figure, list(handles.values()), list(handles), columns=1 if len(handles) < 3 else 2)
    note(figure, _explain(data[data["level"] == "mean"]))
    return figure, pd.concat([data, shares], ignore_index=True) if len(shares) else data


def gradient_shares(data: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of level `share`: with, weight, fraction, seed, share (0 to 1); nothing where the logs have none."""
    if "contrastive_share" not in runs:
        return pd.DataFrame()
    there = runs[runs["model"].isin(data["with"]) & runs["contrastive_share"].notna()]
    table = there[["model", "contrastive", "fraction", "seed", "contrastive_share"]].assign(level=SHARE)
    return table.rename(columns={"model": "with", "contrastive": "weight", "contrastive_share": SHARE})


def _places(rows: pd.DataFrame, twins: list[str], fractions: list[float]) -> pd.Series:
    """Where rows stand on the axis of fractions, twins side by side."""
    shift = rows["with"].map({twin: 0.6 * ((number + 0.5) / len(twins) - 0.5) for number, twin in enumerate(twins)})
    shift = shift.astype("float64")  # of no rows too
    return rows["fraction"].map(fractions.index) + shift


def _draw_gains(ax: Axes, here: pd.DataFrame, runs: pd.DataFrame, fractions: list[float]) -> dict:
    colors, markers, names = model_colors(runs), model_markers(runs), labels(runs)
    twins, handles = list(dict.fromkeys(here["with"])), {}
    over_seeds = (here["over"] == "seeds").any()
    for twin in twins:
        line = here[here["with"] == twin]
        color = colors[twin]
        single = line[line["level"] == ("seed" if over_seeds else "image")]
        # A single seed is its own mean.
        single = single[single.groupby("fraction")["gain"].transform("size") > 1]
        spread = _places(single, twins, fractions) + np.resize([-0.14, 0.08, -0.08, 0.14], len(single)) / len(twins)
        ax.plot(spread, single["gain"], ".", color=color, alpha=0.5, markersize=5, markeredgewidth=0)
        mean = line[line["level"] == "mean"]
        # Among means over seeds, one seed's has no bar: an interval over images would look like one over seeds.
        sure = mean[mean["over"] == "seeds"] if over_seeds else mean
        half = [sure["gain"] - sure["low"], sure["high"] - sure["gain"]]
        style = {"color": color, "fmt": markers[twin]}
        handles[f"{names[twin]} − {names[line['without'].iloc[0]]}"] = ax.errorbar(
            _places(sure, twins, fractions), sure["gain"], half, capsize=2.5, linewidth=1.2, **style
        )
        alone = mean.drop(sure.index)
        ax.plot(_places(alone, twins, fractions), alone["gain"], markers[twin], color=color, markerfacecolor="white")
    ax.axhline(0, color="0.35", linewidth=0.8, zorder=0)
    ax.set_ylabel("gain in PSNR-Y in dB")
    return handles


def _draw_shares(ax: Axes, shares: pd.DataFrame, runs: pd.DataFrame, fractions: list[float]) -> None:
    colors, markers = model_colors(runs), model_markers(runs)
    twins = list(dict.fromkeys(shares["with"]))
    for twin, line in shares.groupby("with", sort=False):
        mean = line.groupby("fraction", as_index=False)[SHARE].mean().assign(**{"with": twin})
        ax.plot(
            _places(line, twins, fractions), 100 * line[SHARE], ".", color=colors[twin], alpha=0.5, markeredgewidth=0
        )
        ax.plot(_places(mean, twins, fractions), 100 * mean[SHARE], markers[twin], color=colors[twin])
    ax.set_ylim(0, 115 * shares[SHARE].max())
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel("share in %")
    ax.set_title("λ · contrastive's share of the gradient", loc="left")


def _explain(means: pd.DataFrame) -> str:
    lines = []
    if (means["over"] == "seeds").any():
        lines.append("Dots: seeds. Bars: 95 % t intervals over seeds, paired by seed.")
        if (means["over"] == "images").any():
            lines.append("Hollow: one seed, no interval.")
    else:
        lines.append(
            "One seed: dots and bars (95 % t intervals) are over images,\npaired by image; nothing about other trainings."
        )
    return "\n".join(lines)
