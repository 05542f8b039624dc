"""Differences between all models at each fraction."""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.contrastive_pairs import paired_models
from workflows.analysis.records import SEEN_ON, models
from workflows.analysis.statistics import paired_difference, with_holm
from workflows.analysis.tables import columns


def differences(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """`model` minus `other` in dB for all pairs of models; columns in `tables.py`."""
    paired = paired_models(runs)
    rows = []
    for grid in grids:
        for fraction in sorted(grid.scores["fraction"].unique()):
            for other, model in itertools.combinations(models(runs), 2):
                if fraction in grid.cells.fractions(model, other):
                    row = compare(grid, model, other, fraction, paired)
                    rows.append(grid.on | {"fraction": fraction, "model": model, "other": other} | row)
    return with_holm(pd.DataFrame(rows, columns=columns("differences")), SEEN_ON)


def compare(grid: Grid, model: str, other: str, fraction: float, paired: set[frozenset[str]]) -> dict[str, Any]:
    """`model` minus `other` at a fraction, by seed if they are among the `paired`: difference, low, high, p, seeds, test."""
    if frozenset((model, other)) in paired:
        at = grid.scores[grid.scores["fraction"] == fraction]
        by_seed = at.pivot_table(index="seed", columns="model", values="value")[[model, other]].dropna()
        estimate, test = paired_difference(by_seed[model], by_seed[other]), "paired"
    else:
        estimate, test = grid.cells.contrast({(model, fraction): 1.0, (other, fraction): -1.0}), "unpaired"
    return dict(zip(("difference", "low", "high", "p", "seeds"), estimate, strict=True)) | {"test": test}
