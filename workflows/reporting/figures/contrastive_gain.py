"""What the contrastive loss gained: PSNR with it minus without, paired by seed and image, at every fraction."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workflows.reporting.records import labels
from workflows.reporting.style import empty, legend, model_colors, model_markers, note, panels
from workflows.reporting.twins import gains


def draw(results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data as `gains` gives it."""
    data = gains(results, runs)
    if data.empty:
        return empty("No model is scored both with and without the contrastive loss."), data
    figure, axes = panels(list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True))), height=2.1)
    colors, markers, names = model_colors(runs), model_markers(runs), labels(runs)
    fractions = sorted(data["fraction"].unique())
    handles = {}
    for (dataset, task), ax in axes.items():
        here = data[(data["dataset"] == dataset) & (data["task"] == task)]
        twins = list(dict.fromkeys(here["with"]))
        for number, twin in enumerate(twins):
            shift = 0.6 * ((number + 0.5) / len(twins) - 0.5)
            line = here[here["with"] == twin]
            place = line["fraction"].map(fractions.index) + shift
            mean = line["level"] == "mean"
            single = line["level"] == ("image" if (line.loc[mean, "over"] == "images").all() else "seed")
            spread = place[single] + np.resize([-0.14, 0.08, -0.08, 0.14], single.sum()) / len(twins)
            ax.plot(
                spread, line.loc[single, "gain"], ".", color=colors[twin], alpha=0.5, markersize=5, markeredgewidth=0
            )
            half = [line.loc[mean, "gain"] - line.loc[mean, "low"], line.loc[mean, "high"] - line.loc[mean, "gain"]]
            handles[f"{names[twin]} − {names[line['without'].iloc[0]]}"] = ax.errorbar(
                place[mean],
                line.loc[mean, "gain"],
                half,
                color=colors[twin],
                fmt=markers[twin],
                capsize=2.5,
                linewidth=1.2,
            )
        ax.axhline(0, color="0.35", linewidth=0.8, zorder=0)
        ax.set_xticks(range(len(fractions)), [f"{100 * f:g}" for f in fractions])
        ax.set_xlim(-0.6, len(fractions) - 0.4)
        if ax.get_subplotspec().is_last_row():
            ax.set_xlabel("share of the training images in %")
        ax.set_ylabel("gain in PSNR-Y in dB")
        ax.set_title(f"{dataset}, {task}", loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    legend(figure, list(handles.values()), list(handles), columns=1 if len(handles) < 3 else 2)
    note(figure, _explain(data[data["level"] == "mean"]))
    return figure, data


def _explain(means: pd.DataFrame) -> str:
    lines = []
    if (means["over"] == "seeds").any():
        lines.append("Dots: seeds. Bars: 95 % t intervals over seeds, paired by seed.")
    if (means["over"] == "images").any():
        lines.append(
            "One seed: dots and bars (95 % t intervals) are over images,\npaired by image; nothing about other trainings."
        )
    return "\n".join(lines)
