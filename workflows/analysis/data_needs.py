"""Each model's gain from more data, whether data limited it, and the expected gain from even more: one row per model and set."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from workflows.analysis.records import CENTRE, SCORED_ON, models
from workflows.analysis.statistics import t_interval
from workflows.analysis.tables import columns


def data_needs(tables: Mapping[str, pd.DataFrame], laws: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table `data`, from the tables `gains` and `claims` and the power laws; columns in `tables.py`."""
    bought = tables["gains"]
    bought = bought[bought["windows"] == CENTRE].drop_duplicates([*SCORED_ON, "model"])  # the first span is the widest
    bought = bought.drop(columns=["windows", "measure", "span", "p_holm"])
    for end in ("smallest", "largest"):
        for name, column in (("crops", "crops_per_image"), ("gap", "gap")):
            bought[f"{name}_{end}"] = [_mean(runs, row["model"], row[end], column) for row in bought.to_dict("records")]
    answers = tables["claims"]
    answers = answers[(answers["claim"] == "data_limited") & (answers["windows"] == CENTRE)]
    answers = answers[[*SCORED_ON, "model", "answer"]].rename(columns={"answer": "limiting"})
    keys = [*SCORED_ON, "model"]
    return bought.merge(answers, on=keys, how="left").merge(laws, on=keys, how="left")


def _mean(runs: pd.DataFrame, model: str, fraction: float, column: str) -> float:
    of = runs[(runs["model"] == model) & (runs["fraction"] == fraction)]
    return of[column].astype("float64").mean() if column in of else np.nan


def loss_gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """The table `gaps`: held-out loss minus the loss on a run's own images; columns in `tables.py`."""
    means = ["images", "crops_per_image", "training_l1", "validation_l1"]
    if not {"gap", *means} <= set(runs):
        return pd.DataFrame(columns=columns("gaps"))
    measured = runs.dropna(subset=["fraction", "gap"])
    rows = []
    for model in models(measured):
        for fraction, group in measured[measured["model"] == model].groupby("fraction"):
            gap = t_interval(group["gap"].astype("float64"))
            row = {"model": model, "fraction": fraction, "seeds": gap.count}
            row |= {column: group[column].astype("float64").mean() for column in means}
            rows.append(row | {"gap": gap.mean, "gap_low": gap.low, "gap_high": gap.high})
    return pd.DataFrame(rows, columns=columns("gaps"))
