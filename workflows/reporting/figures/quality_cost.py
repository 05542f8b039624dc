"""Quality against cost: PSNR at the largest fraction against parameters and against what a pixel or a training costs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from workflows.analysis.means import summarise
from workflows.analysis.records import MACS, labels, models
from workflows.reporting.style import COLUMN, empty, legend, model_colors, model_markers, note, thousands

COSTS = {
    "parameters": "parameters",
    "macs_per_output_pixel": "multiply-adds\nan output pixel",
    "train_hours": "training hours a run",
}


def draw(results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its data: task, dataset, model, psnr_y, low, high (95 % over seeds), seeds and the costs."""
    data = points(results, runs)
    if data.empty:
        return empty("No trained model is scored yet."), data
    # Multiply-adds say more than hours, which depend on the machine.
    wanted = ["parameters", "macs_per_output_pixel" if data["macs_per_output_pixel"].notna().any() else "train_hours"]
    keys = list(dict.fromkeys(zip(data["dataset"], data["task"], strict=True)))
    figure, axes = plt.subplots(
        len(keys), 2, figsize=(COLUMN, 1.75 * len(keys) + 0.7), sharex="col", sharey="row", squeeze=False
    )
    colors, markers, names = model_colors(runs), model_markers(runs), labels(runs)
    handles = {}
    for (dataset, task), row in zip(keys, axes, strict=True):
        here = data[(data["dataset"] == dataset) & (data["task"] == task)]
        for cost, ax in zip(wanted, row, strict=True):
            values, log = here[cost], here[cost].max() > 3 * here[cost].min()
            # Twins cost the same: moved apart a little, so that both are seen.
            # An axis spans a fifth of its values at least: networks of matched cost stand together.
            span = np.log(values.max() / values.min()) if log else max(np.ptp(values), 0.2 * values.max())
            shift = 0.03 * span * here.groupby(cost).cumcount()
            places = values * np.exp(shift) if log else values + shift
            for point in here.assign(**{cost: places}).to_dict("records"):
                bar = (
                    None
                    if pd.isna(point["low"])
                    else [[point["psnr_y"] - point["low"]], [point["high"] - point["psnr_y"]]]
                )
                model = point["model"]
                handles[names[model]] = ax.errorbar(
                    point[cost], point["psnr_y"], bar, fmt=markers[model], color=colors[model], capsize=2, linewidth=1
                )
            if log:
                ax.set_xscale("log")
                ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
                ax.xaxis.set_minor_formatter(NullFormatter())
                ax.xaxis.set_major_formatter(lambda value, _: thousands(value) if value >= 1 else f"{value:.2g}")
            else:
                ax.xaxis.set_major_locator(MaxNLocator(3))
                middle = (values.max() + values.min()) / 2
                ax.set_xlim(middle - 0.7 * span, middle + 0.7 * span)
                ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:.2g}")
            ax.margins(x=0.2, y=0.15)
            ax.spines[["top", "right"]].set_visible(False)
            if ax.get_subplotspec().is_last_row():
                ax.set_xlabel(COSTS[cost])
        row[0].set_title(f"{dataset}, {task}", loc="left")
        row[0].set_ylabel("PSNR-Y in dB")
    legend(figure, list(handles.values()), list(handles))
    note(figure, _explain(data))
    return figure, data


def points(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a model, task and dataset, at the model's largest scored fraction."""
    summary = summarise(results, runs)
    scored = summary[summary["fraction"].notna() & summary["psnr_y"].notna()]
    top = scored.sort_values("fraction", kind="stable").drop_duplicates(["task", "dataset", "model"], keep="last")
    columns = ["task", "dataset", "model", "fraction", "seeds", "psnr_y", "psnr_y_low", "psnr_y_high"]
    top = top[columns].rename(columns={"psnr_y_low": "low", "psnr_y_high": "high"})
    columns = ["parameters", "train_hours", *(column for column in runs if column.startswith(MACS))]
    mean = runs.reindex(columns=["model", *columns]).astype(dict.fromkeys(columns, "float64")).groupby("model").mean()
    order = {model: number for number, model in enumerate(models(runs))}
    top = top.join(mean, on="model")
    top["macs_per_output_pixel"] = [row.get(MACS + row["task"], np.nan) for row in top.to_dict("records")]
    top = top.drop(columns=[column for column in top if column.startswith(MACS)])
    return top.sort_values("model", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def _explain(data: pd.DataFrame) -> str:
    at = " / ".join(f"{100 * fraction:g} %" for fraction in sorted(data["fraction"].unique()))
    bars = "Bars: 95 % t intervals over seeds." if data["low"].notna().any() else "One seed: no interval."
    return f"Trained on {at} of the images. {bars}"
