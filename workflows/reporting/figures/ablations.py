"""What single settings did: λ, position encoding, whatever models of the experiment differ in one at a time."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.analysis.ablations import effects
from workflows.analysis.factors import WEIGHT
from workflows.analysis.records import labels, percent
from workflows.reporting.style import empty, model_colors, note, panels

TITLES = {
    WEIGHT: "contrastive weight λ",
    "contrastive.temperature": "temperature",
    "kwargs.position": "position encoding",
}


def draw(results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> tuple[Figure, pd.DataFrame]:
    """The figure, one panel a factor, task and dataset, and its data as `effects` gives it."""
    data = effects(results, runs)
    if data["over"].notna().sum() == 0:
        return empty("No two scored models differ in one setting alone."), data
    keys = list(dict.fromkeys(zip(data["factor"], data["baseline"], data["dataset"], data["task"], strict=True)))
    most = max(len(here) for _, here in data.groupby(["factor", "baseline", "dataset", "task"]))
    figure, axes = panels(keys, height=0.62 + 0.2 * most)
    colors, names = model_colors(runs), labels(runs)
    for (factor, baseline, dataset, task), ax in axes.items():
        here = data[(data["factor"] == factor) & (data["baseline"] == baseline)]
        here = here[(here["dataset"] == dataset) & (here["task"] == task)]
        ax.barh(here["value"], here["effect"], color=[colors[model] for model in here["model"]], height=0.6)
        sure = here.dropna(subset="low")
        half = [sure["effect"] - sure["low"], sure["high"] - sure["effect"]]
        ax.errorbar(sure["effect"], sure["value"], xerr=half, fmt="none", color="0.2", capsize=2, linewidth=0.9)
        ax.axvline(0, color="0.35", linewidth=0.8)
        ax.invert_yaxis()
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_xlabel(f"PSNR-Y minus {names[baseline]}'s in dB")
        ax.set_title(f"{TITLES.get(factor, factor)} ({dataset}, {task})", loc="left")
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
    note(figure, _explain(data))
    return figure, data


def _explain(data: pd.DataFrame) -> str:
    at = " / ".join(percent(fraction) for fraction in sorted(data["fraction"].dropna().unique()))
    over = set(data["over"].dropna())
    lines = [f"At {at} of the images. Bars of 0: the baseline."]
    if "seeds" in over:
        lines.append("Whiskers: 95 % t intervals over seeds, paired by seed.")
    if "images" in over:
        lines.append("One seed: whiskers are 95 % t intervals over images;\nthey say nothing about other trainings.")
    return "\n".join(lines)
