"""Unpaired statements about the grid's cells, each against a slow, obvious implementation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.workflows.analysis.simulated import FRACTIONS, grid
from workflows.analysis.cells import POOLING, Cells, _alike

CELL = {
    ("a", 0.2): [33.0, 33.1, 33.3],
    ("b", 0.2): [32.8, 33.0],
    ("a", 1.0): [33.6, 33.7, 33.5],
    ("b", 1.0): [33.4, 33.3],
}


def cells(values: dict) -> Cells:
    rows = [(*cell, seed, value) for cell, scores in values.items() for seed, value in enumerate(scores)]
    return Cells(pd.DataFrame(rows, columns=["model", "fraction", "seed", "value"]))


def test_a_difference_is_students_with_the_spread_of_the_models_of_a_fraction():
    found = cells(CELL).contrast({("a", 0.2): 1.0, ("b", 0.2): -1.0})
    expected = stats.ttest_ind(CELL["a", 0.2], CELL["b", 0.2])
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.seeds == 2


def test_spread_of_other_models_of_the_fraction_counts():
    alone = cells(CELL).contrast({("a", 0.2): 1.0, ("b", 0.2): -1.0})
    more = cells({**CELL, ("c", 0.2): [30.0, 30.15, 30.3, 30.12]}).contrast({("a", 0.2): 1.0, ("b", 0.2): -1.0})
    assert more.estimate == alone.estimate
    values = [CELL["a", 0.2], CELL["b", 0.2], [30.0, 30.15, 30.3, 30.12]]
    squares = sum(np.var(v) * len(v) for v in values)
    half = stats.t.ppf(0.975, 6) * np.sqrt(squares / 6 * (1 / 3 + 1 / 2))
    assert more.high - more.estimate == pytest.approx(half)


def test_models_of_evidently_different_spread_are_compared_by_welchs_test():
    values = {("a", 0.2): [33.0, 33.01, 33.02, 33.0], ("b", 0.2): [30.0, 33.0, 36.0]}
    found = cells(values).contrast({("a", 0.2): 1.0, ("b", 0.2): -1.0})
    expected = stats.ttest_ind(*values.values(), equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


@pytest.mark.parametrize("spread", [1.0, 4.0, 30.0])
def test_spread_is_shared_where_bartletts_test_finds_no_difference(spread):
    rng = np.random.default_rng(0)
    groups = [rng.normal(0, 1, 3), rng.normal(0, spread, 4), rng.normal(0, 1, 3)]
    squares = np.array([np.var(group) * len(group) for group in groups])
    assert _alike(squares, np.array([2.0, 3.0, 2.0])) == (stats.bartlett(*groups).pvalue >= POOLING)


def test_a_difference_of_gains_has_satterthwaites_degrees_of_freedom():
    weights = {("a", 1.0): 1.0, ("a", 0.2): -1.0, ("b", 1.0): -1.0, ("b", 0.2): 1.0}
    found = cells(CELL).contrast(weights)
    means = {cell: np.mean(values) for cell, values in CELL.items()}
    assert found.estimate == pytest.approx(sum(weights[cell] * means[cell] for cell in CELL))
    parts = []
    for fraction in (0.2, 1.0):
        a, b = CELL["a", fraction], CELL["b", fraction]
        parts.append((np.var(a) * 3 + np.var(b) * 2) / 3 * (1 / 3 + 1 / 2))
    freedom = sum(parts) ** 2 / sum(part**2 / 3 for part in parts)
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts)))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.estimate) / np.sqrt(sum(parts)), freedom))


def test_one_seed_has_the_spread_of_the_others_and_without_any_there_is_no_interval():
    single = {**CELL, ("c", 0.2): [32.0]}
    found = cells(single).contrast({("a", 0.2): 1.0, ("c", 0.2): -1.0})
    squares = np.var(CELL["a", 0.2]) * 3 + np.var(CELL["b", 0.2]) * 2
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, 3) * np.sqrt(squares / 3 * (1 / 3 + 1)))
    none = cells({cell: values[:1] for cell, values in CELL.items()}).contrast({("a", 0.2): 1.0, ("b", 0.2): -1.0})
    assert none.estimate == pytest.approx(0.2)
    assert np.isnan([none.low, none.high, none.p]).all()


def test_fractions_that_models_have_in_common():
    found = cells({**CELL, ("a", 0.0): [1.0, 2.0], ("c", 1.0): [33.0]})
    assert found.fractions("a", "b") == [0.2, 1.0]
    assert found.fractions("a", "c") == [1.0]
    assert found.fractions("a", "d") == []


def test_a_lead_between_fractions_is_interpolated_on_the_logarithm():
    found = Cells(grid(np.random.default_rng(0), {"a": 0.1, "b": 0.0}))
    at = np.array([0.2, 0.3, 0.6, 1.0])
    mean, variance, _ = found.leads("a", "b", FRACTIONS, at)
    lead = [found.mean["a", fraction] - found.mean["b", fraction] for fraction in FRACTIONS]
    assert mean == pytest.approx(np.interp(np.log(at), np.log(FRACTIONS), lead))
    ends = [found.contrast({("a", f): 1.0, ("b", f): -1.0}) for f in (0.2, 1.0)]
    assert variance[[0, -1]] == pytest.approx(
        [((end.high - end.estimate) / stats.t.ppf(0.975, 4)) ** 2 for end in ends]
    )
