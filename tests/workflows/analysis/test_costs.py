import pandas as pd
import pytest

from workflows.analysis.costs import costs
from workflows.analysis.means import summarise


def test_methods_stand_in_costs_with_their_training_data(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), datasets=("Set5",))
    summary = summarise(results, runs)
    theirs = summary[summary["model"] == "bicubic"].assign(model="theirs", psnr_y=37.5)
    method = {
        "run": "theirs",
        "model": "theirs",
        "kind": "method",
        "parameters": 900,
        "training_data": "DF2K",
        "status": "done",
    }
    runs = pd.concat([runs.assign(training_data=None), pd.DataFrame([method])], ignore_index=True)
    found = costs(pd.concat([summary, theirs]), runs).set_index("model")
    assert found.loc["theirs", ["training_data", "parameters", "psnr_y Set5 sr2"]].tolist() == ["DF2K", 900, 37.5]
    assert found.loc["theirs", ["variant", "steps"]].isna().all()
    assert found["training_data"].notna().sum() == 1
    assert "bicubic" not in found.index


def test_costs_are_means_over_runs(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), tasks=("sr2", "sr4"), steps=1000)
    found = costs(summarise(results, runs), runs).set_index("model")
    assert found.loc["edsr", ["parameters", "patches", "patches_sr4", "runs"]].tolist() == [207_331, 16_000, 8_000, 2]
    assert found.loc["edsr", "train_hours"] == pytest.approx(1000 * 0.04 / 3600, rel=1e-5)
