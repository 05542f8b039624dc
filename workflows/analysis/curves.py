"""The data of line figures: quality against data, quality against cost, and training curves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflows.analysis.means import common_images, per_seed, seen_by
from workflows.analysis.records import CENTRE, MACS, RUN, SCORED_ON, WINDOWS, data_size, images_at, models
from workflows.analysis.statistics import t_interval, within_image_interval
from workflows.analysis.tables import columns
from workflows.readers import read_csv

SEEDS, IMAGES = "seeds", "images"

# A single batch's loss is mostly noise, so the curve is a centred mean over this fraction of the rows.
SMOOTHING = 0.05


def quality_data(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y of each model at each fraction, with the amount of data; columns in `tables.py`."""
    patches = data_size(runs)
    sizes = {"images": images_at(runs), "distinct_patches": patches[1] if patches[0] == "distinct_patches" else {}}
    tables = []
    for windows in WINDOWS:
        scores = seen_by(results, runs, windows)
        seeds = per_seed(scores, setting=None)
        group = [*SCORED_ON, "model", "fraction"]
        cells = seeds.groupby(group, dropna=False, sort=False)["psnr_y"]
        rows = [
            dict(zip(group, cell, strict=True))
            | dict(zip(("psnr_y", "low", "high", SEEDS), t_interval(of), strict=True))
            for cell, of in cells
        ]
        if not rows:
            continue
        table = pd.DataFrame(rows)
        table["over"] = np.where(table["low"].notna(), SEEDS, "")
        if not table["low"].notna().any():
            _over_images(table, scores)
        tables.append(table.assign(windows=windows))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns("quality_data"))
    for column, by_fraction in sizes.items():
        table[column] = table["fraction"].map(by_fraction)
    return table[columns("quality_data")]


def _over_images(table: pd.DataFrame, scores: pd.DataFrame) -> None:
    """If no model has two seeds: intervals over images, with the images' own levels removed."""
    scores = common_images(scores)
    for (task, dataset), of_set in scores[scores["fraction"].notna()].groupby(SCORED_ON):
        by_image = of_set.pivot_table(index=["model", "fraction"], columns="image", values="psnr_y")
        means, half = within_image_interval(by_image)
        for (model, fraction), mean, width in zip(by_image.index, means, half, strict=True):
            row = (table["task"] == task) & (table["dataset"] == dataset)
            row &= (table["model"] == model) & (table["fraction"] == fraction)
            table.loc[row, ["low", "high"]] = mean - width, mean + width
            table.loc[row, "over"] = IMAGES


def quality_cost(data: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Each model's PSNR-Y at its largest fraction and its costs, from the table `quality_data`; columns in `tables.py`."""
    data = data[(data["windows"] == CENTRE) & data["fraction"].notna()]
    top = data.sort_values("fraction", kind="stable").drop_duplicates([*SCORED_ON, "model"], keep="last")
    top = top[[*SCORED_ON, "model", "fraction", "seeds", "psnr_y", "low", "high", "over"]].copy()
    top.loc[top["over"] != SEEDS, ["low", "high"]] = np.nan
    costs = ["parameters", "train_hours", *(column for column in runs if column.startswith(MACS))]
    mean = runs.reindex(columns=["model", *costs]).astype(dict.fromkeys(costs, "float64")).groupby("model").mean()
    top = top.drop(columns="over").join(mean, on="model")
    top["macs_per_output_pixel"] = [row.get(MACS + row["task"], np.nan) for row in top.to_dict("records")]
    top = top.drop(columns=[column for column in top if column.startswith(MACS)])
    order = {model: number for number, model in enumerate(models(runs))}
    return top.sort_values("model", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def learning_curves(runs: pd.DataFrame, train_logs: Sequence[Path]) -> pd.DataFrame:
    """Loss and held-out PSNR against the step, means over seeds; columns in `tables.py`.

    Args:
        train_logs: `runs/<run>/train.csv`; those of runs that are not in `runs` are left out.
    """
    by_run = runs.set_index("run")
    tables = []
    for path in map(Path, train_logs):
        name = path.parent.name
        if name not in by_run.index or not path.is_file():
            continue
        log = read_csv(path, ("step", "l1"))
        window = max(1, round(SMOOTHING * len(log)))
        table = pd.DataFrame({"step": log["step"], "l1": log["l1"].rolling(window, center=True, min_periods=1).mean()})
        table["validation_psnr"] = log.get("validation_psnr")
        tables.append(table.assign(**{column: by_run.loc[name, column] for column in RUN}))
    if not tables:
        return pd.DataFrame(columns=columns("learning_curves"))
    group = pd.concat(tables).groupby(["model", "fraction", "step"], sort=True)
    return group[["l1", "validation_psnr"]].mean().assign(seeds=group["seed"].nunique()).reset_index()


def gradient_shares_by_seed(runs: pd.DataFrame) -> pd.DataFrame:
    """The share of each run's gradient norm that comes from λ · contrastive; columns in `tables.py`."""
    shares = runs.rename(columns={"contrastive": "weight", "contrastive_share": "share"})
    return shares.reindex(columns=columns("gradient_shares_by_seed")).dropna(subset="share")


def gradient_shares(by_seed: pd.DataFrame) -> pd.DataFrame:
    """The means of `gradient_shares_by_seed` over seeds; columns in `tables.py`."""
    group = by_seed.groupby(["model", "weight", "fraction"], sort=False)["share"]
    return group.agg(share="mean", seeds="count").reset_index()
