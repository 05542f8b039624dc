"""From scores of images to scores of methods: means over images for each seed, then means over seeds."""

import numpy as np
import pandas as pd

from workflows.analysis.records import AVERAGED, CENTRE, METRICS, PLAIN, RUN, SCORED_ON, transformers
from workflows.analysis.statistics import t_interval

COSTS = ["steps", "patches", "task_patches", "parameters"]


def seen_by(results: pd.DataFrame, runs: pd.DataFrame, windows: str) -> pd.DataFrame:
    """Scores with IPT's windows cut one way; networks without windows have the same scores in both."""
    plain = results["setting"] == PLAIN
    if windows == CENTRE:
        return results[plain]
    ipts = results["model"].isin(transformers(runs))
    averaged = (results["setting"] == AVERAGED) & ipts
    return results[(averaged | (plain & ~ipts)) & averaged.any()].assign(setting=AVERAGED)


def identical_images(results: pd.DataFrame) -> pd.DataFrame:
    """The images that some model restored without any error; columns in `tables.py`.

    Their PSNR is infinite, and so would be the mean of all images.
    """
    infinite = results[np.isinf(results[["psnr_y", "psnr_rgb"]]).any(axis=1)]
    by_image = infinite.groupby([*SCORED_ON, "image"], sort=False)["model"]
    return by_image.agg(lambda names: " ".join(dict.fromkeys(names))).rename("models").reset_index()


def common_images(results: pd.DataFrame) -> pd.DataFrame:
    """Only the images that every scored run has, for each task, dataset and setting, and that no model restored exactly.

    Nothing is averaged over different sets of images. `images` is added, the number kept, and `images_known`, the
    number that any run has; where the two differ, tables say so.
    """
    exact = results[[*SCORED_ON, "image"]].merge(identical_images(results), how="left")["models"].notna()
    results = results[~exact.to_numpy()]
    group = [*SCORED_ON, "setting"]
    run = results.groupby(RUN, dropna=False).ngroup()
    runs_there = run.groupby([results[c] for c in group]).transform("nunique")
    runs_with = run.groupby([results[c] for c in [*group, "image"]]).transform("nunique")
    known = results.groupby(group)["image"].transform("nunique")
    kept = results.assign(images_known=known)[runs_with == runs_there]
    return kept.assign(images=kept.groupby(group)["image"].transform("nunique"))


def per_seed(results: pd.DataFrame, setting: str | None = PLAIN) -> pd.DataFrame:
    """Means over images, one row for each task, dataset, setting, model, fraction and seed.

    Args:
        results: as `read_results` gives it.
        setting: keep only this one; None keeps all.
    """
    kept = common_images(results if setting is None else results[results["setting"] == setting])
    group = [*SCORED_ON, "setting", *RUN, "images", "images_known"]
    return kept.groupby(group, dropna=False, sort=False)[METRICS].mean().reset_index()


def summarise(results: pd.DataFrame, runs: pd.DataFrame, setting: str = PLAIN) -> pd.DataFrame:
    """One row for each task and dataset that was scored, and each model and fraction of the grid, missing ones included.

    Columns: task, dataset, model, fraction; `seeds` scored and `seeds_planned`; `images` averaged and `images_known`;
    each metric as mean, `_low` and `_high` (95 % t interval over seeds; empty with one); steps, patches, `task_patches`
    (patches seen of this task), parameters. A number that differs between seeds is their mean.
    """
    seeds = per_seed(results, setting)
    grid = runs.drop_duplicates(["model", "fraction"])[["model", "fraction"]]
    scored = seeds.drop_duplicates(SCORED_ON)[[*SCORED_ON, "images", "images_known"]]
    rows = []
    for on in scored.itertuples():
        here = seeds[(seeds["task"] == on.task) & (seeds["dataset"] == on.dataset)]
        for cell in grid.itertuples():
            values = here[_is(here, cell)]
            planned = runs[_is(runs, cell)]
            if pd.isna(cell.fraction) and values.empty:
                continue  # bicubic does not denoise and identity does not enlarge: no gap in the grid
            row = {"task": on.task, "dataset": on.dataset, "model": cell.model, "fraction": cell.fraction}
            row |= {"seeds": len(values), "seeds_planned": len(planned)}
            row |= {"images": on.images, "images_known": on.images_known}
            for metric in METRICS:
                interval = t_interval(values[metric].dropna())
                row |= {metric: interval.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
            costs = planned.rename(columns={f"patches_{on.task}": "task_patches"})
            row |= {cost: costs[cost].astype("Float64").mean() if cost in costs else pd.NA for cost in COSTS}
            rows.append(row)
    columns = [*SCORED_ON, "model", "fraction", "seeds", "seeds_planned", "images", "images_known"]
    columns += [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*columns, *COSTS])


def ensembled(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The summary of scores by overlap averaging or the ×8 self-ensemble, one `setting` after the other."""
    settings = [setting for setting in dict.fromkeys(results["setting"]) if setting != PLAIN]
    tables = [summarise(results, runs, setting).assign(setting=setting) for setting in settings]
    return pd.concat(tables, ignore_index=True) if tables else summarise(results, runs, "none").assign(setting="")


def _is(table: pd.DataFrame, cell) -> pd.Series:
    same = table["fraction"].isna() if pd.isna(cell.fraction) else table["fraction"] == cell.fraction
    return (table["model"] == cell.model) & same
