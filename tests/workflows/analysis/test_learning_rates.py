"""A learning rate is chosen by held-out loss alone, and a reader sees all that was tried."""

import math

import pandas as pd
import pytest
import yaml

from tests.helpers import raises_naming
from workflows.analysis.__main__ import main
from workflows.analysis.learning_rates import compare_rates
from workflows.analysis.records import ReportError
from workflows.reporting.study_tables import learning_rates

RATES = [0.001, 0.004, 0.016]
CONFIG = {
    "name": "small",
    "fractions": [0.01, 0.5, 1.0],
    "models": [
        {"name": "edsr", "label": "EDSR", "variant": "edsr_tiny", "learning_rates": RATES},
        {"name": "ipt", "variant": "ipt_tiny", "learning_rates": RATES, "training": {"learning_rate": 0.016}},
    ],
    "trial_seeds": [1000, 1001, 1002],
    "training": {"budget": {"steps": 300}, "patch_size": 24, "learning_rate": 0.004},
}
# L1 on held-out crops at 1 % and at 100 % of the images
LOSSES = {"edsr": [(6.0, 5.0), (5.5, 4.6), (5.0, 6.0)], "ipt": [(6.0, 5.5), (5.9, 5.0), (5.8, 4.9)]}


@pytest.fixture
def experiment_dir(tmp_path):
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(CONFIG))
    for model, losses in LOSSES.items():
        for rate, both in zip(RATES, losses, strict=True):
            for percent, loss in zip((1, 100), both, strict=True):
                # Seeds differ in level, and by little in what a rate is worth.
                for seed, shift in ((1000, 0.5), (1001, 0.0), (1002, -0.5)):
                    folder = tmp_path / "runs" / f"{model}-lr-{rate:g}-{percent}-seed-{seed}"
                    folder.mkdir(parents=True)
                    own = shift * (1.1 if rate == 0.016 else 1)
                    log = pd.DataFrame({"step": [1, 300], "loss": 1.0, "validation_l1": [20.0, loss + own]})
                    log.to_csv(folder / "train.csv", index=False)
                    (folder / "provenance.json").write_text("{}")
    return tmp_path


def test_best_is_the_lowest_mean_over_the_smallest_and_the_largest_fraction(experiment_dir):
    table = compare_rates(experiment_dir).set_index(["model", "learning_rate"])
    assert table.loc[("edsr", 0.004), ["validation_l1_1", "validation_l1_100"]].tolist() == pytest.approx([5.5, 4.6])
    assert table.loc[("edsr", 0.004), "validation_l1"] == pytest.approx(5.05)
    assert table.index[table["best"]].tolist() == [("edsr", 0.004), ("ipt", 0.016)]
    assert table.index[table["edge"]].tolist() == [("ipt", 0.016)]
    assert table.index[table["used"]].tolist() == [("edsr", 0.004), ("ipt", 0.016)]


def test_choice_is_shown_with_its_spread_over_the_trial_seeds(experiment_dir):
    row = compare_rates(experiment_dir).set_index(["model", "learning_rate"]).loc[("edsr", 0.016)]
    assert (row["seeds"], row["validation_l1"]) == (3, pytest.approx(5.5))
    # Standard deviations of 0.55 and, paired by seed, of 0.05; t of two degrees of freedom is 4.303.
    assert row["high"] - row["validation_l1"] == pytest.approx(4.3027 * 0.55 / 3**0.5, rel=1e-4)
    assert row["spread"] == pytest.approx(0.55)
    assert row["behind"] == pytest.approx(0.45)
    assert row["behind_high"] - row["behind"] == pytest.approx(4.3027 * 0.05 / 3**0.5, rel=1e-4)


def diverge(experiment_dir, trial):
    log = pd.DataFrame({"step": [1, 40], "loss": [30.0, math.nan], "validation_l1": [20.0, math.nan]})
    log.to_csv(experiment_dir / "runs" / trial / "train.csv", index=False)


def test_rate_at_which_one_trial_diverged_is_never_the_best(experiment_dir):
    diverge(experiment_dir, "ipt-lr-0.016-1-seed-1000")
    table = compare_rates(experiment_dir).set_index(["model", "learning_rate"])
    row = table.loc[("ipt", 0.016)]
    assert row[["validation_l1_1", "validation_l1", "behind"]].tolist() == [math.inf] * 3
    assert row["validation_l1_100"] == pytest.approx(4.9)
    assert row[["low", "high", "spread", "behind_low", "behind_high"]].isna().all()
    assert table.index[table["best"]].tolist() == [("edsr", 0.004), ("ipt", 0.004)]
    assert not table["edge"].any()
    block = learning_rates(table.reset_index())
    row = dict(zip(block.header, block.rows[-1], strict=True))
    assert (row["L1, 1 % of the images"], row["mean L1"], row["choice"]) == ("diverged", "diverged", "used")


def test_network_that_diverged_at_each_rate_is_named(experiment_dir):
    for rate in RATES:
        diverge(experiment_dir, f"ipt-lr-{rate:g}-100-seed-1001")
    with raises_naming(ReportError, "ipt", *RATES):
        compare_rates(experiment_dir)


@pytest.mark.parametrize("name", ["train.csv", "provenance.json"])
def test_unfinished_trial_is_named(experiment_dir, name):
    lost = experiment_dir / "runs" / "ipt-lr-0.004-1-seed-1000" / name
    lost.unlink()
    with raises_naming(ReportError, lost):
        compare_rates(experiment_dir)


def test_command_writes_the_table(experiment_dir):
    out = experiment_dir / "learning_rates.csv"
    assert main(["learning-rates", "--experiment-dir", str(experiment_dir), "--out", str(out)]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(out), compare_rates(experiment_dir))
