"""Trainings by the suite's own command, in this process or a separate one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import torch
from safetensors.torch import load_file

from benchmarks.gpu.bench import Bench
from workflows.training.__main__ import main as training_command

RUN = "network-100-seed-0"


class RunError(RuntimeError):
    """A training that failed."""


def command(bench: Bench, name: str, **recipe: Any) -> list[str]:
    """Arguments of `python -m workflows.training` for a short run of the small network with the contrastive loss.

    Args:
        bench: defines network, device and images.
        name: of its folder.
        recipe: changes of `training`.
    """
    variant = bench.sizes.small
    training = {
        "budget": {"steps": bench.sizes.steps},
        "batch_size": 8,
        "patch_size": bench.patch_size(variant),
        "learning_rate": 1e-4,
        "accelerator": bench.device.type,
        "precision": "32-true",
        "log_every": 1,
        "validate_every": bench.sizes.steps,
    }
    model = {"name": "network", "variant": variant, "kwargs": bench.kwargs(variant), "contrastive": {"weight": 0.1}}
    config = {"name": "proof", "tasks": ["sr2"], "models": [model], "training": training | recipe}
    folder = bench.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proof.yaml").write_text(json.dumps(config), encoding="utf-8")
    images = bench.pictures
    return [
        *("--experiment", str(folder / "proof.yaml"), "--run", RUN, "--root", str(images / "images")),
        *("--fraction", str(images / "fraction.csv"), "--validation", str(images / "validation.csv")),
        *("--out", str(folder / "out"), "--resume", str(folder / "resume")),
    ]


def train(bench: Bench, name: str, **recipe: Any) -> Path:
    """Train in this process; returns the folder of the results.

    Raises:
        RunError: if the command's exit status is not 0; its message is on stderr.
    """
    with mock.patch.object(sys, "argv", ["training", *command(bench, name, **recipe)]):
        status = training_command()
    bench.reset()
    if status:
        raise RunError(f"the training {name} ended with status {status}; the log has its message")
    return bench.folder / name / "out"


def start(bench: Bench, name: str, *prefix: str, environment: dict[str, str] | None = None, **recipe: Any):
    """Start a training in a separate process, with the command `prefix` before it."""
    words = [*prefix, sys.executable, "-m", "workflows.training", *command(bench, name, **recipe)]
    return subprocess.Popen(words, env=os.environ | (environment or {}))


def differing_weights(first: Path, second: Path) -> int:
    """Weights of two runs that are not equal bit for bit."""
    a, b = (load_file(folder / "model.safetensors") for folder in (first, second))
    if a.keys() != b.keys():
        raise RunError(f"{first} and {second} hold different networks")
    return sum(int((a[name].view(torch.int32) != b[name].view(torch.int32)).sum()) for name in a)


def losses(folder: Path) -> pd.Series:
    return pd.read_csv(folder / "train.csv")["loss"]


def loss_difference(first: Path, second: Path) -> float:
    """Largest relative difference of the two runs' losses at any step."""
    return float((losses(second) / losses(first) - 1).abs().max())
