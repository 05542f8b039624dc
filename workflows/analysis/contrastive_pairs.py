"""Which models differ in the contrastive loss alone, and what it gained them."""

from typing import NamedTuple

import pandas as pd

from workflows.analysis.means import common_images
from workflows.analysis.records import PLAIN, SCORED_ON, ReportError, models
from workflows.analysis.statistics import t_interval


class Pair(NamedTuple):
    """A model trained without the contrastive loss and its twin trained with it, at weight `weight` (λ)."""

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
    check_negatives(runs)
    trained = runs[runs["fraction"].notna() & runs["contrastive"].notna()]
    largest = trained.sort_values("fraction", kind="stable").groupby("model")
    facts = largest[["variant", "twin", "contrastive"]].last()
    pairs = []
    for model in (m for m in models(runs) if m in facts.index and facts.loc[m, "contrastive"] > 0):
        alike = (facts["variant"] == facts.loc[model, "variant"]) & (facts["twin"] == facts.loc[model, "twin"])
        plain = facts[alike & (facts["contrastive"] == 0)]
        pairs += [Pair(other, model, float(facts.loc[model, "contrastive"])) for other in plain.index]
    return pairs


def check_negatives(runs: pd.DataFrame) -> None:
    """Refuse a model whose runs had different numbers of negatives: their losses are not the same loss.

    Raises:
        ReportError: naming the model, the numbers and the runs.
    """
    if "negatives" not in runs:
        return
    for model, of_model in runs[runs["negatives"].notna()].groupby("model", sort=False):
        found = of_model.groupby("negatives")["run"].first()
        if len(found) > 1:
            told = " and ".join(f"{count:.0f} ({run})" for count, run in found.items())
            raise ReportError(
                f"{model}: the contrastive loss of its runs had different numbers of negatives: {told} other images an "
                "anchor; they cannot stand in one comparison. Give the models names of their own, or train them alike"
            )


def gains(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y with the contrastive loss minus without, in dB, paired by seed and image.

    Columns: task, dataset, without, with, weight, fraction, `level`, seed, image, gain, low, high, count. Rows of level
    `image` are single differences, of level `seed` their means over images, of level `mean` the answer: the mean over
    seeds with its 95 % t interval over seeds, or, with one seed, over images (`over` says which).
    """
    plain = common_images(results[results["setting"] == PLAIN])
    rows = []
    for pair in find_pairs(runs):
        key = [*SCORED_ON, "fraction", "seed", "image"]
        scores = {model: plain.loc[plain["model"] == model, [*key, "psnr_y"]] for model in (pair.without, pair.with_)}
        both = scores[pair.without].merge(scores[pair.with_], on=key, suffixes=("_without", "_with"))
        both["gain"] = both["psnr_y_with"] - both["psnr_y_without"]
        for (task, dataset, fraction), here in both.groupby([*SCORED_ON, "fraction"], sort=False):
            row = {"task": task, "dataset": dataset, "without": pair.without, "with": pair.with_}
            row |= {"weight": pair.weight, "fraction": fraction}
            seeds = here.groupby("seed")["gain"].mean()
            rows += [
                row | {"level": "image", "seed": r.seed, "image": r.image, "gain": r.gain} for r in here.itertuples()
            ]
            rows += [row | {"level": "seed", "seed": seed, "gain": gain} for seed, gain in seeds.items()]
            over = "seeds" if len(seeds) > 1 else "images"
            interval = t_interval(seeds if over == "seeds" else here["gain"])
            rows.append(
                row
                | {"level": "mean", "over": over, "gain": interval.mean}
                | {"low": interval.low, "high": interval.high, "count": interval.count}
            )
    columns = [
        *SCORED_ON,
        "without",
        "with",
        "weight",
        "fraction",
        "level",
        "over",
        "seed",
        "image",
        "gain",
        "low",
        "high",
    ]
    return pd.DataFrame(rows, columns=[*columns, "count"]).sort_values("fraction", kind="stable", ignore_index=True)
