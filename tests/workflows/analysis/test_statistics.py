import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflows.analysis.statistics import (
    holm,
    paired_difference,
    power_law,
    t_interval,
    with_holm,
    within_image_interval,
)


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


def test_equal_models_differ_significantly_in_at_most_seven_of_a_hundred_cases():
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


def test_correction_stays_within_its_family():
    table = pd.DataFrame({"set": ["a", "b", "a"], "p": [0.01, 0.02, 0.04]})
    assert with_holm(table, ["set"])["p_holm"].tolist() == pytest.approx([0.02, 0.02, 0.04])


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


SIZES = np.array([3, 6, 15, 30, 60, 120, 180, 240, 300.0])


def test_a_power_law_is_found_again_with_its_interval():
    truth = 34 - 0.3 * (SIZES / 300) ** -0.4
    found = power_law(SIZES, truth + np.random.default_rng(0).normal(0, 0.02, 9))
    assert not found.refused
    assert found.limit_low <= 34 <= found.limit_high
    assert found.exponent_low <= 0.4 <= found.exponent_high
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
