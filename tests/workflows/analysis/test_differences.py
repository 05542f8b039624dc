import json

import numpy as np
import pandas as pd
import pytest

from workflows.analysis.cells import grids
from workflows.analysis.differences import differences, paired_models
from workflows.analysis.statistics import paired_difference


def test_contrastive_pairs_are_paired_by_seed_and_others_are_not(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), lost=["ipt-20-seed-1"])
    found = differences(grids(results, runs), runs).set_index(["fraction", "model", "other"])
    row = found.loc[(0.2, "ipt-contrastive", "ipt")]
    means = results[results["fraction"] == 0.2].groupby(["model", "seed"])["psnr_y"].mean()
    expected = paired_difference(means["ipt-contrastive"][[0, 2]], means["ipt"][[0, 2]])
    assert (row["difference"], row["low"], row["p"]) == pytest.approx((expected.mean, expected.low, expected.p))
    assert (row["seeds"], row["test"]) == (2, "paired")
    other = found.loc[(0.2, "edsr", "ipt")]
    assert other["difference"] == pytest.approx(means["edsr"].mean() - means["ipt"].mean())
    assert (other["seeds"], other["test"]) == (2, "unpaired")
    assert len(found) == 2 * 6


def test_models_that_start_alike_are_paired():
    """Whatever else their training differs in; not those of other networks or batches, nor a fine-tuned one with its start."""
    same = {"variant": "edsr_tiny", "tasks": ["sr2"], "training.batch_size": 16, "training.precision": "32-true"}
    known = {
        "edsr": same,
        "bf16": {**same, "training.precision": "bf16-mixed"},
        "wide": {**same, "kwargs.num_feat": 64},
        "batches": {**same, "training.batch_size": 32},
        "tuned": same,
    }
    rows = [{"model": name, "fraction": 1.0, "settings": json.dumps(settings)} for name, settings in known.items()]
    runs = pd.DataFrame(rows).assign(pretrained=[np.nan] * 4 + ["edsr-100-seed-0"])
    assert paired_models(runs) == {frozenset(("edsr", "bf16"))}


def test_pairs_without_two_common_seeds_are_compared_unpaired(gathered):
    lost = ["ipt-20-seed-2", "ipt-contrastive-20-seed-0"]
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), lost=lost)
    found = differences(grids(results, runs), runs).set_index(["fraction", "model", "other"])
    row = found.loc[(0.2, "ipt-contrastive", "ipt")]
    means = results[results["fraction"] == 0.2].groupby("model")["psnr_y"].mean()
    assert row["difference"] == pytest.approx(means["ipt-contrastive"] - means["ipt"])
    assert (row["seeds"], row["test"]) == (2, "unpaired")


def test_a_cell_of_one_seed_has_no_interval_beside_repeated_ones(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), lost=["edsr-20-seed-1", "edsr-20-seed-2"])
    found = differences(grids(results, runs), runs).set_index(["fraction", "model", "other"])
    assert np.isnan(found.loc[(0.2, "edsr", "ipt"), ["low", "high", "p"]].astype(float)).all()
    assert found.loc[(1.0, "edsr", "ipt"), "p"] > 0


def test_p_values_are_corrected_within_a_set(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), datasets=("Set5", "B100"))
    found = differences(grids(results, runs), runs)
    for _, here in found.groupby("dataset"):
        assert here["p_holm"].min() == pytest.approx(min(1, len(here) * here["p"].min()))
    assert (found["p_holm"] >= found["p"]).all()


def test_with_one_seed_there_is_no_p_value(gathered):
    results, runs = gathered(fractions=(1.0,))
    found = differences(grids(results, runs), runs)
    assert found[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert found["difference"].notna().all()


def test_no_data_at_all_and_methods_outside_the_grid_are_on_no_curve(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    none = results[results["fraction"] == 0.2].assign(fraction=0.0)
    method = results[results["model"] == "bicubic"].assign(model="rcan")
    (grid,) = grids(pd.concat([results, none, method]), runs)
    assert set(grid.scores["fraction"]) == {0.2, 1.0}
    assert "rcan" not in grid.cells
    assert np.isfinite(grid.scores["value"]).all()
