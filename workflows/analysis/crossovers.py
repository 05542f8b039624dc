"""The fraction at which one method overtakes another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from workflows.analysis.cells import Cells, Grid
from workflows.analysis.records import pairs
from workflows.analysis.statistics import CONFIDENCE
from workflows.analysis.tables import columns

OVERTAKES = "overtakes"
ALREADY = "already at the smallest"
NONE = "none in the range"
UNRESOLVED = "unresolved"


class Crossover(NamedTuple):
    """Where one method overtakes another.

    Attributes:
        status: `overtakes` (behind, then ahead up to the largest fraction), `already at the smallest`, `none in the range`;
            `unresolved` where the interval reaches both ends of the range.
        fraction: from here on the mean curve is ahead; NaN unless `overtakes`.
        low, high: the fractions at which the methods do not differ significantly, and the crossing of the means; an end at
            the smallest or largest fraction means that the interval may extend beyond it; NaN without two seeds at both ends, or
            where the methods differ significantly everywhere.
        seeds: of the cell with the fewest.
    """

    status: str
    fraction: float
    low: float
    high: float
    seeds: int


def crossover(cells: Cells, model: str, other: str, fractions: list[float]) -> Crossover:
    """The fraction at which `model` overtakes `other`.

    Means are interpolated linearly on the logarithm of the fraction. The interval contains all fractions at which a t test
    finds no difference (the inverted test, as in Fieller's for ratios). It has its nominal coverage even if some seeds'
    curves do not cross.

    Args:
        cells: the scores.
        model, other: the methods.
        fractions: two or more at which both are scored, increasing, above 0.
    """
    seeds = int(min(cells.seeds[name, fraction] for name in (model, other) for fraction in fractions))
    position = np.log(np.asarray(fractions))
    grid = np.union1d(np.linspace(position[0], position[-1], 801), position)
    at = np.exp(grid)
    at[[0, -1]] = fractions[0], fractions[-1]  # exact values, so that ends are recognised
    mean, variance, freedom = cells.leads(model, other, fractions, at)
    low = high = np.nan
    if tested := _tested(cells, model, other, fractions):
        with np.errstate(invalid="ignore"):
            half = np.where(variance > 0, special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt(variance), 0.0)
        undecided = np.abs(mean) <= half
        if undecided[0] and undecided[-1]:
            return Crossover(UNRESOLVED, np.nan, fractions[0], fractions[-1], seeds)
        if undecided.any():
            low, high = at[np.flatnonzero(undecided)[[0, -1]]]
    # If the means do not cross, the interval contains all fractions without a significant difference.
    if mean[-1] <= 0:
        return Crossover(NONE, np.nan, low, high, seeds)
    behind = np.flatnonzero(mean <= 0)
    if not len(behind):
        return Crossover(ALREADY, np.nan, low, high, seeds)
    left = behind[-1]
    part = mean[left] / (mean[left] - mean[left + 1])
    if tested:
        low, high = np.nanmin([low, at[left]]), np.nanmax([high, at[left + 1]])
        low = fractions[0] if mean[0] > 0 else low  # ahead, behind, and ahead again
    crossing = float(np.exp(grid[left] + part * (grid[left + 1] - grid[left])))
    return Crossover(OVERTAKES, crossing, float(low), float(high), seeds)


def _tested(cells: Cells, model: str, other: str, fractions: list[float]) -> bool:
    return cells.repeated((name, fraction) for name in (model, other) for fraction in fractions)


def crossovers(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """Where each subject overtakes each rival of its stage; columns in `tables.py`."""
    rows = []
    for on, scores, cells in grids:
        largest = scores["fraction"].max()
        compared = pairs(runs, on["windows"])
        for model, other in compared:
            fractions = cells.fractions(model, other)
            if len(fractions) < 2:
                continue
            reached = {
                rival: cells.mean.get((rival, largest), -np.inf) for subject, rival in compared if subject == model
            }
            row = on | {"model": model, "other": other}
            row |= crossover(cells, model, other, fractions)._asdict()
            row |= {"smallest": fractions[0], "largest": fractions[-1]}
            row |= {"tested": _tested(cells, model, other, fractions)}
            row |= {"fractions": " ".join(f"{100 * fraction:g}%" for fraction in fractions)}
            rows.append(row | {"best_rival": other == max(reached, key=reached.get)})
    return pd.DataFrame(rows, columns=columns("crossovers"))
