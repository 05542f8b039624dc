"""The project as a wheel, in a folder without its sources."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers import assert_names
from workflows.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGES = ("baselines", "ipt_models", "workflows")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A site folder that holds the built wheel alone."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(source / done.stdout.split()[-1]) as wheel:
        wheel.extractall(site)
    return site


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_every_file_that_a_package_reads(installed):
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = [
        name for name in tracked.stdout.splitlines() if (ROOT / name).exists() and not (installed / name).exists()
    ]
    assert not missing


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_without_loading_torch(installed, tmp_path, command):
    code = (
        "import sys; from workflows.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "loaded = {'torch', 'lightning_fabric', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = run(installed, tmp_path, "-c", code, command, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_the_list_names_every_command_and_an_unknown_one_is_refused(installed, tmp_path):
    listed = run(installed, tmp_path, "-m", "workflows")
    assert listed.returncode == 0
    assert {line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")} == set(COMMANDS)
    refused = run(installed, tmp_path, "-m", "workflows", "evaluate")
    assert refused.returncode == 2
    assert_names(refused.stderr, "error", "'evaluate'", "evaluation")


def test_a_network_is_built_and_a_set_is_scored_from_the_wheel(installed, tmp_path):
    built = run(installed, tmp_path, "-c", "import ipt_models; print(ipt_models.build('ipt_tiny', ['sr2']).tasks)")
    assert built.stdout.strip() == "('sr2',)", built.stderr
    options = ("--model", "bicubic", "--sets", "photos@1", "--tasks", "sr2", "--out", "scores.csv")
    scored = run(installed, tmp_path, "-m", "workflows", "evaluation", *options)
    assert scored.returncode == 0, scored.stderr
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").count("\n") == 2
