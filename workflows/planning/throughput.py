"""Measures patches per second on this machine: real steps of the training command, with the same kind of images."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from workflows.config.runs import Run
from workflows.data import manifest
from workflows.provenance import ROOT

IMAGES = 256  # enough that no crop repeats during the measurement, few enough to draw in seconds
FIRST_STEPS = 6
STARTUP_SECONDS = 60  # imports and building, on a busy machine
WINDOWS = 5  # rows of train.csv; the first includes warm-up and is left out


class SpeedError(RuntimeError):
    """A failed measurement, with the training's own message."""


def recipe_of(run: Run) -> str:
    """A key that is equal for runs of the same speed: everything but fraction, seed, learning rate and length."""
    spec = run.model_dump(mode="json", include={"variant", "kwargs", "contrastive", "tasks", "data", "training"})
    for key in ("budget", "learning_rate", "betas", "warmup_steps", "schedule", "validate_every", "log_every", "reuse"):
        del spec["training"][key]
    for key in ("seed", "count", "validation", "max_undecodable"):
        del spec["data"][key]
    if spec["contrastive"]:
        del spec["contrastive"]["weight"], spec["contrastive"]["temperature"]
    return json.dumps(spec, sort_keys=True)


def measure(run: Run, seconds: float, images: tuple[Path, pd.DataFrame] | None = None) -> float:
    """Patches per second of a run's training steps on this machine, including loading, without validation.

    The training command runs twice: for a few steps, then for about `seconds`.

    Args:
        run: the run to measure; its length and fraction do not matter.
        seconds: of training steps.
        images: folder and table of images to train on; None draws dead leaves of the run's size.

    Raises:
        SpeedError: if the training or drawing failed, or the training was stopped because it is too slow.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if images is None:
            root = folder / "images"
            # In a process of its own: `scan` forks, which no process should do after it has drawn in threads.
            command = [sys.executable, "-m", "workflows.data", "synthesize", "--out", root]
            command += ["--count", IMAGES // 4, "--size", max(run.data.size, run.min_side)]
            if subprocess.run([*map(str, command)], env=_environment(), stdout=sys.stderr, check=False).returncode:
                raise SpeedError(f"{run.model}: no images could be drawn to measure its speed with")
            images = (root, manifest.scan(root, 1, 0.0, folder / "journal", None)[0])
        root, table = images
        manifest.write_table(table.head(IMAGES), folder / "images.csv")
        limit = STARTUP_SECONDS + 5 * seconds
        few = _train(run, FIRST_STEPS, root, folder, limit)
        steps = max(2 * WINDOWS, round(seconds * few / run.training.batch_size))
        return _train(run, steps, root, folder, limit)


def short(run: Run, steps: int) -> dict[str, Any]:
    """The config of a training of a run's network for a few steps."""
    model = run.model_dump(mode="json", include={"variant", "kwargs", "contrastive"}) | {"name": "speed"}
    every = max(1, steps // WINDOWS)
    recipe = run.training.model_dump(mode="json") | {
        "budget": {"steps": steps},
        "warmup_steps": 0,  # it may be longer than the measurement
        "log_every": every,
        "validate_every": steps + 1,
    }
    data = run.data.model_dump(mode="json")
    return {"name": "speed", "tasks": list(run.tasks), "models": [model], "training": recipe, "data": data}


def _train(run: Run, steps: int, root: Path, folder: Path, limit: float) -> float:
    (folder / "speed.yaml").write_text(json.dumps(short(run, steps)), encoding="utf-8")
    command = [sys.executable, "-m", "workflows.training"]
    command += ["--experiment", folder / "speed.yaml", "--run", "speed-100-seed-0"]
    command += ["--root", root, "--fraction", folder / "images.csv", "--validation", folder / "images.csv"]
    command += ["--out", folder / f"out-{steps}", "--resume", folder / "resume"]
    try:
        done = subprocess.run(
            [*map(str, command)], env=_environment(), capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise SpeedError(f"{run.model}: {steps} steps take longer than {limit:.0f} s on this machine") from None
    if done.returncode:
        raise SpeedError(f"measuring {run.model} failed:\n{done.stderr.strip()}")
    log = pd.read_csv(folder / f"out-{steps}" / "train.csv")
    counted = log["patches"].diff().iloc[2:]
    return float(counted.sum() / (counted / log["patches_per_second"].iloc[2:]).sum())


def _environment() -> dict[str, str]:
    """With it, `python -m workflows.…` works in any directory."""
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return {**os.environ, "PYTHONPATH": path}
