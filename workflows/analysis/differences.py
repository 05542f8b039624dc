"""Differences between all models at each fraction."""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.contrastive_pairs import check_groups
from workflows.analysis.records import SEEN_ON, finetuned, models, settings
from workflows.analysis.statistics import paired_difference, with_holm
from workflows.analysis.tables import columns
from workflows.factors import start_key


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


def paired_models(runs: pd.DataFrame) -> set[frozenset[str]]:
    """Every two models of the same network, tasks, data, patch and batch size: with each seed they start alike."""
    check_groups(runs)
    tuned = finetuned(runs)
    alike: dict[tuple[str, bool], list[str]] = {}
    for model, recorded in settings(runs).items():
        alike.setdefault((start_key(recorded), model in tuned), []).append(model)
    return {frozenset(two) for of_start in alike.values() for two in itertools.combinations(of_start, 2)}


def compare(grid: Grid, model: str, other: str, fraction: float, paired: set[frozenset[str]]) -> dict[str, Any]:
    """`model` minus `other` at a fraction: difference, low, high, p, seeds, test; by seed if they are among the `paired` and
    share two seeds.
    """
    at = grid.scores[grid.scores["fraction"] == fraction]
    by_seed = at.pivot_table(index="seed", columns="model", values="value")[[model, other]].dropna()
    if frozenset((model, other)) in paired and len(by_seed) > 1:
        estimate, test = paired_difference(by_seed[model], by_seed[other]), "paired"
    else:
        estimate, test = grid.cells.contrast({(model, fraction): 1.0, (other, fraction): -1.0}), "unpaired"
    return dict(zip(("difference", "low", "high", "p", "seeds"), estimate, strict=True)) | {"test": test}
