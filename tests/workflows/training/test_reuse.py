"""No training is done twice: a finished run of the same training is copied under the new name, and nothing else is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import assert_names, make_run, raises_naming
from workflows import models, provenance
from workflows.training import reuse

ROOT = Path(__file__).parents[3]


@pytest.fixture
def results(tmp_path, trained):
    """One experiment with one finished run."""
    shutil.copytree(trained(make_run()), tmp_path / "results/micro/runs/ipt-100-seed-0")
    return tmp_path / "results"


@pytest.fixture
def other_run():
    """The same training in another experiment under another name, logged more often."""
    run = make_run(log_every=1)
    return run.model_copy(update={"experiment": "second", "model": "plain", "name": "plain-100-seed-0"})


def find(run, images, results):
    return reuse.find(run, (images.fraction, images.validation), results, results / "second" / "runs" / run.name)


def test_copy_equals_what_a_training_would_have_written(results, other_run, images, train):
    origin, copy = find(other_run, images, results), results / "second" / "runs" / other_run.name
    assert origin == results / "micro" / "runs" / "ipt-100-seed-0"
    reuse.take(origin, other_run, copy)
    trained = train(other_run, "trained")
    assert (copy / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert (copy / "train.csv").read_bytes() == (origin / "train.csv").read_bytes()
    ours, theirs = (json.loads((folder / "provenance.json").read_text()) for folder in (copy, trained))
    assert ours.pop("reused_from") == {"experiment": "micro", "run": "ipt-100-seed-0"}
    for record in (ours, theirs):
        record["training"] = {k: v for k, v in record["training"].items() if not k.endswith("_seconds")}
    assert ours == theirs
    assert sorted(path.name for path in copy.iterdir()) == ["model.safetensors", "provenance.json", "train.csv"]


def test_copy_of_a_copy_names_the_run_that_was_trained(results, other_run, images):
    copy = results / "second" / "runs" / other_run.name
    reuse.take(find(other_run, images, results), other_run, copy)
    third = other_run.model_copy(update={"experiment": "third"})
    shutil.rmtree(results / "micro")
    reuse.take(reuse.find(third, (images.fraction, images.validation), results, results / "x"), third, results / "x")
    record = json.loads((results / "x" / "provenance.json").read_text())
    assert record["reused_from"] == {"experiment": "micro", "run": "ipt-100-seed-0"}
    assert models.read_metadata(results / "x" / "model.safetensors")["experiment"] == "third"


def test_another_training_is_not_taken(results, other_run, images):
    for change in ({"seed": 1}, {"tasks": ("sr3",)}, {"kwargs": {**other_run.kwargs, "depth": 2}}):
        assert find(other_run.model_copy(update=change), images, results) is None, change


@pytest.mark.parametrize(("budget", "same"), [({"epochs": 4}, True), ({"patches": 24}, True), ({"epochs": 5}, False)])
def test_equal_length_in_another_unit_is_the_same_training(budget, same, results, images):
    run = make_run(budget=budget).model_copy(update={"experiment": "second"})  # six images, batches of four, six steps
    origin, copy = find(run, images, results), results / "second" / "runs" / run.name
    assert (origin is not None) == same
    if same:
        reuse.take(origin, run, copy)
        assert reuse.is_finished(copy, run)
        assert models.read_metadata(copy / "model.safetensors")["digest"] == run.digest


def test_own_results_in_another_unit_get_the_runs_own_digest(train, images, tmp_path):
    run, tables, output = make_run(), (images.fraction, images.validation), tmp_path / "out"
    train(run)
    longer = make_run(budget={"epochs": 4})
    kept = reuse.find(longer, tables, None, output, resume=tmp_path / "resume")
    reuse.take(kept, longer, output)
    assert reuse.is_finished(output, longer)


def test_a_run_whose_own_network_is_gone_is_no_candidate(results, images):
    path = results / "micro" / "runs" / "ipt-100-seed-0" / "provenance.json"
    record = json.loads(path.read_text())
    record |= {"digest": "another", "config": record["config"] | {"variant": "gone/net.py:Net", "kwargs": {}}}
    path.write_text(json.dumps(record))
    assert find(make_run("edsr"), images, results) is None


def test_run_that_starts_from_other_weights_is_not_taken(results, other_run, images, train):
    begins = results / "micro" / "runs" / "ipt-100-seed-0" / "model.safetensors"
    models.copy(begins, results / "renamed.safetensors", {"experiment": "other"})
    tuned = make_run(learning_rate=1e-4)
    train(tuned, "results/micro/runs/tuned", init=begins)
    tables = (images.fraction, images.validation)
    assert reuse.find(tuned, tables, results, results / "x") is None
    found = reuse.find(tuned, tables, results, results / "x", results / "renamed.safetensors")
    assert found == results / "micro" / "runs" / "tuned", "equal weights under another name are equal"
    reuse.take(found, tuned, results / "x", results / "renamed.safetensors")
    record = json.loads((results / "x" / "provenance.json").read_text())
    assert record["init"]["sha256"] == provenance.sha256(results / "renamed.safetensors")


@pytest.mark.parametrize("what", ["data", "code", "versions"])
def test_equal_config_with_other_data_code_or_versions_is_refused_aloud(what, results, other_run, images, capsys):
    path = results / "micro" / "runs" / "ipt-100-seed-0" / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), what: "other"}))
    assert find(other_run, images, results) is None
    assert_names(capsys.readouterr().out, path.parent, what)


def test_changed_or_unfinished_origin_is_refused(results, other_run, images, capsys):
    folder = results / "micro" / "runs" / "ipt-100-seed-0"
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    assert find(other_run, images, results) is None
    assert_names(capsys.readouterr().out, folder)
    (folder / "provenance.json").write_text("{")
    assert find(other_run, images, results) is None


def test_results_that_snakemake_deleted_are_taken_back_and_not_trained_again(train, images, tmp_path):
    """As it does with the outputs of a job that has just finished when it is interrupted."""
    run, tables = make_run(), (images.fraction, images.validation)
    output, resume = train(run), tmp_path / "resume"
    files = {path.name: path.read_bytes() for path in output.iterdir()}
    shutil.rmtree(output)
    kept = reuse.find(run, tables, None, output, resume=resume)
    assert kept == resume / reuse.KEPT
    reuse.take(kept, run, output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == files
    other = run.model_copy(update={"seed": 1})
    assert reuse.find(other, tables, None, output, resume=resume) is None


def test_command_copies_without_loading_torch(results, other_run, images, tmp_path):
    from workflows.config import grid

    config = {"name": "second", "models": [{"name": "plain", "variant": other_run.variant, "kwargs": other_run.kwargs}]}
    config["training"] = other_run.training.model_dump(mode="json", exclude_unset=True)
    spec, out = tmp_path / "second.yaml", results / "second" / "runs" / other_run.name
    grid.write(grid.parse(config), spec)
    arguments = ["--experiment", spec, "--run", other_run.name, "--root", images.root, "--fraction", images.fraction]
    arguments += ["--validation", images.validation, "--out", out, "--resume", tmp_path / "r", "--reuse", results]
    code = "import sys; from workflows.training.__main__ import main; "
    code += "status = main(); sys.exit(status or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_names(done.stdout, other_run.name, results / "micro" / "runs" / "ipt-100-seed-0")
    assert (
        provenance.sha256(out / "model.safetensors")
        == json.loads((out / "provenance.json").read_text())["weights_sha256"]
    )


@pytest.fixture
def step(monkeypatch):
    """Makes this process a task of a Slurm step of two: `step(task=1)`."""

    def be(task: int, restart: int = 0) -> None:
        known = {"STEP_NUM_TASKS": 2, "PROCID": task, "JOB_ID": 7, "STEP_ID": 0, "RESTART_COUNT": restart}
        for name, value in known.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))

    return be


@pytest.mark.parametrize("found", [None, Path("results/other/runs/a")])
def test_all_tasks_of_a_slurm_step_do_what_its_first_task_found(step, tmp_path, found):
    step(0)
    assert reuse.agreed(lambda: found, tmp_path / "resume") == found
    step(1)
    assert reuse.agreed(lambda: pytest.fail("only the first task searches"), tmp_path / "resume") == found


def test_an_answer_to_an_earlier_try_does_not_count(step, tmp_path, monkeypatch):
    step(0)
    reuse.agreed(lambda: Path("found"), tmp_path)
    step(1, restart=1)
    monkeypatch.setattr(reuse, "PATIENCE", 0)
    with raises_naming(OSError, tmp_path):
        reuse.agreed(lambda: None, tmp_path)
    step(0, restart=1)
    assert reuse.agreed(lambda: None, tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [".answer-7-0-1"]


def test_a_single_process_searches_itself_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    assert reuse.agreed(lambda: Path("found"), tmp_path) == Path("found")
    assert not list(tmp_path.iterdir())
