"""A grid that is not finished reports what it has, and says what it lacks."""

import pytest
import yaml

from tests.helpers import write_experiment
from workflows.analysis.records import read_runs
from workflows.partial_report import main

CONFIG = {
    "name": "small",
    "fractions": [0.5, 1.0],
    "models": [{"name": "ipt", "variant": "ipt_tiny"}, {"name": "edsr", "variant": "edsr_tiny"}],
    "training": {"patch_size": 24},
}
MODELS = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.3), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}


@pytest.fixture
def unfinished(tmp_path):
    folder = tmp_path / "small"
    write_experiment(folder, fractions=(0.5, 1.0), models=MODELS)
    (folder / "experiment.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "runs" / "edsr-100-seed-0" / "metrics.csv").unlink()
    return folder


def test_missing_runs_are_shown_as_missing_and_the_experiment_does_not_change(unfinished, capsys):
    before = sorted(path.name for path in unfinished.iterdir())
    assert main([str(unfinished)]) == 0
    assert "report.html: 4 of 5 runs are scored" in capsys.readouterr().out
    out = unfinished / "partial"
    runs = read_runs(out / "runs.csv").set_index("run")
    assert runs["status"].to_dict()["edsr-100-seed-0"] == "not scored"
    assert "edsr-100-seed-0" in (out / "report.html").read_text()
    assert (out / "figures" / "psnr_fraction.png").is_file()
    assert (out / "tables" / "summary.md").is_file()
    assert sorted(path.name for path in unfinished.iterdir()) == sorted([*before, "partial"])


def test_nothing_is_reported_of_nothing(unfinished, capsys):
    for path in unfinished.glob("runs/*-seed-*/metrics.csv"):
        path.unlink()
    assert main([str(unfinished)]) == 2
    assert "no trained run is scored yet" in capsys.readouterr().err
