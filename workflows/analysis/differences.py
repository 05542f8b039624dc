"""Differences between all models at each fraction."""

import itertools
from collections.abc import Sequence

import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.contrastive_pairs import find_pairs
from workflows.analysis.records import SEEN_ON, models
from workflows.analysis.statistics import paired_difference, with_holm
from workflows.analysis.tables import columns


def differences(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """`model` minus `other` in dB for all pairs of models; columns in `tables.py`.

    Contrastive pairs, which share everything else, are paired by seed; all others are not.
    """
    contrastive = {frozenset(pair[:2]) for pair in find_pairs(runs)}
    rows = []
    for on, scores, cells in grids:
        by_seed = scores.pivot_table(index=["fraction", "seed"], columns="model", values="value")
        for fraction in sorted(scores["fraction"].unique()):
            for other, model in itertools.combinations(models(runs), 2):
                if fraction not in cells.fractions(model, other):
                    continue
                paired = frozenset((model, other)) in contrastive
                if paired:
                    common = by_seed.loc[fraction, [model, other]].dropna()
                    estimate = paired_difference(common[model], common[other])
                else:
                    estimate = cells.contrast({(model, fraction): 1.0, (other, fraction): -1.0})
                row = dict(zip(("difference", "low", "high", "p", "seeds"), estimate, strict=True))
                row = on | {"fraction": fraction, "model": model, "other": other} | row
                rows.append(row | {"test": "paired" if paired else "unpaired"})
    return with_holm(pd.DataFrame(rows, columns=columns("differences")), SEEN_ON)
