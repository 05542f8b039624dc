"""The grid's cells (models × fractions), and unpaired comparisons between them.

Equal seeds do not make networks of different architectures comparable, so they are compared unpaired, by Welch's test: spread
differs between models, and it falls with data, in the reference experiment up to fortyfold.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from workflows.analysis.means import per_seed, seen_by
from workflows.analysis.records import SCORED_ON, WINDOWS
from workflows.analysis.statistics import CONFIDENCE

Cell = tuple[str, float]

HELD_OUT = "held-out"


class Estimate(NamedTuple):
    """A linear statement about means of cells with its t interval.

    Interval and p are NaN if a model's cell at the smallest or largest fraction of the statement has one seed.

    Attributes:
        estimate, low, high: the statement's value and the ends of its interval.
        p: two-sided, for the value 0.
        seeds: number of seeds in the cell with the fewest.
    """

    estimate: float
    low: float
    high: float
    p: float
    seeds: int


class Cells:
    """Means and spreads of the grid's cells.

    Args:
        scores: one row per run: model, fraction, seed and `value`.

    Attributes:
        mean, seeds: by (model, fraction).
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        values: dict[Cell, list[float]] = {}
        scored = scores.dropna(subset="value")
        for model, fraction, value in zip(scored["model"], scored["fraction"], scored["value"], strict=True):
            values.setdefault((model, float(fraction)), []).append(value)
        cells = [np.array(of_cell, dtype="float64") for of_cell in values.values()]
        index = pd.MultiIndex.from_tuples(list(values), names=["model", "fraction"])
        self.mean = pd.Series([cell.mean() for cell in cells], index=index, dtype="float64")
        self.seeds = pd.Series([len(cell) for cell in cells], index=index, dtype="int64")
        self._place = {cell: place for place, cell in enumerate(values)}
        self._count = {cell: len(of_cell) for cell, of_cell in values.items()}
        self._freedom = np.array([len(cell) - 1 for cell in cells], dtype="float64")
        # A cell with one seed has the variance of its model's next smaller fraction with more: spread falls with data.
        self._source = np.arange(len(cells))
        for place, (model, fraction) in enumerate(values):
            smaller = [f for name, f in values if name == model and f <= fraction and self._count[name, f] > 1]
            if smaller:
                self._source[place] = self._place[model, max(smaller)]
        self._variance = np.array([cell.var(ddof=1) if len(cell) > 1 else np.nan for cell in cells])

    def fractions(self, *models: str) -> list[float]:
        """The fractions above 0 at which all these models are scored, increasing."""
        sets = [{fraction for name, fraction in self._place if name == model} for model in models]
        return sorted(fraction for fraction in set.intersection(*sets) if fraction > 0)

    def __contains__(self, model: str) -> bool:
        return any(name == model for name, _ in self._place)

    def contrast(self, weights: Mapping[Cell, float]) -> Estimate:
        """The weighted sum of cells' means.

        Args:
            weights: of the cells; all must be scored.
        """
        row = np.zeros((1, len(self.mean)))
        for cell, weight in weights.items():
            row[0, self._place[cell]] = weight
        (estimate,), (variance,), (freedom,) = self.contrasts(row)
        seeds = min(self._count[cell] for cell in weights)
        if not self.repeated(weights):
            variance = np.nan
        if not variance > 0:
            spread = 0.0 if variance == 0 else np.nan
            return Estimate(float(estimate), estimate - spread, estimate + spread, np.nan, seeds)
        error = np.sqrt(variance)
        half = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * error
        p = 2 * special.stdtr(freedom, -abs(estimate) / error)
        return Estimate(float(estimate), float(estimate - half), float(estimate + half), float(p), seeds)

    def contrasts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, variances and degrees of freedom (Satterthwaite 1946) of several weighted sums.

        Args:
            weights: (k, cells), in the order of `mean`.
        """
        shares = np.zeros_like(weights)
        np.add.at(shares.T, self._source, (weights**2 / self.seeds.to_numpy()).T)
        parts = shares * np.where(shares > 0, self._variance, 0.0)
        total = parts.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = total**2 / np.where(parts > 0, parts**2 / self._freedom, 0.0).sum(axis=1)
        return weights @ self.mean.to_numpy(), total, freedom

    def repeated(self, cells: Iterable[Cell]) -> bool:
        """Whether each model has two seeds or more at its smallest and largest fraction among some cells."""
        ends: dict[str, list[float]] = {}
        for model, fraction in cells:
            ends.setdefault(model, []).append(fraction)
        return all(self._count[model, end(at)] > 1 for model, at in ends.items() for end in (min, max))

    def leads(self, model: str, other: str, fractions: list[float], at: np.ndarray) -> tuple[np.ndarray, ...]:
        """`contrasts` of `model` minus `other` between fractions, interpolated linearly on the logarithm.

        Args:
            fractions: scored for both, increasing.
            at: (k,) fractions within their range.
        """
        position = np.log(np.asarray(fractions))
        weights = np.zeros((len(at), len(self.mean)))
        for place, fraction in enumerate(fractions):
            hat = np.interp(np.log(at), position, np.eye(len(fractions))[place])
            weights[:, self._place[model, fraction]] = hat
            weights[:, self._place[other, fraction]] = -hat
        return self.contrasts(weights)


class Grid(NamedTuple):
    """The scores of the grid on one set.

    Attributes:
        on: task, dataset and windows.
        scores: one row per run: model, fraction, seed and `value`.
        cells: the same as cells.
    """

    on: dict[str, str]
    scores: pd.DataFrame
    cells: Cells

    @property
    def measure(self) -> str:
        """What `value` is: `psnr_y` in dB, or `validation_l1` on the 0-255 scale."""
        return "psnr_y" if self.on["task"] else "validation_l1"


def grids(results: pd.DataFrame, runs: pd.DataFrame) -> list[Grid]:
    """The scores for each task, dataset and kind of windows.

    Fraction 0, trained without the first stage, is not a point of a curve against data; neither are external methods.
    """
    collected = []
    for windows in WINDOWS:
        seeds = per_seed(seen_by(results, runs, windows), setting=None).rename(columns={"psnr_y": "value"})
        for (task, dataset), scores in seeds[seeds["fraction"] > 0].groupby(SCORED_ON, sort=False):
            scores = scores[["model", "fraction", "seed", "value"]].dropna(subset="value")
            collected.append(Grid({"task": task, "dataset": dataset, "windows": windows}, scores, Cells(scores)))
    return collected


def held_out(runs: pd.DataFrame) -> list[Grid]:
    """The loss on held-out training images, for all trained tasks together; no grid where it was not measured.

    It has no windows: held-out crops have the size of training patches.
    """
    if "validation_l1" not in runs or runs["validation_l1"].isna().all():
        return []
    losses = runs.loc[runs["fraction"] > 0, ["model", "fraction", "seed", "validation_l1"]]
    losses = losses.rename(columns={"validation_l1": "value"}).dropna(subset="value")
    return [Grid({"task": "", "dataset": HELD_OUT, "windows": ""}, losses, Cells(losses))]
