"""Unpaired statements about the grid's cells, each against a slow, obvious implementation."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from tests.workflows.analysis.simulated import FRACTIONS, grid
from workflows.analysis.cells import Cells

CELL = {
    ("a", 0.2): [33.0, 33.1, 33.3],
    ("b", 0.2): [32.8, 33.0],
    ("a", 1.0): [33.6, 33.7, 33.5],
    ("b", 1.0): [33.4, 33.3],
}


def cells(values: dict) -> Cells:
    rows = [(*cell, seed, value) for cell, scores in values.items() for seed, value in enumerate(scores)]
    return Cells(pd.DataFrame(rows, columns=["model", "fraction", "seed", "value"]))


def test_a_difference_is_welchs_whatever_other_models_did():
    found = cells({**CELL, ("c", 0.2): [30.0, 33.0, 36.0]}).contrast({("a", 0.2): 1.0, ("b", 0.2): -1.0})
    expected = stats.ttest_ind(CELL["a", 0.2], CELL["b", 0.2], equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.seeds == 2


def test_a_difference_of_gains_has_satterthwaites_degrees_of_freedom():
    weights = {("a", 1.0): 1.0, ("a", 0.2): -1.0, ("b", 1.0): -1.0, ("b", 0.2): 1.0}
    found = cells(CELL).contrast(weights)
    means = {cell: np.mean(values) for cell, values in CELL.items()}
    assert found.estimate == pytest.approx(sum(weights[cell] * means[cell] for cell in CELL))
    parts = {cell: np.var(values, ddof=1) / len(values) for cell, values in CELL.items()}
    total = sum(parts.values())
    freedom = total**2 / sum(part**2 / (len(CELL[cell]) - 1) for cell, part in parts.items())
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(total))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.estimate) / np.sqrt(total), freedom))


@pytest.mark.parametrize("single", [("a", 0.2), ("a", 1.0), ("b", 0.2), ("b", 1.0)])
def test_one_seed_at_an_end_gives_no_interval(single):
    weights = {("a", 1.0): 1.0, ("a", 0.2): -1.0, ("b", 1.0): -1.0, ("b", 0.2): 1.0}
    found = cells({**CELL, single: CELL[single][:1]}).contrast(weights)
    assert np.isfinite(found.estimate)
    assert np.isnan([found.low, found.high, found.p]).all()
    assert found.seeds == 1


def test_one_seed_between_the_ends_has_the_variance_of_the_next_smaller_fraction():
    values = {("a", 0.1): [32.0, 32.1], ("a", 0.2): CELL["a", 0.2], ("a", 0.5): [33.1], ("a", 1.0): CELL["a", 1.0]}
    weights = {("a", 0.1): -1.0, ("a", 0.5): 0.5, ("a", 1.0): 0.5}
    found = cells(values).contrast(weights)
    variances = [
        0.005 / 2,
        0.25 * np.var(CELL["a", 0.2], ddof=1),
        0.25 * np.var(CELL["a", 1.0], ddof=1) / len(CELL["a", 1.0]),
    ]
    freedom = sum(variances) ** 2 / sum(
        v**2 / f for v, f in zip(variances, (1, 2, len(CELL["a", 1.0]) - 1), strict=True)
    )
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances)))


def test_fractions_that_models_have_in_common():
    found = cells({**CELL, ("a", 0.0): [1.0, 2.0], ("c", 1.0): [33.0]})
    assert found.fractions("a", "b") == [0.2, 1.0]
    assert found.fractions("a", "c") == [1.0]
    assert found.fractions("a", "d") == []


def test_a_lead_between_fractions_is_interpolated_on_the_logarithm():
    found = Cells(grid(np.random.default_rng(0), {"a": 0.1, "b": 0.0}))
    at = np.array([0.2, 0.3, 0.6, 1.0])
    mean, variance, freedom = found.leads("a", "b", FRACTIONS, at)
    lead = [found.mean["a", fraction] - found.mean["b", fraction] for fraction in FRACTIONS]
    assert mean == pytest.approx(np.interp(np.log(at), np.log(FRACTIONS), lead))
    half = [special.stdtrit(freedom[at], 0.975) * np.sqrt(variance[at]) for at in (0, -1)]
    ends = [found.contrast({("a", f): 1.0, ("b", f): -1.0}) for f in (0.2, 1.0)]
    assert half == pytest.approx([end.high - end.estimate for end in ends])
