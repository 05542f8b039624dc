import re

import numpy as np
import pytest
from scipy import stats

from workflows.analysis.statistics import (
    ALREADY,
    NONE,
    OVERTAKES,
    UNRESOLVED,
    crossed_bootstrap,
    crossover,
    holm,
    paired_difference,
    power_law,
    t_interval,
    within_image_interval,
)

FRACTIONS = np.array([0.2, 0.4, 0.6, 0.8, 1.0])


def covered(interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_the_interval_is_students_and_one_value_has_none():
    values = [33.1, 33.4, 33.2]
    interval = t_interval(values)
    half = 4.302652729911275 * np.std(values, ddof=1) / np.sqrt(3)
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.high - interval.mean == pytest.approx(half)
    assert np.isnan(t_interval([33.1])[1:3]).all()
    assert t_interval([2.0, 2.0])[:3] == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_seeds_cover_as_often_as_they_say(seeds):
    rng = np.random.default_rng(seeds)
    hits = np.mean([covered(t_interval(33 + rng.normal(0, 0.1, seeds)), 33) for _ in range(400)])
    assert 0.90 <= hits <= 0.98


def test_equal_models_are_told_apart_in_at_most_seven_of_a_hundred_cases():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(600):
        shared = rng.normal(0, 0.1, 3)
        false += paired_difference(shared + rng.normal(0, 0.05, 3), shared + rng.normal(0, 0.05, 3)).p < 0.05
    assert false / 600 <= 0.07


def test_a_test_over_images_of_one_seed_each_would_find_differences_between_equals():
    """Why the seed is the unit: the trap that the suite is built to avoid."""
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(200):
        runs = rng.normal(0, 0.05, (2, 1)) + rng.normal(0, 0.02, (2, 100))
        false += stats.ttest_rel(*runs).pvalue < 0.05
    assert false / 200 > 0.6


def test_holm_keeps_the_family_and_leaves_untested_ones_alone():
    corrected = holm([0.01, np.nan, 0.04, 0.03])
    assert corrected[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(corrected[1])
    # All six models equal: the smallest corrected p-value decides whether the family errs.
    p_values = stats.ttest_1samp(np.random.default_rng(3).normal(0, 1, (2000, 6, 3)), 0, axis=2).pvalue
    assert [holm(family).min() for family in p_values[:5]] == pytest.approx(np.minimum(6 * p_values[:5].min(axis=1), 1))
    assert np.mean(6 * p_values.min(axis=1) < 0.05) <= 0.07


def test_one_pair_has_neither_interval_nor_p_value():
    found = paired_difference([33.2], [33.0])
    assert found.mean == pytest.approx(0.2)
    assert np.isnan([found.low, found.high, found.p]).all()


def test_intervals_within_images_forget_how_hard_an_image_is():
    rng = np.random.default_rng(0)
    networks = rng.normal(0, 0.1, (3, 8))
    _, narrow = within_image_interval(networks)
    _, same = within_image_interval(networks + rng.normal(30, 5, 8))
    assert same == pytest.approx(narrow)
    # Of two networks, the corrected interval of one mean is that of their paired difference over the square root of 2.
    _, half = within_image_interval(networks[:2])
    paired = stats.t.ppf(0.975, 7) * stats.sem(networks[0] - networks[1])
    assert half == pytest.approx([paired / np.sqrt(2)] * 2)


def test_a_bootstrap_of_few_seeds_is_refused():
    with pytest.raises(ValueError, match="at least 8 seeds, not 3"):
        crossed_bootstrap(np.zeros((2, 3, 5)))


def simulated_scores(rng: np.random.Generator, seeds: int, images: int) -> np.ndarray:
    """Two equal methods: images differ much, methods' response to images a little, seeds a little."""
    scores = rng.normal(33, 3, images) + rng.normal(0, 0.03, seeds)[:, None] + rng.normal(0, 0.1, (2, 1, images))
    return scores + rng.normal(0, 0.05, (2, seeds, 1)) + rng.normal(0, 0.02, (2, seeds, images))


@pytest.mark.parametrize("images", [5, 14])
def test_the_bootstrap_over_seeds_and_images_covers_as_often_as_it_says(images):
    rng = np.random.default_rng(images)
    hits = []
    for _ in range(300):
        _, differences = crossed_bootstrap(simulated_scores(rng, 8, images), resamples=600)
        hits.append(differences[0, 1, 0] <= 0 <= differences[0, 1, 1])
    assert 0.90 <= np.mean(hits) <= 0.98


def test_the_bootstrap_is_paired_and_antisymmetric():
    scores = simulated_scores(np.random.default_rng(0), 8, 6)
    means, differences = crossed_bootstrap(scores, resamples=500)
    assert differences[0, 1] == pytest.approx(-differences[1, 0][::-1])
    assert np.ptp(differences[0, 1]) < 0.2 * np.ptp(means[0])
    assert crossed_bootstrap(scores, resamples=500)[0] == pytest.approx(means)


def curve(crossing: float, fractions=FRACTIONS, slope: float = 0.3) -> np.ndarray:
    """Ahead by `slope` · log(fraction / crossing): behind before the crossing, ahead after it."""
    return slope * np.log(np.asarray(fractions) / crossing)


@pytest.mark.parametrize("crossing", [0.25, 0.4, 0.57, 0.93])
def test_a_known_crossing_is_found_exactly(crossing):
    found = crossover(FRACTIONS, curve(crossing))
    assert found.status == OVERTAKES
    assert found.fraction == pytest.approx(crossing, rel=1e-9)
    assert np.isnan(found.low)
    assert found.seeds == 1


def test_the_interval_holds_the_crossing_and_narrows_with_agreement():
    noise = np.random.default_rng(0).normal(0, 1, (4, 5))
    wide = crossover(FRACTIONS, curve(0.57) + 0.06 * noise)
    narrow = crossover(FRACTIONS, curve(0.57) + 0.01 * noise)
    assert wide.low < narrow.low < 0.57 < narrow.high < wide.high


def test_never_ahead_is_none_and_always_ahead_is_already():
    noise = np.random.default_rng(0).normal(0, 0.005, (3, 5))
    assert crossover(FRACTIONS, curve(3.0) + noise).status == NONE
    assert crossover(FRACTIONS, curve(0.05) + noise).status == ALREADY
    assert np.isnan(crossover(FRACTIONS, curve(3.0) + noise).low)


def test_equal_curves_are_not_resolved():
    found = crossover(
        FRACTIONS, np.array([[0.02, -0.03, 0.01, -0.02, 0.04], [-0.05, 0.04, -0.02, 0.05, -0.03], [0.03, 0.0, 0, 0, 0]])
    )
    assert found.status == UNRESOLVED
    assert (found.low, found.high) == pytest.approx((0.2, 1.0))


def test_of_several_crossings_the_last_counts():
    found = crossover(FRACTIONS, [-0.1, 0.1, -0.1, 0.1, 0.2])
    assert found.status == OVERTAKES
    assert 0.6 < found.fraction < 0.8


def test_the_crossings_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(300):
        found = crossover(FRACTIONS, curve(0.57) + rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.05, (3, 5)))
        hits.append(found.low <= 0.57 <= found.high)
    assert 0.90 <= np.mean(hits) <= 0.98


SIZES = np.array([3, 6, 15, 30, 60, 120, 180, 240, 300.0])


def test_a_power_law_is_found_again_with_its_interval():
    truth = 34 - 0.3 * (SIZES / 300) ** -0.4
    found = power_law(SIZES, truth + np.random.default_rng(0).normal(0, 0.02, 9))
    assert not found.refused
    assert found.limit_interval[0] <= 34 <= found.limit_interval[1]
    assert found.exponent_interval[0] <= 0.4 <= found.exponent_interval[1]
    assert found.r2 > 0.99


@pytest.mark.parametrize(
    ("sizes", "psnr", "why"),
    [
        (SIZES[:3], [33.0, 33.1, 33.2], "3 sizes"),
        (SIZES, 33 - 0.01 * np.arange(9), "does not grow"),
        (SIZES, 33 + np.array([0, 0.05, -0.04, 0.03, -0.05, 0.04, -0.02, 0.05, 0.01]), "explains only"),
        (SIZES[4:], 33 + 0.2 * np.log(SIZES[4:]), "limit|exponent"),
    ],
)
def test_points_that_do_not_carry_a_power_law_get_none(sizes, psnr, why):
    found = power_law(sizes, psnr)
    assert found.refused
    assert np.isnan(found.limit)
    assert re.search(why, found.refused), found.refused


def test_noise_alone_is_hardly_ever_a_power_law():
    rng = np.random.default_rng(7)
    refused = [bool(power_law(SIZES, 33 + rng.normal(0, 0.05, 9)).refused) for _ in range(20)]
    assert np.mean(refused) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_all_intervals_cover_over_many_simulations(seeds):
    rng = np.random.default_rng(seeds)
    hits = {"mean": [], "difference": [], "crossing": [], "bootstrap": []}
    for _ in range(1500):
        hits["mean"].append(covered(t_interval(rng.normal(0, 0.1, seeds)), 0))
        shared = rng.normal(0, 0.1, seeds)
        pair = paired_difference(shared + rng.normal(0, 0.05, seeds), shared + rng.normal(0, 0.05, seeds))
        hits["difference"].append(covered(pair, 0))
        found = crossover(FRACTIONS, curve(0.57) + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.05, (seeds, 5)))
        hits["crossing"].append(found.low <= 0.57 <= found.high)
        if seeds >= 8:
            _, differences = crossed_bootstrap(simulated_scores(rng, seeds, 14), resamples=1000)
            hits["bootstrap"].append(differences[0, 1, 0] <= 0 <= differences[0, 1, 1])
    rates = {name: float(np.mean(found)) for name, found in hits.items() if found}
    print(f"\n{seeds} seeds, coverage of nominal 95 %: {rates}")
    if seeds == 2:
        # Wide on purpose, see `crossover`.
        assert rates.pop("crossing") >= 0.95
    assert all(0.93 <= rate <= 0.98 for rate in rates.values()), rates
