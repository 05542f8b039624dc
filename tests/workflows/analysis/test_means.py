import numpy as np
import pandas as pd
import pytest

from workflows.analysis.means import common_images, identical_images, per_seed, seen_by, summarise
from workflows.analysis.statistics import t_interval


def test_seeds_are_averaged_after_images(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0))
    row = summarise(results, runs).query("model == 'ipt' and fraction == 0.2").iloc[0]
    here = results[(results["model"] == "ipt") & (results["fraction"] == 0.2)]
    means = [here.loc[here["seed"] == seed, "psnr_y"].mean() for seed in (0, 1, 2)]
    assert row["psnr_y"] == pytest.approx(np.mean(means))
    assert row["psnr_y_high"] == pytest.approx(t_interval(means).high)
    assert (row["seeds"], row["images"]) == (3, 6)


def test_only_images_that_every_run_has_are_averaged(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    lacks = (results["model"] == "rdn") & (results["fraction"] == 1.0) & (results["image"] == "rocket")
    results = results[~lacks]
    kept = common_images(results)
    assert "rocket" not in set(kept["image"])
    summary = summarise(results, runs)
    assert set(summary["images"]) == {5}
    assert set(summary["images_known"]) == {6}


def test_missing_cells_stay_in_the_grid_without_numbers(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), lost=["ipt-20-seed-0"])
    row = summarise(results, runs).query("model == 'ipt' and fraction == 0.2").iloc[0]
    assert (row["seeds"], row["seeds_planned"]) == (0, 1)
    assert np.isnan(row["psnr_y"])


def test_ensembled_scores_stand_apart(gathered):
    results, _ = gathered(fractions=(1.0,))
    better = results.assign(setting="x8", psnr_y=results["psnr_y"] + 1)
    both = pd.concat([results, better])
    pd.testing.assert_frame_equal(per_seed(both), per_seed(results))
    assert set(per_seed(both, setting=None)["setting"]) == {"plain", "x8"}


def test_a_model_that_cannot_do_a_task_is_not_missing_there(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), tasks=("dn30",), lost=["ipt-20-seed-0"])
    rain = results[results["model"] != "edsr"].assign(task="dr", dataset="Rain100L")
    summary = summarise(
        pd.concat([results, rain]), runs.assign(tasks=runs["tasks"].where(runs["model"] == "edsr", "dr+dn30"))
    )
    of_rain = summary[summary["task"] == "dr"]
    assert "edsr" not in set(of_rain["model"])
    # A run that is not scored yet is missing where its network has a head.
    assert of_rain[of_rain["seeds"] == 0][["model", "fraction"]].to_numpy().tolist() == [["ipt", 0.2]]


def test_images_that_some_model_restored_exactly_are_left_out_for_all(gathered):
    results, runs = gathered(seeds=(0, 1), fractions=(0.2, 1.0))
    black = (results["image"] == "rocket") & (results["model"] == "edsr") & (results["seed"] == 1)
    results.loc[black, "psnr_y"] = np.inf
    assert identical_images(results).to_numpy().tolist() == [["sr2", "photos", "rocket", "edsr"]]
    summary = summarise(results, runs)
    assert np.isfinite(summary["psnr_y"]).all()
    assert set(summary["images"]) == {5}
    expected = results[(results["image"] != "rocket") & (results["model"] == "ipt") & (results["fraction"] == 1.0)]
    found = summary[(summary["model"] == "ipt") & (summary["fraction"] == 1.0)]["psnr_y"].item()
    assert found == pytest.approx(expected["psnr_y"].mean())


def test_networks_without_windows_have_the_same_scores_in_both(gathered):
    results, runs = gathered(fractions=(1.0,))
    assert seen_by(results, runs, "averaged").empty
    averaged = results[results["model"] == "ipt"].assign(setting="averaged", psnr_y=40.0)
    seen = seen_by(pd.concat([results, averaged]), runs, "averaged")
    assert set(seen["model"]) == {"ipt", "edsr", "rdn", "bicubic"}  # ipt-contrastive has no averaged scores
    assert (seen.loc[seen["model"] == "ipt", "psnr_y"] == 40).all()
    plain = results.loc[results["model"] == "edsr", "psnr_y"].tolist()
    assert seen.loc[seen["model"] == "edsr", "psnr_y"].tolist() == plain


def test_a_reference_without_a_fraction_has_its_row(gathered):
    table = summarise(*gathered(fractions=(0.2, 1.0)))
    (row,) = table[table["model"] == "bicubic"].itertuples()
    assert (row.seeds, pd.isna(row.fraction)) == (1, True)
    assert row.psnr_y > 0
