"""Gains, slopes, crossovers, and the answers that follow from them, on experiments of which the truth is known."""

import numpy as np
import pandas as pd
import pytest

from tests.workflows.analysis.simulated import FRACTIONS, crossing_at, grids, runs
from workflows.analysis.cells import Grid
from workflows.analysis.claims import NO, NOT_TESTED, UNRESOLVED, YES, answer, claims
from workflows.analysis.contrastive_pairs import gains as contrastive_gains
from workflows.analysis.crossovers import ALREADY, NONE, OVERTAKES, crossover, crossovers
from workflows.analysis.crossovers import UNRESOLVED as OPEN
from workflows.analysis.data_slopes import data_slopes
from workflows.analysis.differences import differences
from workflows.analysis.gains import gain_differences
from workflows.analysis.records import transformers
from workflows.analysis.tables import TABLES, columns

# Every table, without rows.
EMPTY = {name: pd.DataFrame(columns=columns(name)) for name in TABLES}


def claimed(made: list[Grid], slopes, claim: str, subject: str | None = None) -> pd.DataFrame:
    known = runs(slopes)
    if subject is not None:
        known["subject"] = np.where(known["model"] == subject, "yes", "no")
    curves = pd.concat(
        scores.groupby(["model", "fraction"], as_index=False)
        .agg(psnr_y=("value", "mean"), seeds=("value", "size"))
        .assign(**on)
        for on, scores, _ in made
    )
    tables = {"slopes": data_slopes(made, known), "gain_differences": gain_differences(made, known)}
    tables |= {"crossovers": crossovers(made, known), "differences": differences(made, known)}
    found = claims({**EMPTY, **tables, "quality_data": curves}, transformers(known))
    return found[found["claim"] == claim].set_index("windows")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.02, 0.4, 0.01), YES),
        ((0.02, 0.4, 0.06), UNRESOLVED),  # after correction
        ((-0.1, 0.2, 0.5), UNRESOLVED),
        ((-0.1, 0.04, 0.5), NO),
        ((0.01, 0.04, 0.001), NO),  # sure, and too small to notice
        ((-0.3, -0.1, 0.001), NO),
        ((np.nan, np.nan, np.nan), NOT_TESTED),
    ],
)
def test_answers_follow_from_the_interval(interval, expected):
    assert answer(*interval) == expected


def test_gaining_more_is_claimed_only_where_both_ways_of_cutting_windows_say_so():
    more, equal = {"ipt": 0.8, "edsr": 0.3}, {"ipt": 0.3, "edsr": 0.3}
    both = grids(more, spread=0.02)
    assert claimed(both, more, "gains_more")["answer"].to_dict() == {"centre": YES, "averaged": YES}
    disagreeing = [both[0], grids(equal, spread=0.02, seed=1)[1]]
    assert set(claimed(disagreeing, more, "gains_more")["answer"]) == {UNRESOLVED}
    assert set(claimed(grids(equal, spread=0.005), equal, "gains_more")["answer"]) == {NO}
    assert set(claimed(both[:1], more, "gains_more")["answer"]) == {NOT_TESTED}
    assert set(claimed(grids(more, seeds=1), more, "gains_more")["answer"]) == {NOT_TESTED}


def test_claims_are_about_the_model_that_the_config_names():
    truth = {"mine": 0.8, "edsr": 0.3, "ipt": 0.3}
    found = claimed(grids(truth, spread=0.02), truth, "gains_more", subject="mine")
    assert set(zip(found.index, found["model"], found["rival"], found["answer"], strict=True)) == {
        ("centre", "mine", "edsr", YES),  # neither has windows
        ("centre", "mine", "ipt", YES),
        ("averaged", "mine", "ipt", YES),
    }
    crossed = claimed(grids(truth, spread=0.02), truth, "overtakes", subject="mine")
    assert list(zip(crossed.index, crossed["rival"], strict=True)) == [
        *zip(["centre"] * 2, ["edsr", "ipt"], strict=True),
        ("averaged", "ipt"),
    ]
    alone = {"mine": 0.8, "edsr": 0.3}
    found = claimed(grids(alone, windows=["centre"], spread=0.02), alone, "gains_more", subject="mine")
    assert found["answer"].to_dict() == {"centre": YES}, "no second kind of windows is needed without an IPT"


@pytest.mark.parametrize("claim", ["data_limited", "gains_more", "overtakes", "order"])
def test_a_claim_needs_two_seeds_at_both_ends_of_its_span(claim):
    truth = {"ipt": 2.0, "edsr": 0.1}
    for few, tested in ((0.6, True), (0.2, claim == "order"), (1.0, False)):
        seeds = {
            "ipt": {fraction: 1 if fraction == few else 4 for fraction in FRACTIONS},
            "edsr": dict.fromkeys(FRACTIONS, 4),
        }
        made = grids(truth, spread=0.01, seeds=seeds, levels={"ipt": 33.5, "edsr": 32.8})
        found = claimed(made, truth, claim)
        of_ipt = found[found["model"] == "ipt"]
        assert (set(of_ipt["answer"]) == {NOT_TESTED}) is not tested


def test_data_limited_has_three_answers_and_a_bound():
    slopes = {"ipt": 0.8, "edsr": 0.0}
    found = claimed(grids(slopes, spread=0.02), slopes, "data_limited").loc["centre"].set_index("model")
    assert found["answer"].to_dict() == {"ipt": YES, "edsr": NO}
    assert found.loc["ipt", "estimate"] == pytest.approx(0.8 * np.log10(5), abs=0.05)
    assert 0 < found.loc["edsr", "high"] < 0.05
    noisy = claimed(grids(slopes, spread=0.5), slopes, "data_limited").loc["centre"].set_index("model")
    assert noisy.loc["edsr", "answer"] == UNRESOLVED
    # Networks without windows are said once.
    assert claimed(grids(slopes), slopes, "data_limited").loc["averaged", "model"] == "ipt"


def test_held_out_loss_that_falls_says_that_data_was_limiting():
    slopes = {"edsr": 0.0}
    known = pd.concat([runs(slopes).assign(seed=seed) for seed in range(3)], ignore_index=True)
    noise = np.random.default_rng(0).normal(0, 0.01, len(known))
    known["validation_l1"] = 5.0 - 0.4 * np.log10(known["fraction"]) + noise
    found = claims({**EMPTY, "slopes": data_slopes([], known)}, []).iloc[0]
    assert (found["dataset"], found["unit"], found["answer"]) == ("held-out", "L1", YES)
    assert found["estimate"] == pytest.approx(0.4 * np.log10(5), abs=0.02)
    assert found["low"] < found["estimate"] < found["high"]
    flat = data_slopes([], known.assign(validation_l1=5.0 + noise))
    assert claims({**EMPTY, "slopes": flat}, []).iloc[0]["answer"] == NO


def held_out(ipt: float, edsr: float) -> pd.DataFrame:
    """Runs of both networks whose held-out loss falls by so much per decade of data."""
    falls = {"ipt": ipt, "edsr": edsr}
    known = pd.concat([runs(falls).assign(seed=seed) for seed in range(3)], ignore_index=True)
    noise = np.random.default_rng(0).normal(0, 0.002, len(known))
    return known.assign(validation_l1=5.0 - known["model"].map(falls) * np.log10(known["fraction"]) + noise)


@pytest.mark.parametrize(("ipt", "expected"), [(0.8, YES), (0.3, NO), (0.1, NO)])
def test_gaining_more_on_held_out_images_needs_no_second_kind_of_windows(ipt, expected):
    known = held_out(ipt, 0.3)
    tables = {"slopes": data_slopes([], known), "gain_differences": gain_differences([], known)}
    found = claims({**EMPTY, **tables}, ["ipt"]).set_index("claim").loc["gains_more"]
    assert (found["dataset"], found["windows"], found["unit"]) == ("held-out", "", "L1")
    assert found["estimate"] == pytest.approx((ipt - 0.3) * np.log10(5), abs=0.01)
    assert found["answer"] == expected


def test_one_seed_has_a_crossing_and_no_interval():
    made, slopes = crossing_at(0.57, 1e-6, seeds=1)
    found = crossover(made[0].cells, "ipt", "edsr", FRACTIONS)
    assert (found.status, found.seeds) == (OVERTAKES, 1)
    assert np.isnan([found.low, found.high]).all()
    assert set(claimed(made, slopes, "overtakes")["answer"]) == {NOT_TESTED}


def test_a_crossing_is_claimed_where_its_interval_lies_within_the_range():
    made, slopes = crossing_at(0.5, 0.02)
    found = claimed(made, slopes, "overtakes").loc["centre"]
    assert found["answer"] == YES
    assert found["low"] < 0.5 < found["high"]
    assert found["unit"] == "fraction"


def test_a_crossing_whose_interval_reaches_both_ends_is_unresolved():
    made, slopes = crossing_at(0.5, 1.0)
    found = crossover(made[0].cells, "ipt", "edsr", FRACTIONS)
    assert (found.status, found.low, found.high) == (OPEN, 0.2, 1.0)
    assert claimed(made, slopes, "overtakes")["answer"].iloc[0] == UNRESOLVED


@pytest.mark.parametrize(("crossing", "status"), [(3.0, NONE), (0.05, ALREADY)])
def test_never_ahead_and_always_ahead_are_no_crossing(crossing, status):
    made, slopes = crossing_at(crossing, 0.005)
    assert crossover(made[0].cells, "ipt", "edsr", FRACTIONS).status == status
    assert set(claimed(made, slopes, "overtakes")["answer"]) == {NO}


def test_an_interval_that_reaches_one_end_is_no_claim():
    made, slopes = crossing_at(0.93, 0.03)  # behind at the start; at the end nobody knows
    found = claimed(made, slopes, "overtakes").loc["centre"]
    assert found["high"] == 1.0
    assert found["low"] > 0.2
    assert found["answer"] == UNRESOLVED


def test_the_order_is_claimed_of_neighbours_and_corrected_for_all_pairs():
    slopes, levels = {"ipt": 0.3, "edsr": 0.3, "rdn": 0.3}, {"ipt": 33.5, "edsr": 34.0, "rdn": 33.49}
    made = grids(slopes, levels=levels, spread=0.001)
    found = claimed(made, slopes, "order").loc["centre"]
    assert found[["model", "rival"]].to_numpy().tolist()[0] == ["edsr", "ipt"]
    assert found["answer"].tolist() == [YES, NO]  # 0.01 dB is no order worth the name
    assert (found["estimate"] > 0).all()
    assert (found["p_holm"] >= found["p"]).all()


def test_the_contrastive_loss_is_judged_by_pairs_of_seeds(gathered):
    results, known = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0))
    table = contrastive_gains(results, known)
    found = claims({**EMPTY, "contrastive": table}, ["ipt"]).iloc[0]
    here = results[results["fraction"] == 1.0].groupby(["model", "seed"])["psnr_y"].mean()
    assert (found["model"], found["rival"], found["span"], found["seeds"]) == ("ipt-contrastive", "ipt", "1", 3)
    assert found["estimate"] == pytest.approx((here["ipt-contrastive"] - here["ipt"]).mean())
    one = contrastive_gains(results[results["seed"] == 0], known)
    assert claims({**EMPTY, "contrastive": one}, ["ipt"]).iloc[0]["answer"] == NOT_TESTED
