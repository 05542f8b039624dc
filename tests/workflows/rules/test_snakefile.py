"""What Snakemake's other processes read, and where the workflow cannot run."""

import shutil
import subprocess
import sys

import pytest
import yaml

from tests.helpers import ROOT, assert_names
from tests.snakemake_call import run_snakemake

CONFIG = {"name": "micro", "models": [], "evaluation": {"sets": ["photos@1"], "accelerator": "cpu"}}
SCORES = "results/micro/runs/bicubic/metrics.csv"


def test_a_job_follows_the_config_that_its_grid_was_started_with(tmp_path):
    run_snakemake(tmp_path, CONFIG, SCORES)
    edited = CONFIG | {"evaluation": {"sets": ["photos@2"], "accelerator": "cpu"}}
    job = ("--mode", "remote", "--target-jobs", "evaluate_reference:reference=bicubic", "--force", "--nolock")
    run_snakemake(tmp_path, edited, *job, "--allowed-rules", "evaluate_reference")
    assert len((tmp_path / SCORES).read_text().splitlines()) == 1 + 1


def test_missing_gpus_stop_only_calls_with_jobs_that_need_one(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    needy = CONFIG | {
        "data": {"count": 14, "size": 96, "validation": 2},
        "models": [{"name": "edsr", "variant": "edsr_tiny"}],
        "training": {"patch_size": 24, "accelerator": "cuda"},
    }
    run_snakemake(tmp_path, needy, "results/micro/data/manifest.csv")
    with pytest.raises(AssertionError, match="accelerator: cuda: needs 1 GPU"):
        run_snakemake(tmp_path, needy)


def test_a_checkout_that_snakemake_cannot_name_is_refused_with_what_would_be_right(tmp_path):
    checkout, config = tmp_path / "with {x}", tmp_path / "micro.yaml"
    checkout.mkdir()
    shutil.copy(ROOT / "Snakefile", checkout)
    (checkout / "workflows").symlink_to(ROOT / "workflows")
    config.write_text(yaml.safe_dump(CONFIG))
    call = [
        sys.executable,
        "-m",
        "snakemake",
        "-s",
        checkout / "Snakefile",
        "--configfile",
        config,
        "--cores",
        "1",
        "-n",
    ]
    done = subprocess.run([*map(str, call)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert_names(done.stdout + done.stderr, checkout, "braces")
