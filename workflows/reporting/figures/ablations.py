"""Effects of single settings (λ, position encoding, …) that differ between models of the experiment."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.analysis.records import percent
from workflows.reporting.study import Study
from workflows.reporting.style import column, empty, model_colors, note, panels, row_height, same_limits, wrapped

TITLES = {
    "contrastive.weight": "contrastive weight λ",
    "contrastive.temperature": "temperature",
    "kwargs.position": "position encoding",
}


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, one panel per factor, task and dataset, and its data, `tables/ablations.csv`."""
    data = study.table("ablations")
    if data["over"].notna().sum() == 0:
        return empty("No two scored models differ in only one factor."), data
    group = ["factor", "baseline", "dataset", "task"]
    keys = list(dict.fromkeys(data[group].itertuples(index=False, name=None)))
    colors, names = model_colors(study.runs), study.labels
    # Two groups with one baseline share a panel, where it has one bar, and models with one value have their labels.
    bars = data.drop_duplicates([*group, "model"]).astype({"value": "str"})
    alone = ~bars.duplicated([*group, "value"], keep=False)
    bars["name"] = bars["value"].where(alone, bars["value"] + " (" + bars["model"].map(names) + ")")
    bars["name"] = bars["name"].map(lambda name: wrapped(name, 0.4 * column()))
    figure, axes = panels(keys, 0.65 + bars.groupby(group).size().max() * row_height(bars["name"]), most=3)
    for key, ax in axes.items():
        factor, baseline, dataset, task = key
        rows = bars[(bars[group] == list(key)).all(axis=1)].reset_index(drop=True)
        ax.use_sticky_edges = False  # the line at 0 is inside
        ax.barh(rows.index, rows["effect"], color=[colors[model] for model in rows["model"]], height=0.6)
        ax.set_yticks(rows.index, rows["name"])
        sure = rows.dropna(subset="low")
        half = [sure["effect"] - sure["low"], sure["high"] - sure["effect"]]
        ax.errorbar(sure["effect"], sure.index, xerr=half, fmt="none", color="0.4", capsize=2, linewidth=0.9)
        ax.axvline(0, color="0.35", linewidth=0.8)
        ax.invert_yaxis()
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_xlabel(f"gain in PSNR-Y over {names[baseline]} in dB")
        ax.set_title(f"{TITLES.get(factor, factor)}\n({dataset}, {task})", loc="left")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    same_limits(axes.values(), "x")
    note(figure, _explain(data))
    return figure, data


def _explain(data: pd.DataFrame) -> list[str]:
    at = " / ".join(percent(fraction) for fraction in sorted(data["fraction"].dropna().unique()))
    over = set(data["over"].dropna())
    lines = [f"At {at} of the images. Bars of 0: the baseline."]
    if "seeds" in over:
        lines.append("Whiskers: 95 % t intervals over seeds.")
    if "images" in over:
        lines.append("One seed: whiskers are 95 % t intervals over images; they say nothing about other trainings.")
    return lines
