"""From scores per image to scores per method: means over images for each seed, then means over seeds."""

import numpy as np
import pandas as pd

from ipt_models.tasks import can_restore, parse_task
from workflows.analysis.records import AVERAGED, CENTRE, METRICS, PLAIN, RUN, SCORED_ON, tasks_of, transformers
from workflows.analysis.statistics import t_interval
from workflows.analysis.tables import columns

COSTS = ["steps", "patches", "task_patches", "parameters"]


def seen_by(results: pd.DataFrame, runs: pd.DataFrame, windows: str) -> pd.DataFrame:
    """Scores with one kind of IPT's windows; networks without windows have the same scores for both."""
    plain = results["setting"] == PLAIN
    if windows == CENTRE:
        return results[plain]
    ipts = results["model"].isin(transformers(runs))
    averaged = (results["setting"] == AVERAGED) & ipts
    return results[(averaged | (plain & ~ipts)) & averaged.any()].assign(setting=AVERAGED)


def identical_images(results: pd.DataFrame) -> pd.DataFrame:
    """The images that some model restored exactly; columns in `tables.py`.

    Their PSNR is infinite, which would make the mean infinite.
    """
    infinite = results[np.isinf(results[["psnr_y", "psnr_rgb"]]).any(axis=1)]
    by_image = infinite.groupby([*SCORED_ON, "image"], sort=False)["model"]
    return by_image.agg(lambda names: " ".join(dict.fromkeys(names))).rename("models").reset_index()


def common_images(results: pd.DataFrame) -> pd.DataFrame:
    """Only the images that every scored run has, for each task, dataset and setting, and that no model restored exactly.

    So all means are over the same images. It adds `images`, the number kept, and `images_known`, the number that any run has;
    tables say if the two differ.
    """
    exact = results[[*SCORED_ON, "image"]].merge(identical_images(results), how="left")["models"].notna()
    results = results[~exact.to_numpy()]
    group = [*SCORED_ON, "setting"]
    run = results.groupby(RUN, dropna=False).ngroup()
    runs_there = run.groupby([results[c] for c in group]).transform("nunique")
    runs_with = run.groupby([results[c] for c in [*group, "image"]]).transform("nunique")
    in_any_run = results.groupby(group)["image"].transform("nunique")
    kept = results.assign(images_known=in_any_run)[runs_with == runs_there]
    return kept.assign(images=kept.groupby(group)["image"].transform("nunique"))


def per_seed(results: pd.DataFrame, setting: str | None = PLAIN) -> pd.DataFrame:
    """Means over images, one row for each task, dataset, setting, model, fraction and seed.

    Args:
        results: as `read_results` gives it.
        setting: the setting to keep; None keeps all.
    """
    kept = common_images(results if setting is None else results[results["setting"] == setting])
    group = [*SCORED_ON, "setting", *RUN, "images", "images_known"]
    return kept.groupby(group, dropna=False, sort=False)[METRICS].mean().reset_index()


def summarise(results: pd.DataFrame, runs: pd.DataFrame, setting: str = PLAIN) -> pd.DataFrame:
    """One row for each task and dataset that was scored, and each model and fraction of the grid, missing ones included.

    Columns in `tables.py`; a number that differs between seeds is their mean.
    """
    seeds = per_seed(results, setting)
    key = ["model", "fraction"]
    cells = seeds.groupby([*SCORED_ON, *key], dropna=False, sort=False)
    # NaN is not equal to NaN, so None marks a missing fraction.
    scored = {(*on, None if pd.isna(fraction) else fraction): values for (*on, fraction), values in cells}
    planned = list(runs.groupby(key, dropna=False, sort=False))
    tasks = tasks_of(runs)
    rows = []
    for task, dataset, images, images_known in seeds.drop_duplicates(SCORED_ON)[
        [*SCORED_ON, "images", "images_known"]
    ].itertuples(index=False):
        for (model, fraction), cell in planned:
            values = scored.get((task, dataset, model, None if pd.isna(fraction) else fraction), seeds[:0])
            if values.empty and not (model in tasks and can_restore(tasks[model], parse_task(task))):
                continue  # bicubic does not denoise, nor does a super-resolution network, so nothing is missing
            row = {"task": task, "dataset": dataset, "model": model, "fraction": fraction}
            row |= {"seeds": len(values), "seeds_planned": len(cell), "images": images, "images_known": images_known}
            for metric in METRICS:
                interval = t_interval(values[metric].dropna())
                row |= {metric: interval.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
            costs = cell.rename(columns={f"patches_{task}": "task_patches"})
            row |= {cost: costs[cost].astype("Float64").mean() if cost in costs else pd.NA for cost in COSTS}
            rows.append(row)
    return pd.DataFrame(rows, columns=columns("summary"))


def ensembled(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The summary of scores by averaged windows or the ×8 self-ensemble, one `setting` after the other.

    Only models and fractions with such scores have rows; others were not requested.
    """
    tables = [summarise(results, runs, "none").assign(setting="")]
    for setting in (setting for setting in dict.fromkeys(results["setting"]) if setting != PLAIN):
        table = summarise(results, runs, setting)
        for column in ("model", "fraction"):
            table = table[table.groupby([*SCORED_ON, column], dropna=False)["seeds"].transform("sum") > 0]
        tables.append(table.assign(setting=setting))
    return pd.concat(tables[1:] or tables, ignore_index=True)
