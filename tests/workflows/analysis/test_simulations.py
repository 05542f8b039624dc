"""By simulation: intervals cover as often as they say, and equal models seldom differ significantly. `make prove-statistics`.

The experiments are of four models at five fractions, with spreads as they are met: equal; falling tenfold with data, as in the
reference experiment; one model three times as noisy; unequal numbers of seeds; seeds that go together across models, or against
one another.
"""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.workflows.analysis.simulated import FRACTIONS
from workflows.analysis.cells import Cells
from workflows.analysis.claims import NO, YES, answer
from workflows.analysis.crossovers import OVERTAKES, crossover
from workflows.analysis.statistics import paired_difference, t_interval

pytestmark = pytest.mark.slow

MODELS = ["ipt", "edsr", "rdn", "swinir"]
EQUAL = np.full((4, 5), 0.1)
FALLING = np.tile([0.2, 0.12, 0.07, 0.04, 0.02], (4, 1))
WILD = EQUAL * np.array([[1], [1], [3], [1]])
TWO, THREE = np.full((4, 5), 2), np.full((4, 5), 3)
UNEQUAL = np.array([[5, 3, 3, 3, 5], [3, 2, 2, 2, 3], [3, 3, 3, 3, 3], [2, 1, 1, 1, 2]])
SPARSE = np.tile([3, 1, 3, 1, 3], (4, 1))

SCENARIOS = {
    # name: spread, seeds, correlation of a seed's deviations between models, least coverage asked for
    "equal spread, 2 seeds": (EQUAL, TWO, 0.0, 0.93),
    "equal spread, 3 seeds": (EQUAL, THREE, 0.0, 0.93),
    "equal spread, unequal seeds": (EQUAL, UNEQUAL, 0.0, 0.92),
    "spread falls tenfold, 3 seeds": (FALLING, THREE, 0.0, 0.93),
    "spread falls tenfold, unequal seeds": (FALLING, UNEQUAL, 0.0, 0.92),
    "spread falls tenfold, 3 1 3 1 3 seeds": (FALLING, SPARSE, 0.0, 0.92),
    "third model three times as noisy, 3 seeds": (WILD, THREE, 0.0, 0.93),
    "third model three times as noisy, 2 seeds": (WILD, TWO, 0.0, 0.93),
    "seeds correlate across models (0.5)": (EQUAL, THREE, 0.5, 0.93),
    "seeds correlate across models (-0.3)": (EQUAL, THREE, -0.3, 0.9),
}
REPEATS = 1000
DECADES = np.log10(FRACTIONS)
CENTRED = (DECADES - DECADES.mean()) / ((DECADES - DECADES.mean()) ** 2).sum()


def experiment(rng: np.random.Generator, spread: np.ndarray, seeds: np.ndarray, correlation: float) -> Cells:
    """Scores of models that all gain nothing from data."""
    most = seeds.max()
    matrix = np.full((4, 4), correlation)
    np.fill_diagonal(matrix, 1.0)
    noise = np.einsum("ij,jfs->ifs", np.linalg.cholesky(matrix), rng.normal(size=(4, 5, most)))
    m, f, seed = np.nonzero(np.arange(most) < seeds[..., None])
    values = 33 + (spread[..., None] * noise)[m, f, seed]
    table = {"model": np.array(MODELS, dtype=object)[m], "fraction": np.array(FRACTIONS)[f], "seed": seed}
    return Cells(pd.DataFrame({**table, "value": values}))


def statements(cells: Cells) -> dict:
    """Estimates of which the truth is 0."""
    small, large = FRACTIONS[0], FRACTIONS[-1]
    gain = {("ipt", large): 1.0, ("ipt", small): -1.0}
    return {
        "difference at 20 %": cells.contrast({("ipt", small): 1.0, ("edsr", small): -1.0}),
        "difference at 100 %": cells.contrast({("ipt", large): 1.0, ("edsr", large): -1.0}),
        "gain": cells.contrast(gain),
        "difference of gains": cells.contrast({**gain, ("edsr", large): -1.0, ("edsr", small): 1.0}),
        "third model: difference of gains": cells.contrast({**gain, ("rdn", large): -1.0, ("rdn", small): 1.0}),
        "slope": cells.contrast({("ipt", f): w for f, w in zip(FRACTIONS, CENTRED, strict=True)}),
        "third model: difference at 100 %": cells.contrast({("rdn", large): 1.0, ("ipt", large): -1.0}),
        "third model: gain": cells.contrast({("rdn", large): 1.0, ("rdn", small): -1.0}),
        "third model: slope": cells.contrast({("rdn", f): w for f, w in zip(FRACTIONS, CENTRED, strict=True)}),
    }


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_unpaired_intervals_cover_and_equal_models_rarely_differ(scenario):
    spread, seeds, correlation, least = SCENARIOS[scenario]
    rng = np.random.default_rng(list(SCENARIOS).index(scenario))
    covered, widths, claimed = defaultdict(list), defaultdict(list), defaultdict(list)
    for _ in range(REPEATS):
        found = statements(experiment(rng, spread, seeds, correlation))
        for name, estimate in found.items():
            covered[name].append(estimate.low <= 0 <= estimate.high)
            widths[name].append(estimate.high - estimate.estimate)
        # As if both ways of cutting windows always agreed, which is the worst case.
        for name in ("difference of gains", "slope", "third model: difference of gains", "third model: slope"):
            claimed[name].append(answer(found[name].low, found[name].high, found[name].p) == YES)
    print(f"\n{scenario}: coverage of nominal 95 % (median half width in dB)")
    for name in covered:
        print(f"  {name}: {100 * np.mean(covered[name]):.1f} % ({np.median(widths[name]):.3f})")
    wrong = ", ".join(f"{name} {100 * np.mean(yes):.1f} %" for name, yes in claimed.items())
    print(f"  false `yes` of gains_more and data_limited: {wrong}")
    rates = {name: np.mean(hits) for name, hits in covered.items()}
    assert min(rates.values()) >= least, rates
    assert max(np.mean(yes) for yes in claimed.values()) <= 0.06


def test_spread_pooled_over_all_fractions_would_not_cover():
    """Why it is not: two models at 1 and 100 %, whose spread falls tenfold."""
    noise = np.random.default_rng(0).normal(size=(20000, 2, 2, 3)) * np.array([0.2, 0.02])[:, None]
    pooled = noise.var(axis=-1, ddof=1).mean(axis=(1, 2))
    half = stats.t.ppf(0.975, 8) * np.sqrt(pooled * 2 / 3)
    means = noise.mean(axis=-1)
    covered = [np.mean(np.abs(means[:, 0, fraction] - means[:, 1, fraction]) <= half) for fraction in (0, 1)]
    print(
        f"\npooled over fractions: coverage {100 * covered[0]:.1f} % at the smallest, {100 * covered[1]:.1f} % at the largest"
    )
    assert covered[0] < 0.88
    assert covered[1] > 0.99


@pytest.mark.parametrize(("seeds", "gain", "difference"), [(3, 3.3, 3.8), (5, 2.0, 2.7)])
def test_seeds_see_effects_of_some_standard_deviations(seeds, gain, difference):
    rng = np.random.default_rng(1)
    seen = defaultdict(list)
    for _ in range(REPEATS):
        found = statements(experiment(rng, EQUAL, np.full((4, 5), seeds), 0.0))
        seen[f"gain of {gain} standard deviations"].append(found["gain"].low + 0.1 * gain > 0)
        seen[f"difference of gains of {difference}"].append(found["difference of gains"].low + 0.1 * difference > 0)
    rates = {name: float(np.mean(hits)) for name, hits in seen.items()}
    print(f"\n{seeds} seeds see: {', '.join(f'{name} {100 * rate:.0f} %' for name, rate in rates.items())}")
    assert all(0.75 <= rate <= 0.85 for rate in rates.values()), rates


@pytest.mark.parametrize(("spread", "seeds"), [(EQUAL, THREE), (FALLING, THREE), (EQUAL, UNEQUAL)])
def test_the_crossings_interval_covers_and_claims_are_true(spread, seeds):
    rng = np.random.default_rng(5)
    truth = {"edsr": 0.3 * np.log(np.array(FRACTIONS) / 0.57)}
    hits, invented = [], []
    for _ in range(REPEATS):
        cells = experiment(rng, spread, seeds, 0.0)
        flat = crossover(cells, "ipt", "edsr", FRACTIONS)
        invented.append(flat.status == OVERTAKES and flat.low > 0.2 and flat.high < 1.0)
        for fraction, lead in zip(FRACTIONS, truth["edsr"], strict=True):
            cells.mean["edsr", fraction] -= lead
        found = crossover(cells, "ipt", "edsr", FRACTIONS)
        hits.append(found.low <= 0.57 <= found.high)
    print(f"\ncrossing: coverage {100 * np.mean(hits):.1f} %, false `yes` of equals {100 * np.mean(invented):.1f} %")
    assert 0.93 <= np.mean(hits) <= 0.998
    assert np.mean(invented) <= 0.03


def test_no_is_seldom_said_of_what_would_be_noticed():
    """A gain of exactly what is worth the name, told well enough that `no` is a possible answer."""
    rng = np.random.default_rng(3)
    wrong = []
    for _ in range(REPEATS):
        slope = statements(experiment(rng, EQUAL / 5, THREE, 0.0))["slope"]
        decades = DECADES[-1] - DECADES[0]
        wrong.append(answer(slope.low * decades + 0.05, slope.high * decades + 0.05, 0.5) == NO)
    print(f"\nfalse `no` of a gain of 0.05 dB: {100 * np.mean(wrong):.1f} %")
    assert np.mean(wrong) <= 0.04


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_intervals_over_seeds_and_pairs_cover(seeds):
    rng = np.random.default_rng(seeds)
    hits = defaultdict(list)
    for _ in range(3000):
        interval = t_interval(rng.normal(0, 0.1, seeds))
        hits["mean over seeds"].append(interval.low <= 0 <= interval.high)
        shared = rng.normal(0, 0.1, seeds)
        pair = paired_difference(shared + rng.normal(0, 0.05, seeds), shared + rng.normal(0, 0.05, seeds))
        hits["contrastive pair"].append(pair.low <= 0 <= pair.high)
    rates = {name: round(100 * float(np.mean(hit)), 1) for name, hit in hits.items()}
    print(f"\n{seeds} seeds, coverage of nominal 95 %: {rates}")
    assert all(93 <= rate <= 97 for rate in rates.values()), rates
