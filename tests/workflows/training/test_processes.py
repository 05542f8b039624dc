"""A batch that several processes or micro-batches share gives the weights of one that is computed at once."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from tests.helpers import assert_names, train_quickly
from workflows.config import grid
from workflows.training.loop import EXIT_INTERRUPTED

ROOT = Path(__file__).parents[3]
TASKS = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")
TOLERANCE = 1e-5

# Trains all runs of the experiments named on the command line, in two processes that are forked here: importing torch takes
# longer than the trainings do. Progress is measured on fewer crops, as by `train_quickly`.
DRIVER = """
import os
import sys
from pathlib import Path
from workflows.config import grid
from workflows.training import loop, validation
validation.CROPS = 16
root, *configs = map(Path, sys.argv[1:])
second = os.fork()
os.environ["LOCAL_RANK"] = "0" if second else "1"
for config in configs:
    for run in grid.read(config).runs().values():
        folder = config.parent / f"{config.stem}-{run.model}"
        loop.train(run, root, root / "fraction.csv", root / "validation.csv", folder, folder / "resume")
if second:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
"""

MODELS = {
    "plain": {},
    "whole": {"contrastive": {"weight": 0.1}},
    "pairs": {"contrastive": {"weight": 0.1, "group_size": 2}},
    "paper": {"contrastive": {"weight": 0.1, "formulation": "paper"}},
}
# One task of each kind alone; `all` trains on all of them.
RUNS = [*(f"{task}-plain" for task in ("sr2", "dn30", "dr")), *(f"all-{model}" for model in MODELS)]

DIVIDED = {"processes": ({"devices": 2}, RUNS), "parts": ({"devices": 2, "micro_batch_size": 1}, RUNS[-4:])}


def write_configs(folder: Path, runs: list[str], **recipe) -> list[Path]:
    """Micro IPTs for one task each, or for all of them, in float64; those of sr2 take long enough to be stopped."""
    folder.mkdir(parents=True)
    configs = []
    for name in dict.fromkeys(run.split("-")[0] for run in runs):
        tasks = list(TASKS) if name == "all" else [name]
        models = [run.split("-")[1] for run in runs if run.startswith(f"{name}-")]
        kwargs = {"num_feat": 4, "patch_size": 6, "num_heads": 2, "depth": 1}
        config = {
            "name": "micro",
            "tasks": tasks,
            "models": [{"name": model, "variant": "ipt_tiny", "kwargs": kwargs, **MODELS[model]} for model in models],
            "training": {
                "budget": {"steps": 20 if name == "sr2" else 12},
                "batch_size": 4,
                "patch_size": 6,
                "learning_rate": 1e-3,
                "gradient_clip": 5.0,
                "precision": "64-true",
                "accelerator": "cpu",
                **recipe,
            },
            "evaluation": {"references": []},
        }
        grid.parse(config)
        configs.append(folder / f"{name}.yaml")
        configs[-1].write_text(yaml.safe_dump(config))
    return configs


@pytest.fixture(scope="module")
def at_once(images, tmp_path_factory) -> Path:
    """Trained by this process, with whole batches."""
    out = tmp_path_factory.mktemp("one") / "at once"
    for config in write_configs(out, RUNS):
        for run in grid.read(config).runs().values():
            folder = out / f"{config.stem}-{run.model}"
            train_quickly(run, images.root, images.fraction, images.validation, folder, folder / "resume")
    return out


@pytest.fixture(scope="module")
def divided(images, tmp_path_factory) -> Path:
    """Trained in all ways by two processes that are started from outside, as Slurm and torchrun do."""
    out = tmp_path_factory.mktemp("two")
    configs = [config for way, (recipe, runs) in DIVIDED.items() for config in write_configs(out / way, runs, **recipe)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NODE_RANK": "0"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = list(map(str, (sys.executable, "-c", DRIVER, images.root, *configs)))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.parametrize("way", DIVIDED)
def test_processes_that_share_a_batch_give_the_weights_of_one(way, at_once, divided):
    for run in DIVIDED[way][1]:
        one, two = at_once / run, divided / way / run
        expected, found = (load_file(folder / "model.safetensors") for folder in (one, two))
        assert expected.keys() == found.keys()
        for name, tensor in expected.items():
            difference = (found[name] - tensor).abs().max().item()
            assert difference < TOLERANCE, f"{run}, {name}: {difference:.1e}"
        logs = [pd.read_csv(folder / "train.csv") for folder in (one, two)]
        for column in ("loss", "l1", "contrastive", "contrastive_share", "validation_l1"):
            np.testing.assert_allclose(logs[1][column], logs[0][column], rtol=1e-7, err_msg=f"{run}, {column}")
        records = [json.loads((folder / "provenance.json").read_text()) for folder in (one, two)]
        assert records[0]["digest"] == records[1]["digest"]
        assert records[0]["training"]["negatives"] == records[1]["training"]["negatives"]
        assert [record["training"]["computed_on"][0]["devices"] for record in records] == [1, 2]
        assert set(records[0]["training"]["patches_by_task"]) == set(
            TASKS if run.startswith("all") else [run.split("-")[0]]
        )


def test_losses_that_are_compared_are_different_losses(at_once):
    """Otherwise the agreement above would show nothing."""
    tensors = {model: load_file(at_once / f"all-{model}" / "model.safetensors")["mlp.fc1.weight"] for model in MODELS}
    for a, b in itertools.combinations(tensors, 2):
        assert (tensors[a] - tensors[b]).abs().max() > 10 * TOLERANCE, (a, b)


def test_run_of_two_processes_stops_on_a_signal_and_resumes_with_one(images, at_once, tmp_path):
    """Fabric starts the second process; only the first one is told, and both stop after the same step."""
    (config,) = write_configs(tmp_path / "config", ["sr2-plain"], devices=2, checkpoint_steps=1)
    tables = ("--root", images.root, "--fraction", images.fraction, "--validation", images.validation)
    run = ("--experiment", config, "--run", "plain-100-seed-0", "--out", tmp_path, "--resume", tmp_path / "resume")
    command = list(map(str, (sys.executable, "-m", "workflows.training", *tables, *run)))
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "resume").glob("step-*.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=600)[1]
    assert process.returncode == EXIT_INTERRUPTED, told
    assert_names(told, "plain-100-seed-0", "SIGTERM")

    (config,) = write_configs(tmp_path / "alone", ["sr2-plain"])
    (run,) = grid.read(config).runs().values()
    train_quickly(run, images.root, images.fraction, images.validation, tmp_path / "out", tmp_path / "resume")
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert [way["devices"] for way in record["training"]["computed_on"]] == [2, 1]
    expected, found = (load_file(f / "model.safetensors") for f in (at_once / "sr2-plain", tmp_path / "out"))
    assert max((found[name] - expected[name]).abs().max().item() for name in expected) < TOLERANCE
