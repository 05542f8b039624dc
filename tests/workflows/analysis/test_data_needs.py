import numpy as np
import pytest

from workflows.analysis.computation import Tables
from workflows.analysis.data_needs import loss_gaps

TWO = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.0), "edsr": ("edsr_tiny", 0.0, 0.8, 0.6)}


def test_data_needs_join_gain_limit_and_expected_gain(gathered):
    table = Tables(*gathered(seeds=(0, 1, 2), models=TWO, noise=0.005))["data"].set_index("model")
    assert table.loc["edsr", "limiting"] == "yes"
    assert table.loc["edsr", "low"] > 0.4
    assert table.loc["ipt", "limiting"] != "yes"
    assert table.loc["edsr", "gap_smallest"] > table.loc["edsr", "gap_largest"]
    assert table.loc["edsr", "crops_smallest"] == pytest.approx(2000 * 16 / 60, rel=1e-5)


def test_power_laws_say_why_there_is_none(gathered):
    table = Tables(*gathered(fractions=(0.2, 1.0), models=TWO))["data"]
    assert table["refused"].str.contains("2 sizes").all()


def test_a_model_of_one_fraction_has_no_row(gathered):
    lost = [f"ipt-20-seed-{seed}" for seed in (0, 1)]
    one = Tables(*gathered(seeds=(0, 1), fractions=(0.2, 1.0), models=TWO, lost=lost))["data"]
    assert one["model"].tolist() == ["edsr"]
    assert one[["smallest", "largest", "points"]].notna().all(axis=None)
    assert Tables(*gathered(name="single", fractions=(1.0,), models=TWO))["data"].empty


def test_gaps_stand_at_every_fraction_with_the_seeds_that_have_them(gathered):
    _, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), models=TWO)
    runs.loc[runs["run"].isin(["edsr-20-seed-1", "edsr-20-seed-2"]), "gap"] = None
    found = loss_gaps(runs).set_index(["model", "fraction"])
    mine = runs[(runs["model"] == "ipt") & (runs["fraction"] == 0.2)]["gap"]
    assert found.loc[("ipt", 0.2), "gap"] == pytest.approx(mine.mean())
    assert found.loc[("ipt", 0.2), "gap_low"] < mine.mean() < found.loc[("ipt", 0.2), "gap_high"]
    assert found.loc[("edsr", 0.2), "seeds"] == 1
    assert np.isnan(found.loc[("edsr", 0.2), "gap_low"])
