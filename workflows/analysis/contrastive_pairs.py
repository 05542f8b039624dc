"""Pairs of models that differ only in the contrastive loss, and its gain."""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd

from workflows.analysis.means import common_images, seen_by
from workflows.analysis.records import SCORED_ON, SEEN_ON, WINDOWS, ReportError, models
from workflows.analysis.statistics import paired_difference, t_interval, with_holm
from workflows.analysis.tables import columns
from workflows.factors import CONTRASTIVE


class Pair(NamedTuple):
    """A model trained without the contrastive loss, and one that differs only in it, with weight `weight` (λ)."""

    without: str
    with_: str
    weight: float


def find_pairs(runs: pd.DataFrame) -> list[Pair]:
    """Pairs of models with the same variant and the same config but for the contrastive loss.

    Args:
        runs: with the columns `variant`, `contrastive` (λ, 0 without) and `twin` (see `collect_runs`).
    """
    if "contrastive" not in runs or "twin" not in runs:
        return []
    check_groups(runs)
    trained = runs[runs["fraction"].notna() & runs["contrastive"].notna()]
    largest = trained.sort_values("fraction", kind="stable").groupby("model")
    facts = largest[["variant", "twin", "contrastive"]].last()
    pairs = []
    for model in (m for m in models(runs) if m in facts.index and facts.loc[m, "contrastive"] > 0):
        alike = (facts["variant"] == facts.loc[model, "variant"]) & (facts["twin"] == facts.loc[model, "twin"])
        plain = facts[alike & (facts["contrastive"] == 0)]
        pairs += [Pair(other, model, float(facts.loc[model, "contrastive"])) for other in plain.index]
    return pairs


def check_groups(runs: pd.DataFrame) -> None:
    """Refuse a model whose runs compared groups of different size: their losses differ.

    Raises:
        ReportError: naming the model, the sizes and the runs.
    """
    if "settings" not in runs:
        return
    sizes = runs["settings"].dropna().map(lambda text: json.loads(text).get(f"{CONTRASTIVE}group_size"))
    for model, of_model in runs.assign(size=sizes).dropna(subset="size").groupby("model", sort=False):
        first = of_model.groupby("size")["run"].first()
        if len(first) > 1:
            listed = " and ".join(f"{size:.0f} ({run})" for size, run in first.items())
            raise ReportError(
                f"{model}: the contrastive loss of its runs compared groups of different size: {listed} patches; these runs "
                "cannot be compared. Give the models different names, or train them in the same way"
            )


def gains(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y with the contrastive loss minus without, in dB, paired by seed and image; columns in `tables.py`."""
    key = [*SCORED_ON, "fraction", "seed", "image"]
    tables = []
    for windows in WINDOWS:
        scores = common_images(seen_by(results, runs, windows))
        for pair in find_pairs(runs):
            by_model = {model: scores.loc[scores["model"] == model, [*key, "psnr_y"]] for model in pair[:2]}
            paired = by_model[pair.without].merge(by_model[pair.with_], on=key, suffixes=("_without", "_with"))
            paired["gain"] = paired["psnr_y_with"] - paired["psnr_y_without"]
            paired["windows"] = windows
            tables += [
                _levels(rows).assign(without=pair.without, weight=pair.weight, **{"with": pair.with_})
                for _, rows in paired.groupby([*SCORED_ON, "fraction"], sort=False)
            ]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns("contrastive"))
    table = with_holm(table, SEEN_ON)  # only rows of level `mean` have a p
    return table.reindex(columns=columns("contrastive")).sort_values("fraction", kind="stable", ignore_index=True)


def _levels(paired: pd.DataFrame) -> pd.DataFrame:
    """The differences of one cell: one row per image, one per seed, and their mean."""
    seeds = paired.groupby("seed", as_index=False)["gain"].mean().assign(level="seed")
    if len(seeds) > 1:
        over, estimate = "seeds", paired_difference(seeds["gain"], np.zeros(len(seeds)))
    else:
        over, estimate = "images", t_interval(paired["gain"])
    mean = {"level": "mean", "over": over, "gain": estimate.mean, "low": estimate.low, "high": estimate.high}
    mean |= {"p": getattr(estimate, "p", np.nan), "count": estimate.count}
    images = paired[["seed", "image", "gain"]].assign(level="image")
    table = pd.concat([images, seeds, pd.DataFrame([mean])], ignore_index=True)
    return table.assign(**paired.iloc[0][[*SEEN_ON, "fraction"]])
