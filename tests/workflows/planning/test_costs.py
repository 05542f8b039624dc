"""The plan's arithmetic is that of a count by hand, and what is done is not paid for again."""

import shutil

import pandas as pd
import pytest
import yaml

from tests.helpers import assert_names
from tests.workflows.planning.micro import CONFIG, EDSR, EDSR_MACS_A_PIXEL
from workflows import models, provenance
from workflows.config.grid import parse
from workflows.planning import costs
from workflows.planning.__main__ import main
from workflows.planning.text import to_markdown
from workflows.training import reuse


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def never(run):
    raise AssertionError(f"{run.name} has a given speed")


def planned(given=None, measured=never, **changes) -> pd.DataFrame:
    given = {"edsr": 100.0, "ipt": 40.0} if given is None else given
    return costs.plan(parse({**CONFIG, **changes}), given, measured).set_index("run")


def test_steps_patches_flops_hours_are_those_counted_by_hand():
    table = planned()
    edsr = table.loc["edsr-25-seed-0"]
    assert (edsr.images, edsr.steps, edsr.patches, edsr.state) == (5, 30, 120, "to do")
    assert edsr.flops == 120 * 24 * 24 * EDSR_MACS_A_PIXEL * 2 * 3
    assert edsr.hours == pytest.approx(120 / 100 / 3600)
    assert edsr.tflops_per_second == pytest.approx(100 * 24 * 24 * EDSR_MACS_A_PIXEL * 6 / 1e12)
    parameters = 9 * (3 * 8 + 2 * 8 * 8 + 8 * 8 + 8 * 32 + 8 * 3) + 4 * 8 + 32 + 3
    assert edsr.weights_mb == pytest.approx(4 * parameters / 1e6, rel=0.02), "buffers may come on top"
    assert edsr.checkpoints_mb == pytest.approx(2 * 3 * edsr.weights_mb)


def test_epochs_take_the_images_of_the_fraction():
    table = planned()
    assert table.loc["ipt-25-seed-0", ["images", "steps", "patches"]].tolist() == [
        5,
        2,
        8,
    ]  # 2 × 5 / 4, rounded to even
    assert table.loc["ipt-100-seed-1", ["images", "steps", "patches"]].tolist() == [20, 10, 40]


def test_epochs_of_a_folder_that_is_not_listed_yet_are_unknown(tmp_path):
    folder = {"data": {"source": "image_folder", "root": str(tmp_path)}}
    table = planned(**folder)
    assert table.loc["ipt-25-seed-0", ["images", "steps", "hours"]].isna().all()
    assert table.loc["edsr-25-seed-0", "steps"] == 30
    text = to_markdown(parse({**CONFIG, **folder}), table.reset_index())
    known = table.dropna(subset="patches")
    assert 0 < len(known) < len(table)
    assert_names(text, f"at least {known['patches'].sum():,} patches", f"at least {known['flops'].sum():.2e} FLOPs")
    data = tmp_path / "results" / "micro" / "data"
    data.mkdir(parents=True)
    rows = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(45)], "class": "", "width": 9, "height": 9, "bytes": 1, "sha256": "0"}
    )
    rows.to_csv(data / "manifest.csv", index=False)
    rows[:5].to_csv(data / "validation.csv", index=False)
    assert planned(**folder).loc["ipt-25-seed-0", ["images", "steps"]].tolist() == [10, 5]


def test_runs_of_equal_speed_are_measured_once():
    asked = []
    models = [EDSR, {"name": "ipt", "variant": "ipt_tiny"}]
    models += [{"name": "faster", "variant": "ipt_tiny", "training": {"learning_rate": 1.0, "budget": {"steps": 9}}}]
    models += [{"name": f"lambda-{w}", "variant": "ipt_tiny", "contrastive": {"weight": w}} for w in (0.1, 0.2)]
    table = planned({"edsr": 7.0}, lambda run: asked.append(run.name) or 50.0, models=models)
    assert asked == ["ipt-25-seed-0", "lambda-0.1-25-seed-0"]
    assert table.groupby("model").patches_per_second.first().to_dict() == {
        **dict.fromkeys(("ipt", "faster", "lambda-0.1", "lambda-0.2"), 50.0),
        "edsr": 7.0,
    }
    assert not table.measured["edsr-25-seed-0"]


def test_an_experiment_without_trainings_has_an_empty_plan():
    table = planned({}, models=[])
    assert table.empty
    text = to_markdown(parse({**CONFIG, "models": []}), table.reset_index())
    assert "micro" in text
    assert "|" not in text, "no table"


def test_a_network_that_cannot_be_measured_leaves_its_hours_unknown():
    table = planned({"edsr": 100.0}, lambda run: None)
    assert table.loc["ipt-100-seed-0", ["patches_per_second", "hours"]].isna().all()
    only = table[table["model"] == "ipt"].reset_index()
    assert_names(to_markdown(parse(CONFIG), only), "? hours", "? core-hours")
    assert_names(to_markdown(parse(CONFIG), table.reset_index()), "ipt", "at least", "`plan.patches_per_second`")


def test_fine_tuning_takes_all_images_of_its_own():
    tuned = {"data": {"count": 12, "size": 96, "validation": 2}, "training": {"budget": {"epochs": 4}}}
    table = planned(finetune=tuned, fractions=[0, 0.25, 1.0])
    assert table.loc["ipt-ft-25-seed-0", ["stage", "images", "steps"]].tolist() == ["fine-tuning", 10, 10]
    assert table.loc["ipt-ft-0-seed-0", "images"] == 10
    assert table.loc["ipt-25-seed-0", "stage"] == "training"
    assert table.loc["ipt-ft-25-seed-0", "patches_per_second"] == 40, "as fast as the network itself"


def test_trials_of_learning_rates_are_planned_too():
    rates = {"learning_rates": [0.001, 0.01]}
    table = planned(models=[{**EDSR, **rates}], trial_seeds=[9, 10])
    assert (table.stage == "trials").sum() == 2 * 2 * 2
    assert table.stage.iloc[0] == "training"


def test_what_is_done_here_or_elsewhere_is_not_left(tmp_path):
    config = {**CONFIG, "models": [EDSR], "fractions": [1.0], "more_seeds": {}}
    run = parse(config).runs()["edsr-100-seed-0"]
    data, other = (tmp_path / "results" / part for part in ("micro/data", "other/runs/edsr-100-seed-0"))
    data.mkdir(parents=True)
    other.mkdir(parents=True)
    (other / "model.safetensors").write_bytes(b"weights")
    (other / "train.csv").touch()
    record = {
        "digest": run.digest,
        "code": models.code(reuse.CODE, run.variant, run.kwargs),
        "versions": provenance.versions(),
        "init": None,
    }
    record["training"] = {"steps": 30, "computed_on": [run.training.division]}
    record["weights_sha256"] = provenance.sha256(other / "model.safetensors")

    def states():
        return planned(models=[EDSR], fractions=[1.0], more_seeds={}).state.tolist()

    tables = [data / name for name in ("fraction-100-seed-0.csv", "validation.csv")]
    provenance.write_json(record, other / "provenance.json")
    assert states() == ["to do"], "which images it had is not known yet"
    for table in tables:
        table.touch()
    record["data"] = {table.name: provenance.sha256(table) for table in tables}
    provenance.write_json(record, other / "provenance.json")
    assert states() == ["to be copied"]
    shutil.copytree(tmp_path / "results" / "other" / "runs", tmp_path / "results" / "micro" / "runs")
    assert states() == ["done"]
    text = to_markdown(parse(config), planned(models=[EDSR], fractions=[1.0], more_seeds={}).reset_index())
    assert_names(text, "1 done", "0 hours")


def test_command_writes_the_table_and_refuses_a_rate_of_no_model(tmp_path, capsys):
    spec = tmp_path / "x.yaml"
    spec.write_text(yaml.safe_dump(CONFIG))
    assert main([str(spec), "--patches-per-second", "80", "ipt=20"]) == 0
    written = tmp_path / "results" / "micro"
    assert (written / "plan.md").read_text() in capsys.readouterr().out
    assert pd.read_csv(written / "plan.csv").set_index("run").patches_per_second["ipt-25-seed-0"] == 20
    assert main([str(spec), "--patches-per-second", "itp=20"]) == 2
    assert "no model is called 'itp'" in capsys.readouterr().err


def test_another_preset_can_be_planned(tmp_path, capsys):
    spec = tmp_path / "x.yaml"
    presets = {"short": {"fractions": [1.0]}, "full": {}}
    spec.write_text(yaml.safe_dump(CONFIG | {"preset": "full", "presets": presets}))
    assert main([str(spec), "--preset", "short", "--patches-per-second", "80"]) == 0
    assert_names(capsys.readouterr().out, "micro-short")
    assert set(pd.read_csv(tmp_path / "results" / "micro-short" / "plan.csv").fraction) == {1.0}
    assert main([str(spec), "--preset", "long"]) == 2
    assert_names(capsys.readouterr().err, "'long'", "short", "full")


def test_a_rate_beyond_any_gpu_is_refused_and_gpus_share_the_hours(tmp_path, capsys):
    spec = tmp_path / "x.yaml"
    spec.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    assert main([str(spec), "--patches-per-second", "1e12"]) == 2
    assert "more than the peak of 1 of the fastest listed GPUs (989 each)" in capsys.readouterr().err
    assert main([str(spec), "--patches-per-second", "80", "--gpus", "4"]) == 0
    assert "On 4 GPUs, 4 runs at a time" in capsys.readouterr().out
    assert main([str(spec), "--patches-per-second", "inf"]) == 2
    assert_names(capsys.readouterr().err, "error", "--patches-per-second", "'inf'")
    for option, value in (("--gpus", "0"), ("--seconds", "0"), ("--seconds", "nan")):
        with pytest.raises(SystemExit) as ended:
            main([str(spec), option, value])
        assert ended.value.code == 2
        assert_names(capsys.readouterr().err, "error", option, f"'{value}'")
