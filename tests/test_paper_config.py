"""The paper's grid is complete: on a tree of the folders that it names it plans every job."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from workflows.config import grid

ROOT = Path(__file__).parents[1]
COUNTS = {"Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100}
MODELS, FRACTIONS = 8, 5
TRIALS = 7 * 3 * 2  # three rates of each but the contrastive IPT, at the smallest and the largest fraction
CONTRASTIVE = 1  # at fraction 0 it has no run of its own


@pytest.fixture
def home(tmp_path) -> Path:
    """A home with the data sets' folders, gray images in the benchmark sets and a black one in each of the training ones."""
    scored, trained = (_png(color) for color in ("gray", "black"))
    shown = {"Set5": "butterfly", "Urban100": "img_012"}
    for name, count in COUNTS.items():
        folder = tmp_path / "datasets" / "benchmark" / name / "HR"
        folder.mkdir(parents=True)
        for stem in [shown.get(name, "x"), *(f"y{i}" for i in range(count - 1))]:
            (folder / f"{stem}.png").write_bytes(scored)
    for folder in ("imagenet/train/n01440764", "DIV2K/DIV2K_train_HR"):
        (tmp_path / "datasets" / folder).mkdir(parents=True)
        (tmp_path / "datasets" / folder / "x.png").write_bytes(trained)
    shapes = {"0": (64, 3, 3, 3), "2": (64, 64, 3, 3)}
    weights = {f"features.{layer}.weight": torch.zeros(shape) for layer, shape in shapes.items()}
    biases = {f"features.{layer}.bias": torch.zeros(64) for layer in shapes}
    torch.save(weights | biases, tmp_path / "datasets" / "vgg19-dcbb9e9d.pth")
    return tmp_path


def _png(color: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), color).save(file, "PNG")
    return file.getvalue()


def test_dry_run_plans_every_job_of_the_grid(home):
    seeds = 1
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", home / "work"]
    command += ["--configfile", ROOT / "config" / "paper.yaml", "--config", "preset=short"]
    done = subprocess.run(
        [*map(str, command), "--cores", "8", "--dry-run", "--quiet", "reason"],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(home)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (home / "work" / "results").exists(), "a dry run of a new experiment leaves nothing"
    table = done.stdout.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
    jobs = {name: int(count) for name, count in (line.split() for line in table if line.strip())}
    pretrained = MODELS * FRACTIONS * seeds
    finetuned = pretrained + (MODELS - CONTRASTIVE) * seeds
    assert (jobs["train"], jobs["finetune"], jobs["evaluate"]) == (
        pretrained + TRIALS,
        finetuned,
        pretrained + finetuned,
    )
    assert (jobs["manifest"], jobs["fraction"]) == (2, FRACTIONS * seeds + seeds + 2)
    assert jobs["total"] > pretrained + finetuned


def test_the_full_preset_has_the_same_grid_for_three_seeds(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    config = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    short, full = (grid.parse({**config, "preset": preset}) for preset in ("short", "full"))
    names = {run.name.removesuffix(f"seed-{run.seed}") for run in short.runs().values()}
    assert {run.name.removesuffix(f"seed-{run.seed}") for run in full.runs().values()} == names
    assert len(full.runs()) == 3 * len(short.runs())
