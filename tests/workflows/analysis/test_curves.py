"""The data of line figures against direct computations from the same scores and logs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.helpers import IMAGES, gather
from workflows.analysis import curves


def test_with_seeds_intervals_are_students_over_the_seeds_means(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0))
    table = curves.quality_data(results, runs).set_index(["model", "fraction"])
    here = results[(results["model"] == "edsr") & (results["fraction"] == 0.2)]
    means = [here.loc[here["seed"] == seed, "psnr_y"].mean() for seed in (0, 1, 2)]
    low, high = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    row = table.loc[("edsr", 0.2)]
    assert row[["psnr_y", "low", "high"]].tolist() == pytest.approx([np.mean(means), low, high])
    assert (row["over"], row["seeds"], row["images"]) == ("seeds", 3, 60)


def test_with_one_seed_intervals_are_over_images_without_the_images_own_levels(gathered):
    """Cousineau's normalisation with Morey's correction, network by network and image by image."""
    results, runs = gathered(fractions=(0.2, 1.0))
    table = curves.quality_data(results, runs).set_index(["model", "fraction"])
    scores = results.dropna(subset="fraction").set_index(["model", "fraction", "image"])["psnr_y"]
    networks = scores.index.droplevel("image").unique()
    level = {image: np.mean([scores[(*network, image)] for network in networks]) for image in IMAGES}
    mine = [scores["ipt", 1.0, image] - level[image] for image in IMAGES]
    spread = np.std(mine, ddof=1) * np.sqrt(len(networks) / (len(networks) - 1))
    half = stats.t.ppf(0.975, len(IMAGES) - 1) * spread / np.sqrt(len(IMAGES))
    row = table.loc[("ipt", 1.0)]
    assert row["over"] == "images"
    assert row["high"] - row["psnr_y"] == pytest.approx(half)
    assert row["psnr_y"] - row["low"] == pytest.approx(half)
    assert table.loc["bicubic", "low"].isna().all()


def test_quality_stands_against_the_mean_costs_of_the_largest_fraction(gathered):
    results, runs = gathered(seeds=(0, 1), fractions=(0.2, 1.0))
    runs = runs.assign(train_hours=np.arange(len(runs), dtype="float64"), macs_per_output_pixel_sr2=runs["seed"] + 5.0)
    data = curves.quality_data(results, runs)
    table = curves.quality_cost(data, runs).set_index("model")
    assert set(table["fraction"]) == {1.0}
    assert table.index.tolist() == ["ipt", "ipt-contrastive", "edsr", "rdn"]
    assert table.loc["edsr", "train_hours"] == pytest.approx(runs.loc[runs["model"] == "edsr", "train_hours"].mean())
    assert (table["macs_per_output_pixel"] == 5.5).all()
    alone = curves.quality_cost(data.assign(over="images"), runs)
    assert alone[["low", "high"]].isna().all(axis=None), "an interval over images says nothing of another training"


def test_learning_curves_are_smoothed_run_by_run_and_averaged_over_seeds(experiment):
    folder, names = experiment(seeds=(0, 1), fractions=(1.0,), models={"ipt": ("ipt_tiny", 0.0, 0.8, 0.1)})
    _, runs = gather(folder, names)
    logs = {}
    for seed, count in ((0, 60), (1, 60)):
        losses = np.random.default_rng(seed).normal(5, 1, count)
        logs[seed] = pd.DataFrame({"step": 10 * np.arange(count), "l1": losses, "validation_psnr": 30.0 + seed})
        logs[seed].to_csv(folder / "runs" / f"ipt-100-seed-{seed}" / "train.csv", index=False)
    paths = [*folder.glob("runs/*/train.csv"), folder / "runs" / "unknown" / "train.csv"]
    table = curves.learning_curves(runs, paths)
    smooth = [
        np.mean([log["l1"][max(0, i - 1) : i + 2].mean() for log in logs.values()]) for i in range(60)
    ]  # 5 % of 60 rows are 3
    np.testing.assert_allclose(table["l1"], smooth)
    assert table["step"].tolist() == logs[0]["step"].tolist()
    assert (table["validation_psnr"] == 30.5).all()
    assert (table["seeds"] == 2).all()


def test_the_share_of_the_gradient_is_the_mean_over_seeds_of_runs_that_have_one():
    runs = pd.DataFrame(
        {
            "model": ["con", "con", "con", "ipt"],
            "fraction": [0.5, 0.5, 1.0, 0.5],
            "contrastive": [0.1, 0.1, 0.1, 0.0],
            "contrastive_share": [0.2, 0.4, 0.1, None],
        }
    )
    runs["seed"] = [0, 1, 0, 0]
    by_seed = curves.gradient_shares_by_seed(runs)
    assert by_seed["share"].tolist() == [0.2, 0.4, 0.1]
    found = curves.gradient_shares(by_seed)[["model", "weight", "fraction", "share", "seeds"]].to_numpy().tolist()
    assert found == [["con", 0.1, 0.5, pytest.approx(0.3), 2], ["con", 0.1, 1.0, 0.1, 1]]
    assert curves.gradient_shares_by_seed(runs.drop(columns="contrastive_share")).empty
