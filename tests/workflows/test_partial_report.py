"""A grid that is not finished reports what it has, and says what it lacks."""

import json

import pandas as pd
import pytest
import yaml

from tests.helpers import assert_names, write_experiment
from workflows.analysis.records import read_results, read_runs
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
    for metrics in folder.glob("runs/*/metrics.csv"):
        weights = None if metrics.parent.name == "bicubic" else "0" * 64
        metrics.with_suffix(".json").write_text(json.dumps({"weights_sha256": weights, "sets": {"photos sr2": "1"}}))
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


def test_a_run_of_an_edited_config_is_missing(unfinished, capsys):
    path = unfinished / "runs" / "ipt-50-seed-0" / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "another"}))
    assert main([str(unfinished)]) == 0
    assert "report.html: 3 of 5 runs are scored" in capsys.readouterr().out
    runs = read_runs(unfinished / "partial" / "runs.csv").set_index("run")
    assert runs["status"].to_dict()["ipt-50-seed-0"] == "missing"


def test_scores_of_weights_that_are_gone_are_not_reported(unfinished, capsys):
    (unfinished / "runs" / "ipt-50-seed-0" / "provenance.json").unlink()  # it is trained again
    path = unfinished / "runs" / "ipt-100-seed-0" / "provenance.json"  # it was, and is not scored yet
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "2" * 64}))
    assert main([str(unfinished)]) == 0
    assert "report.html: 2 of 5 runs are scored" in capsys.readouterr().out
    status = read_runs(unfinished / "partial" / "runs.csv").set_index("run")["status"]
    assert (status["ipt-50-seed-0"], status["ipt-100-seed-0"]) == ("missing", "not scored")
    assert set(read_results(unfinished / "partial" / "results.csv")["model"]) == {"bicubic", "edsr"}
    curves = pd.read_csv(unfinished / "partial" / "tables" / "learning_curves.csv")
    assert not ((curves["model"] == "ipt") & (curves["fraction"] == 0.5)).any()


def test_scores_of_other_sets_than_the_configs_are_not_reported(unfinished, capsys):
    (unfinished / "experiment.yaml").write_text(yaml.safe_dump(CONFIG | {"evaluation": {"sets": ["photos@2"]}}))
    path = unfinished / "runs" / "edsr-50-seed-0" / "metrics.json"
    path.write_text(path.read_text().replace("photos sr2", "photos@2 sr2"))
    assert main([str(unfinished)]) == 0
    assert "report.html: 1 of 5 runs are scored" in capsys.readouterr().out


def test_methods_of_others_are_reported_too(unfinished, capsys):
    methods = {"sets": ["photos"], "methods": [{"name": "theirs", "restored": "outputs"}]}
    (unfinished / "experiment.yaml").write_text(yaml.safe_dump(CONFIG | {"evaluation": methods}))
    assert main([str(unfinished)]) == 0
    assert "report.html: 4 of 6 runs are scored" in capsys.readouterr().out
    assert read_runs(unfinished / "partial" / "runs.csv").set_index("run")["kind"]["theirs"] == "method"


@pytest.mark.parametrize(("dataset", "status"), [("photos", "done"), ("photos@2", "missing")])
def test_a_method_is_scored_where_the_tasks_that_it_restores_are(unfinished, dataset, status):
    methods = {"sets": ["photos"], "methods": [{"name": "theirs", "checkpoint": "theirs.safetensors"}]}
    models = [*CONFIG["models"], {"name": "denoiser", "variant": "edsr_tiny", "tasks": ["dn30"]}]
    config = CONFIG | {"models": models, "evaluation": methods}
    (unfinished / "experiment.yaml").write_text(yaml.safe_dump(config))
    folder = unfinished / "runs" / "theirs"
    (unfinished / "runs" / "bicubic").rename(folder)
    (folder / "metrics.csv").write_text((folder / "metrics.csv").read_text().replace("bicubic", "theirs"))
    record = {"weights_sha256": "1", "sets": {f"{dataset} sr2": "1"}, "method": {"parameters": 1}}
    record["method"] |= {"training_data": None, "macs_per_output_pixel": None}
    (folder / "metrics.json").write_text(json.dumps(record))
    assert main([str(unfinished)]) == 0
    assert read_runs(unfinished / "partial" / "runs.csv").set_index("run")["status"]["theirs"] == status


def test_nothing_is_reported_of_nothing(unfinished, capsys):
    for path in unfinished.glob("runs/*-seed-*/metrics.csv"):
        path.unlink()
    assert main([str(unfinished)]) == 2
    assert_names(capsys.readouterr().err, "error", unfinished)
    assert not (unfinished / "partial").exists()


def test_a_call_that_fails_keeps_the_old_page(unfinished, capsys):
    out, metrics = unfinished / "partial", unfinished / "runs" / "ipt-50-seed-0" / "metrics.csv"
    assert main([str(unfinished)]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    scores = metrics.read_bytes()
    for damaged in (b"", b"\xff\xfe\x00", b'"'):
        metrics.write_bytes(damaged)
        assert main([str(unfinished)]) == 2
        assert_names(capsys.readouterr().err, "error", metrics)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    metrics.write_bytes(scores)
    assert main([str(unfinished)]) == 0, "its own folder is replaced"
    assert not [path.name for path in unfinished.iterdir() if path.name.startswith(".")]


def test_what_others_wrote_is_never_deleted(unfinished, capsys):
    out = unfinished / "partial"
    out.mkdir()
    assert main([str(unfinished)]) == 0, "an empty folder is free"
    (out / "figures" / "mine.txt").write_text("mine")
    page = (out / "report.html").read_bytes()
    assert main([str(unfinished)]) == 2
    assert_names(capsys.readouterr().err, "error", out, "figures/mine.txt")
    assert ((out / "figures" / "mine.txt").read_text(), (out / "report.html").read_bytes()) == ("mine", page)
    out.rename(unfinished / "kept")
    out.symlink_to("kept")
    assert main([str(unfinished)]) == 2
    assert_names(capsys.readouterr().err, "error", out)
