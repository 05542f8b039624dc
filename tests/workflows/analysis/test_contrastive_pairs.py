"""Gains from the contrastive loss, in pairs of models."""

import pandas as pd
import pytest

from tests.helpers import raises_naming
from workflows.analysis.contrastive_pairs import find_pairs, gains
from workflows.analysis.records import ReportError
from workflows.analysis.statistics import t_interval


def test_pairs_are_models_that_differ_in_the_contrastive_loss_alone(gathered):
    _, runs = gathered(fractions=(1.0,))
    assert find_pairs(runs) == [("ipt", "ipt-contrastive", 0.1)]
    runs.loc[runs["model"] == "ipt", "twin"] = "another"
    assert find_pairs(runs) == []


def test_gains_are_paired_by_seed_and_image(gathered):
    results, runs = gathered(seeds=(0, 1), fractions=(0.2, 1.0))
    data = gains(results, runs)
    mean = data.query("level == 'mean' and fraction == 0.2").iloc[0]
    here = results[results["fraction"] == 0.2].pivot_table(index=["seed", "image"], columns="model", values="psnr_y")
    difference = (here["ipt-contrastive"] - here["ipt"]).groupby("seed").mean()
    assert mean["gain"] == pytest.approx(difference.mean())
    assert mean["low"] == pytest.approx(t_interval(difference).low)
    assert (mean["over"], mean["count"]) == ("seeds", 2)


def test_with_one_seed_gains_are_over_images_and_say_so(gathered):
    results, runs = gathered(fractions=(1.0,))
    mean = gains(results, runs).query("level == 'mean'").iloc[0]
    assert (mean["over"], mean["count"]) == ("images", 6)
    assert mean["low"] < mean["gain"] < mean["high"]


def test_model_whose_runs_held_anchors_against_groups_of_different_size_is_refused():
    """The measured number of negatives may differ: of five images fewer rows of a batch are of other images."""
    runs = pd.DataFrame(
        {
            "run": ["ipt-50-seed-0", "con-50-seed-0", "con-100-seed-0"],
            "model": ["ipt", "con", "con"],
            "fraction": [0.5, 0.5, 1.0],
            "variant": "ipt_tiny",
            "contrastive": [0.0, 0.1, 0.1],
            "twin": "t",
            "negatives": [None, 12.7, 14.9],
            "settings": ["{}", '{"contrastive.group_size": 16}', '{"contrastive.group_size": 16}'],
        }
    )
    assert find_pairs(runs) == [("ipt", "con", 0.1)]
    runs.loc[2, "settings"] = '{"contrastive.group_size": 64}'
    with raises_naming(ReportError, "con", "16 (con-50-seed-0)", "64 (con-100-seed-0)"):
        find_pairs(runs)
