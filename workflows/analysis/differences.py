"""Differences between all models at each fraction."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.contrastive_pairs import find_pairs
from workflows.analysis.records import SCORED_ON, models
from workflows.analysis.statistics import holm, paired_difference

ON = [*SCORED_ON, "windows"]


def pairs(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """All pairs of trained models, each once."""
    names = models(runs)
    return [(a, b) for i, b in enumerate(names) for a in names[i + 1 :]]


def differences(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """`model` minus `other` in dB for all pairs of models; columns in `tables.py`.

    Contrastive pairs, which share everything else, are paired by seed; all others are not.
    """
    contrastive = {frozenset(pair[:2]) for pair in find_pairs(runs)}
    tables = []
    for on, scores, cells in grids:
        by_seed = scores.pivot_table(index=["fraction", "seed"], columns="model", values="value")
        rows = []
        for fraction in sorted(scores["fraction"].unique()):
            for model, other in pairs(runs):
                if fraction not in cells.fractions(model, other):
                    continue
                paired = frozenset((model, other)) in contrastive
                if paired:
                    both = by_seed.loc[fraction, [model, other]].dropna()
                    estimate = paired_difference(both[model], both[other])
                else:
                    estimate = cells.contrast({(model, fraction): 1.0, (other, fraction): -1.0})
                row = dict(zip(("difference", "low", "high", "p", "seeds"), estimate, strict=True))
                row = on | {"fraction": fraction, "model": model, "other": other} | row
                rows.append(row | {"test": "paired" if paired else "unpaired"})
        if rows:
            tables.append(pd.DataFrame(rows).assign(p_holm=holm([row["p"] for row in rows])))
    columns = [*ON, "fraction", "model", "other", "difference", "low", "high", "p", "p_holm", "seeds", "test"]
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns))[columns]


def corrected(rows: list[dict], family: list[str], columns: list[str]) -> pd.DataFrame:
    """The rows as a table with `p_holm`, corrected within rows that agree in the columns of `family`."""
    table = pd.DataFrame(rows, columns=[column for column in columns if column != "p_holm"])
    table["p_holm"] = np.nan
    for _, members in table.groupby(family, dropna=False):
        table.loc[members.index, "p_holm"] = holm(members["p"])
    return table[columns]
