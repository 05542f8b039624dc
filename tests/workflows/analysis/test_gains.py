"""Gains from data, and their differences between models."""

import numpy as np
import pandas as pd
import pytest

from tests.workflows.analysis.simulated import grids, runs
from workflows.analysis.gains import gain_differences, gains, spans


def test_spans_are_the_whole_range_and_the_papers():
    assert spans([0.01, 0.2, 1.0]) == [(0.01, 1.0), (0.2, 1.0)]
    assert spans([0.2, 0.6, 1.0]) == [(0.2, 1.0)]
    assert spans([0.01, 0.5]) == [(0.01, 0.5)]
    assert spans([1.0]) == []


def test_networks_without_windows_have_no_second_row():
    slopes = {"ipt": 0.8, "edsr": 0.3}
    found = gains(grids(slopes), runs(slopes))
    assert list(zip(found["windows"], found["model"], strict=True)) == [
        ("centre", "ipt"),
        ("centre", "edsr"),
        ("averaged", "ipt"),
    ]


def test_on_held_out_images_a_gain_is_a_fall_of_the_loss():
    slopes = {"ipt": 0.8, "edsr": 0.3}
    known = pd.concat([runs(slopes).assign(seed=seed) for seed in range(2)], ignore_index=True)
    # The largest share of the data has 0.5 less than the smallest for IPT, and 0.2 less for EDSR.
    falls = known["model"].map({"ipt": 0.5, "edsr": 0.2}) * known["fraction"].eq(1.0)
    known["validation_l1"] = 5.0 - falls + 0.01 * known["seed"]
    own = gains([], known).set_index("model")
    assert own["gain"].to_dict() == pytest.approx({"ipt": 0.5, "edsr": 0.2})
    assert set(own["measure"]) == {"validation_l1"}
    (more,) = gain_differences([], known).to_dict("records")
    assert more["difference"] == pytest.approx(0.3)
    assert (more["dataset"], more["windows"], more["seeds"]) == ("held-out", "", 2)


@pytest.mark.parametrize("differs", ["tasks", "batch_size", "patch_size"])
def test_losses_on_different_held_out_crops_are_not_compared(differs):
    known = pd.concat([runs({"ipt": 0.8, "edsr": 0.3}).assign(seed=seed) for seed in range(2)], ignore_index=True)
    known = known.assign(tasks="sr2", batch_size=16, patch_size=24, validation_l1=5.0 + 0.01 * known["seed"])
    assert len(gain_differences([], known)) == 1
    known[differs] = (
        known[differs].astype(object).mask(known["model"] == "ipt", "sr2+dn50" if differs == "tasks" else 48)
    )
    assert len(gain_differences([], known)) == 0
    assert len(gains([], known)) == 2


def test_a_fine_tuned_rival_is_compared_with_a_fine_tuned_ipt_alone():
    slopes = {"ipt": 0.8, "edsr": 0.3, "ipt-ft": 0.4, "edsr-ft": 0.1}
    found = gain_differences(grids(slopes, windows=["centre"]), runs(slopes))
    assert list(zip(found["model"], found["rival"], strict=True)) == [("ipt", "edsr"), ("ipt-ft", "edsr-ft")]


def test_gains_and_their_difference_are_found():
    slopes = {"ipt": 0.8, "edsr": 0.3}
    made = grids(slopes, spread=0.001)
    bought = gains(made, runs(slopes)).set_index(["windows", "model"])
    assert bought.loc[("centre", "ipt"), "gain"] == pytest.approx(0.8 * np.log10(5), abs=0.01)
    more = gain_differences(made, runs(slopes)).set_index("windows").loc["centre"]
    assert more["difference"] == pytest.approx(0.5 * np.log10(5), abs=0.01)
    assert more["low"] < 0.5 * np.log10(5) < more["high"]
    assert (more["model"], more["rival"], more["span"]) == ("ipt", "edsr", "0.2-1")
