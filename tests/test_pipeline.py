"""The whole workflow on a config of seconds: from nothing to a report, and then only what a change asks for."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import skimage.data
import yaml

from tests import snakemake_call
from tests.helpers import ASK, ROOT, assert_names, browse, needs_browser, raises_naming
from workflows.audit.verify import verify
from workflows.evaluation.image_files import write
from workflows.reporting import outline

MICRO = {
    "name": "micro",
    "fractions": [0.5, 1.0],
    "data": {"count": 14, "size": 96, "validation": 2},
    "models": [
        {"name": "ipt", "variant": "ipt_tiny"},
        {"name": "ipt-contrastive", "variant": "ipt_tiny", "contrastive": {"weight": 0.1}},
    ],
    "training": {"budget": {"steps": 3}, "batch_size": 4, "patch_size": 24, "accelerator": "cpu"},
    # One small image: every network restores it, in up to ten ways.
    "evaluation": {"sets": ["small=small"], "accelerator": "cpu", "ensembles": ["x8"]},
    "report": {"comparisons": [{"dataset": "small", "image": "astronaut", "task": "sr2"}]},
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workdir")
    write(folder / "small" / "astronaut.png", skimage.data.astronaut()[60:156, 180:276])
    return folder


def snakemake(workdir: Path, *arguments: str, **changes) -> str:
    """Run the workflow in `workdir` on the micro config with some keys changed; returns what it printed."""
    return snakemake_call.run_snakemake(workdir, {**MICRO, **changes}, *arguments)


def planned(workdir: Path, **changes) -> dict[str, int]:
    """How many jobs of each rule a call would run."""
    return snakemake_call.planned(workdir, {**MICRO, **changes})


@pytest.fixture(scope="module")
def finished(workdir) -> Path:
    snakemake(workdir)
    return workdir / "results" / "micro"


def test_results_hold_every_image_of_every_run(finished):
    results = pd.read_csv(finished / "results.csv")
    assert set(results.model) == {"bicubic", "ipt", "ipt-contrastive"}
    assert results.setting.value_counts().to_dict() == {"plain": 1 + 2 * 2, "averaged": 2 * 2, "x8": 2}
    assert results.psnr_y.between(5, 60).all()
    assert {"experiment", "model", "fraction", "seed", "task", "dataset", "image", "psnr_y", "ssim_y"} <= set(results)


def test_fractions_are_exact_nested_and_free_of_validation_images(finished):
    half, whole, held_out = (
        set(pd.read_csv(finished / "data" / name).path)
        for name in ("fraction-50-seed-0.csv", "fraction-100-seed-0.csv", "validation.csv")
    )
    assert (len(half), len(whole), len(held_out)) == (6, 12, 2)
    assert half < whole
    assert not whole & held_out


def test_each_run_can_be_traced(finished):
    for run in ("ipt-50-seed-0", "ipt-contrastive-100-seed-0"):
        record = json.loads((finished / "runs" / run / "provenance.json").read_text())
        assert record["run"] == run
        assert record["training"]["steps"] == 3


def test_figures_and_tables_stand_in_the_report(finished):
    page = (finished / "report.html").read_text()
    pictures = [f"{kind}-sr2-small-astronaut" for kind in ("comparison", "similarity")]
    for figure in ("psnr_fraction", "gains", "contrastive_gain", "quality_cost", "training_curves", *pictures):
        assert (finished / "figures" / f"{figure}.png").stat().st_size > 5000
    assert page.count("<figure") == 7
    for table in outline.TABLES:
        assert all((finished / "tables" / f"{table}.{suffix}").stat().st_size > 10 for suffix in ("md", "tex"))
    assert 'id="claims"' in page
    assert 'id="table-summary"' in page


def test_snakemakes_own_report_has_figures_and_tables(finished, workdir):
    out = workdir / "workflow.html"
    snakemake(workdir, "--report", str(out))
    text = out.read_text()
    assert "psnr_fraction.png" in text
    assert "summary.csv" in text


@needs_browser
def test_the_report_opens_in_a_browser_without_errors_or_broken_pictures(finished, tmp_path):
    title, log = browse((finished / "report.html").read_text(), tmp_path, ASK)
    assert json.loads(title)[0] == 0
    assert "CONSOLE" not in log, log


def test_everything_follows_from_what_it_claims_to_come_from(finished, workdir, monkeypatch):
    monkeypatch.chdir(workdir)
    found = list(verify(finished))
    assert {finding.state for finding in found} == {"ok"}, [finding for finding in found if finding.state != "ok"]
    assert sum("weights that were scored" in finding.what for finding in found) == 10


def test_second_call_has_nothing_to_do(finished, workdir):
    assert planned(workdir) == {}


def test_new_fraction_trains_only_its_own_runs(finished, workdir):
    jobs = planned(workdir, fractions=[0.25, 0.5, 1.0])
    assert (jobs["fraction"], jobs["train"], jobs["evaluate"]) == (1, 2, 2)
    assert not {"synthesize", "manifest", "evaluate_reference"} & set(jobs)


def test_changed_recipe_of_one_model_trains_that_model_again(finished, workdir):
    models = [MICRO["models"][0], {**MICRO["models"][1], "contrastive": {"weight": 0.2}}]
    jobs = planned(workdir, models=models)
    assert (jobs["train"], jobs["evaluate"]) == (2, 2)
    assert "fraction" not in jobs


def test_changed_logging_trains_nothing_again(finished, workdir):
    assert "train" not in planned(workdir, training={**MICRO["training"], "log_every": 7})


def test_changed_figure_module_draws_and_reports_again_and_nothing_else(finished, workdir):
    module = ROOT / "workflows" / "reporting" / "figures" / "psnr_fraction.py"
    before, times = module.read_text(), module.stat()
    try:
        module.write_text(before + "\n")  # Snakemake compares content, not times alone
        jobs = planned(workdir)
    finally:
        module.write_text(before)
        os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert set(jobs) - {"all"} == {"figure_psnr_fraction", "report"}


SECOND_STAGE = {"data": {"count": 6, "size": 64, "validation": 1}, "training": {"budget": {"steps": 2}}}


def test_finetuning_trains_only_the_second_stage_and_at_0_it_alone(finished, workdir):
    jobs = planned(workdir, finetune=SECOND_STAGE, fractions=[0, 0.5, 1.0])
    assert (jobs["finetune"], jobs["evaluate"]) == (5, 5)
    assert (jobs["synthesize"], jobs["manifest"], jobs["fraction"]) == (1, 1, 1)
    assert "train" not in jobs


def test_finetuned_run_begins_from_its_pretrained_weights_and_is_scored(finished, workdir):
    before = (finished / "data" / "manifest.csv").read_bytes()
    snakemake(workdir, "results/micro/runs/ipt-ft-50-seed-0/metrics.csv", finetune=SECOND_STAGE)
    record = json.loads((finished / "runs" / "ipt-ft-50-seed-0" / "provenance.json").read_text())
    pretrained = json.loads((finished / "runs" / "ipt-50-seed-0" / "provenance.json").read_text())
    assert record["init"]["sha256"] == pretrained["weights_sha256"]
    assert (record["training"]["images"], record["training"]["steps"]) == (5, 2)
    assert set(pd.read_csv(finished / "runs" / "ipt-ft-50-seed-0" / "metrics.csv").model) == {"ipt-ft"}
    assert (finished / "data" / "manifest.csv").read_bytes() == before
    assert len(pd.read_csv(finished / "data" / "finetune" / "manifest.csv")) == 6


def test_choosing_a_learning_rate_updates_its_table_and_repeats_no_trial(finished, workdir):
    def tried(rate: float) -> dict[str, object]:
        model = {"name": "ipt", "variant": "ipt_tiny", "learning_rates": [0.001, 0.002]}
        return {
            "fractions": [1.0],
            "trial_seeds": [1000],
            "models": [model | {"training": {"learning_rate": rate}}],
        }

    snakemake(workdir, "learning_rates", **tried(0.001))
    said = snakemake(workdir, "learning_rates", **tried(0.002))
    table = pd.read_csv(finished / "learning_rates.csv")
    assert table.loc[table.used, "learning_rate"].tolist() == [0.002]
    assert "Training" not in said


def test_runs_ask_for_a_gpu_where_there_are_some(workdir, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    training = {**MICRO["training"], "accelerator": "auto"}
    said = snakemake(workdir, "--dry-run", "--printshellcmds", "--until", "train", name="gpus", training=training)
    assert "--gpus 1" in said
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "--gpus 1" not in snakemake(
        workdir, "--dry-run", "--printshellcmds", "--until", "train", name="gpus", training=training
    )


def test_lost_run_is_made_again_bit_for_bit(finished, workdir):
    model = finished / "runs" / "ipt-50-seed-0" / "model.safetensors"
    before = model.read_bytes()
    shutil.rmtree(model.parent)
    snakemake(workdir, model.relative_to(workdir).as_posix())
    assert model.read_bytes() == before


def test_killed_training_resumes_when_its_rule_is_retried(finished, workdir):
    """Snakemake deletes what a failed job should have written, and not what it goes on from."""
    run = "ipt-100-seed-7"
    config = workdir / "killed.yaml"
    recipe = {**MICRO["training"], "budget": {"steps": 60}, "checkpoint_steps": 1}
    config.write_text(yaml.safe_dump({**MICRO, "seeds": [7], "training": recipe}))
    command = (sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", workdir)
    command += ("--configfile", config, "--cores", "1", "--retries", "1", f"results/micro/runs/{run}/model.safetensors")
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    checkpoints = workdir / "results" / "micro" / "resume" / run
    while process.poll() is None and not list(checkpoints.glob("step-*.pt")):
        time.sleep(0.02)
    for child in psutil.Process(process.pid).children(recursive=True):
        if "workflows.training" in child.cmdline() and run in child.cmdline():
            child.kill()
    printed = process.communicate(timeout=600)[0]
    assert process.returncode == 0, printed
    record = json.loads((finished / "runs" / run / "provenance.json").read_text())
    assert record["training"]["steps"] == 60
    assert not checkpoints.exists()
    log = (finished / "logs" / "train" / f"{run}.log").read_text(encoding="utf-8")
    assert re.search(rf"^{run}: .*\bstep [1-9]", log, re.M), "it began again"


def test_broken_config_stops_before_any_job(workdir):
    with raises_naming(AssertionError, "fractoins", "'fractions'"):
        snakemake(workdir, fractoins=[1.0])


def test_a_failed_training_names_its_log_and_prints_its_cause_last(finished, workdir):
    with pytest.raises(AssertionError) as failed:
        snakemake(
            workdir,
            "--until",
            "train",
            seeds=[9],
            fractions=[1.0],
            models=[{"name": "ipt", "variant": "ipt_tiny", "training": {"learning_rate": 1e9, "log_every": 1}}],
        )
    printed = str(failed.value).split("--- ")[0].strip()
    assert re.search(r"FAILED: .*ipt-100-seed-9.*\n.* results/micro/logs/train/ipt-100-seed-9.log", printed)
    assert_names(printed.splitlines()[-1], "ipt-100-seed-9", "step")
