"""`make prove-resume`: a training that is killed again and again equals an uninterrupted one bit for bit."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from workflows.training.__main__ import main
from workflows.training.loop import EXIT_INTERRUPTED

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["workflows.training.loop"])
KILLS = 24
PATIENCE = 600  # seconds until a process has to have saved or ended

# With an average of the weights, several tasks, a worker and several crops per image, so that all state there is matters.
CONFIG = {
    "name": "proof",
    "tasks": ["sr2", "dn30"],
    "data": {"workers": 1, "crops_per_image": 2},
    "models": [
        {
            "name": "ipt",
            "variant": "ipt_tiny",
            "kwargs": {"num_feat": 4, "patch_size": 6, "num_heads": 2, "depth": 1},
            "contrastive": {"weight": 0.1},
        }
    ],
    "training": {
        "budget": {"steps": 1500},
        "batch_size": 3,
        "patch_size": 6,
        "learning_rate": 1e-3,
        "warmup_steps": 30,
        "gradient_clip": 50.0,
        "ema": 0.99,
        "log_every": 100,
        "validate_every": 300,
        "precision": "32-true",
        "accelerator": "cpu",
    },
}


@pytest.mark.slow
def test_killed_again_and_again_it_ends_in_the_same_bits(images, tmp_path):
    whole = tmp_path / "whole"
    begun = time.perf_counter()
    assert end(start(write(tmp_path / "whole.yaml"), images, whole)) == 0
    print(f"\nwithout interruption: {time.perf_counter() - begun:.0f} s")

    config = write(tmp_path / "cut.yaml", checkpoint_steps=2)
    cut, draw, ends = tmp_path / "cut", random.Random(0), Counter()
    begun = time.perf_counter()
    while sum(ends.values()) < KILLS:
        process = start(config, images, cut)
        number = draw.choice([signal.SIGKILL, signal.SIGTERM])
        wait_for_progress(process, Path(f"{cut}-resume"), anywhere=draw.random() < 0.2, draw=draw)
        assert process.exitcode is None, f"ended after {sum(ends.values())} kills: the proof needs more steps"
        os.kill(process.pid, number)
        status = end(process)
        # A process that has not yet come to its loop dies of SIGTERM as any other does.
        assert status in ((-signal.SIGKILL,) if number == signal.SIGKILL else (EXIT_INTERRUPTED, -signal.SIGTERM))
        ends[f"{number.name}, status {status}"] += 1
        steps = sorted(path.stem for path in Path(f"{cut}-resume").glob("step-*.pt"))
        print(f"kill {sum(ends.values()):2d}: {number.name}, status {status}, last checkpoint {steps[-1:]}", flush=True)
    assert end(start(config, images, cut)) == 0
    print(f"{KILLS} kills in {time.perf_counter() - begun:.0f} s: {dict(ends)}")

    assert min(sum(n for end, n in ends.items() if name in end) for name in ("SIGKILL", "SIGTERM")) >= 5
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    pace = ["patches_per_second", "data_wait", "mfu", "memory_mb", "seconds"]
    logs = [pd.read_csv(folder / "train.csv").drop(columns=pace) for folder in (whole, cut)]
    pd.testing.assert_frame_equal(*logs, check_exact=True)


def end(process: ForkServerProcess) -> int:
    process.join(PATIENCE)
    return process.exitcode


def write(path: Path, **recipe) -> Path:
    path.write_text(yaml.safe_dump({**CONFIG, "training": {**CONFIG["training"], **recipe}}), encoding="utf-8")
    return path


def start(config: Path, images, out: Path) -> ForkServerProcess:
    """`python -m workflows.training` as a process of its own, which does not have to import torch again."""
    tables = ("--root", images.root, "--fraction", images.fraction, "--validation", images.validation)
    run = ("--experiment", config, "--run", "ipt-100-seed-0", "--out", out, "--resume", f"{out}-resume")
    process = SERVER.Process(target=train, args=(list(map(str, (*tables, *run))), out.with_suffix(".log")))
    process.start()
    return process


def train(arguments: list[str], log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv[1:] = arguments
    sys.exit(main())


def wait_for_progress(process: ForkServerProcess, resume: Path, anywhere: bool, draw: random.Random) -> None:
    """Wait for a random moment: after this process's first checkpoint, or anywhere in its first seconds."""
    if anywhere:
        time.sleep(draw.uniform(0, 2))
        return
    before, patience = set(resume.glob("step-*.pt")), time.perf_counter() + PATIENCE
    while not set(resume.glob("step-*.pt")) - before and process.exitcode is None:
        assert time.perf_counter() < patience, "no checkpoint"
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.3))
