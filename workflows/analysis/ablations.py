"""Effects of single factors: scores of models that differ in exactly one."""

import json
from typing import Any

import pandas as pd

from workflows.analysis.means import common_images
from workflows.analysis.records import PLAIN, SCORED_ON, models
from workflows.analysis.statistics import t_interval
from workflows.analysis.tables import columns
from workflows.factors import Group, groups


def find_groups(runs: pd.DataFrame) -> list[Group]:
    """`groups` of the models that have a run.

    Args:
        runs: with the column `settings` (see `collect_runs`).
    """
    if "settings" not in runs:
        return []
    recorded = runs[runs["settings"].notna()].sort_values("fraction", kind="stable")
    largest = recorded.drop_duplicates("model", keep="last").set_index("model")["settings"]
    return groups({model: json.loads(largest[model]) for model in models(runs) if model in largest})


def effects(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y of every member minus its group's baseline in dB, at the largest fraction that both have; columns in `tables.py`.

    Intervals are over seeds, paired, or with one seed over images. The baseline's own rows have effect 0 and no interval.
    """
    plain = common_images(results[results["setting"] == PLAIN])
    plain = plain[plain["fraction"].notna()]
    rows = []
    for group in find_groups(runs):
        baseline = next(iter(group.members))
        for (task, dataset), scores in plain.groupby(SCORED_ON, sort=False):
            table = scores.pivot_table(index=["fraction", "seed", "image"], columns="model", values="psnr_y")
            if baseline not in table:
                continue
            for model, value in group.members.items():
                row = {"task": task, "dataset": dataset, "factor": group.factor, "value": _text(value)}
                row |= {"model": model, "baseline": baseline}
                paired = table[[baseline, model]].dropna() if model in table and model != baseline else pd.DataFrame()
                if model == baseline:
                    rows.append(row | {"effect": 0.0})
                elif len(paired):
                    fraction = paired.index.get_level_values("fraction").max()
                    difference = (paired[model] - paired[baseline]).loc[fraction]
                    seeds = difference.groupby("seed").mean()
                    over = "seeds" if len(seeds) > 1 else "images"
                    interval = t_interval(seeds if over == "seeds" else difference)
                    row |= {"fraction": fraction, "effect": interval.mean, "low": interval.low, "high": interval.high}
                    rows.append(row | {"over": over, "count": interval.count})
    return pd.DataFrame(rows, columns=columns("ablations"))


def _text(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)
