"""Checkout, data root, set and image have a name that a shell, Snakemake and make would read as code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.helpers import texture

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow  # a whole experiment: `make prove-faults`
HOSTILE = "it's a $(touch PWN) {x} [1]"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The code, with training and benchmark images, everything under the hostile name."""
    checkout = tmp_path_factory.mktemp("hostile") / HOSTILE
    for name in ("workflows", "baselines", "ipt_models", "profiles", "snakemake_logger_plugin_jobs"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml", "Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    for first, folder, names in ((0, "train", ["a", "b", "c", "d"]), (4, f"sets/{HOSTILE}", [HOSTILE])):
        (checkout / HOSTILE / folder).mkdir(parents=True)
        for number, name in enumerate(names, first):
            Image.fromarray(texture(number, 96, 96)).save(checkout / HOSTILE / folder / f"{name}.png")
    config = {
        "name": "micro",
        "data": {"source": "image_folder", "root": f"{HOSTILE}/train", "validation": 1},
        "models": [
            {"name": "ipt", "variant": "ipt_tiny", "kwargs": {"depth": 1}, "label": HOSTILE},
            {"name": "ipt-c", "variant": "ipt_tiny", "kwargs": {"depth": 1}, "contrastive": {"weight": 0.1}},
        ],
        "training": {"budget": {"steps": 2}, "batch_size": 4, "patch_size": 24, "accelerator": "cpu"},
        "evaluation": {"sets": [f"mine={HOSTILE}"], "data_root": f"{HOSTILE}/sets", "accelerator": "cpu"},
        "report": {"comparisons": [{"dataset": "mine", "image": HOSTILE, "task": "sr2"}]},
    }
    (checkout / f"{HOSTILE}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return checkout


def test_the_whole_workflow_runs_and_executes_no_name(checkout):
    command = [sys.executable, "-m", "snakemake", "--configfile", f"{HOSTILE}.yaml", "--cores", "2"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environment)
    logs = "\n".join(f"--- {log}\n{log.read_text()}" for log in checkout.glob("results/micro/logs/**/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert (checkout / "results/micro/report.html").stat().st_size > 10_000
    assert not list(checkout.rglob("PWN"))


def test_the_environment_is_made_there(checkout, tmp_path):
    """By a stand-in for uv, which writes down what it was asked."""
    (tmp_path / "uv").write_text(
        '#!/bin/sh\n[ "$1" = venv ] && mkdir -p .venv/bin && exit\necho "$VIRTUAL_ENV" > .venv/asked\n',
        encoding="utf-8",
    )
    (tmp_path / "uv").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["make", "env", f"PYTHON={sys.executable}"], cwd=checkout, check=True, env=environment)
    assert (checkout / ".venv/.locked").is_file()
    assert (checkout / ".venv/asked").read_text().strip() == str(checkout / ".venv")
    assert not list(checkout.rglob("PWN"))
