"""`make prove-faults`: what killed processes, a full disk and flipped bits do, on real processes and a real small disk."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import yaml

from tests.helpers import assert_names
from workflows import models
from workflows.training import checkpoint

ROOT = Path(__file__).parents[2]
RUN = "edsr-100-seed-0"
PATIENCE = 600  # seconds, on a machine that does other work
FLIPS = 200  # of checkpoints, and as many of model files

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path) -> Path:
    """An experiment of one training, long enough to be killed in the middle."""
    path = tmp_path / "faults.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "faults",
                "data": {"count": 10, "size": 96, "validation": 2},
                "models": [{"name": "edsr", "variant": "edsr_tiny", "kwargs": {"num_feat": 8, "num_block": 2}}],
                "training": {
                    **{"budget": {"steps": 1500}, "batch_size": 4, "patch_size": 12, "learning_rate": 0.001},
                    **{"checkpoint_steps": 20, "log_every": 100, "validate_every": 1500, "accelerator": "cpu"},
                },
                "evaluation": {"sets": ["photos@1"], "accelerator": "cpu"},
            }
        ),
        encoding="utf-8",
    )
    return path


def snakemake(config: Path, *arguments: str) -> subprocess.Popen:
    """The call that a user types, for one run's weights."""
    command = (sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", config.parent)
    command += ("--configfile", config, "--cores", "1", *arguments)
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def training_of(process: subprocess.Popen, resume: Path) -> psutil.Process:
    """The training that a Snakemake has started, once it has saved a checkpoint."""
    wait(lambda: process.poll() is not None or list(resume.glob("step-*.pt")), "a checkpoint")
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if "workflows.training" in child.cmdline())


def wait(until, what: str) -> None:
    patience = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < patience, f"waited for {what} in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("advice", ["stop it", "wait"])
def test_training_that_outlives_its_snakemake_is_neither_duplicated_nor_lost(advice, config):
    """kill -9 of Snakemake, `--unlock`, the same call again; then each of the two things that the message advises."""
    results = config.parent / "results" / "faults"
    target, resume = f"results/faults/runs/{RUN}/model.safetensors", results / "resume" / RUN
    first = snakemake(config, target)
    training = training_of(first, resume)
    training.suspend()  # so that it cannot end before the second one has started, however busy the machine is
    first.kill()
    first.wait()  # not for its output, which the training holds open
    assert training.is_running(), "it lives on"

    assert snakemake(config, target).wait(PATIENCE) != 0, "the lock of Snakemake itself"
    assert snakemake(config, "--unlock").wait(PATIENCE) == 0
    if advice == "stop it":
        second = snakemake(config, target)
        printed = second.communicate(timeout=PATIENCE)[0]
        assert second.returncode != 0
        assert_names(printed, f"process {training.pid}", f"`kill {training.pid}`")
        assert training.is_running()
        assert list(resume.glob("step-*.pt")), "its checkpoints are untouched"
        training.send_signal(signal.SIGTERM)
    training.resume()
    wait(lambda: not training.is_running() or training.status() == psutil.STATUS_ZOMBIE, "the first training's end")

    third = snakemake(config, target)
    printed = third.communicate(timeout=PATIENCE)[0]
    assert third.returncode == 0, printed
    log = (results / "logs" / "train" / f"{RUN}.log").read_text(encoding="utf-8")
    resumed = re.search(rf"^{RUN}: .*\bstep [1-9]", log, re.M)
    assert bool(resumed) == (advice == "stop it"), log
    record = json.loads((results / "runs" / RUN / "provenance.json").read_text(encoding="utf-8"))
    assert record["training"]["steps"] == 1500
    models.load(results / "runs" / RUN / "model.safetensors")
    print(f"\n{advice}: process {training.pid} survived its Snakemake, and the same call ended well")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_full_disk_is_named_in_the_log_and_costs_nothing_but_time(config, tmp_path):
    """Checkpoints and log on a disk that fills up while the run trains; then there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        tables = ["results/faults/data/fraction-100-seed-0.csv", "results/faults/data/validation.csv"]
        assert snakemake(config, *tables).wait(PATIENCE) == 0
        data = tmp_path / "results" / "faults" / "data"
        command = ["--experiment", data.parent / "experiment.yaml", "--run", RUN, "--root", data / "images"]
        command += ["--fraction", data / "fraction-100-seed-0.csv", "--validation", data / "validation.csv"]
        command += ["--out", tmp_path / "out", "--resume", disk / "resume"]
        command = [sys.executable, "-m", "workflows.training", *map(str, command)]
        log = disk / "train.log"
        with open(log, "w", encoding="utf-8") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, stdout=subprocess.PIPE, text=True)
            wait(lambda: process.poll() is not None or list((disk / "resume").glob("step-*.pt")), "a checkpoint")
            filler = disk / "filler"
            with open(filler, "wb", buffering=0) as file:
                for size in (65536, 1):  # to the last byte
                    try:
                        while True:
                            file.write(b"x" * size)
                    except OSError:
                        continue
            printed = process.communicate(timeout=PATIENCE)[0]
        said = printed + log.read_text(encoding="utf-8", errors="replace")
        assert process.returncode == 1
        assert "No space left on device" in said
        assert "Traceback" not in said
        print(
            f"\nin the log: {'No space left' in log.read_text(errors='replace')}; on stdout: {'No space left' in printed}"
        )
        filler.unlink()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert re.search(rf"^{RUN}: .*\bstep [1-9]", done.stdout, re.M), done.stdout
    finally:
        subprocess.run(["umount", disk], check=True)


def test_every_flipped_bit_is_noticed(tmp_path, capfd):
    """In checkpoints, where the one before is used, and in model files, which are refused."""
    draw, noticed = random.Random(0), Counter()
    network = models.build("edsr_tiny", ("sr2",), num_feat=8, num_block=2)
    state = {"digest": "d", "model": network.state_dict(), "history": {"step": 2, "log": [{"step": 1, "loss": 5.0}]}}
    checkpoint.save(tmp_path / "resume", 1, state)
    saved = checkpoint.save(tmp_path / "resume", 2, state)
    intact = saved.read_bytes()
    for _ in range(FLIPS):
        saved.write_bytes(flipped(intact, draw))
        noticed["checkpoints"] += checkpoint.load_latest(tmp_path / "resume", "d")["step"] == 1
    saved.write_bytes(intact)
    assert checkpoint.load_latest(tmp_path / "resume", "d")["step"] == 2

    model = tmp_path / "model.safetensors"
    models.save(network, model, {"run": RUN})
    intact = model.read_bytes()
    header = int.from_bytes(intact[:8], "little") + 8
    for _ in range(FLIPS):  # of the weights: a label in the header may change without harm
        model.write_bytes(flipped(intact, draw, header))
        try:
            models.load(model)
        except models.ModelFileError:
            noticed["model files"] += 1
    assert noticed == {"checkpoints": FLIPS, "model files": FLIPS}
    with capfd.disabled():
        print(f"\n{FLIPS} flipped bits each, noticed: {dict(noticed)}")


def flipped(data: bytes, draw: random.Random, first: int = 0) -> bytes:
    changed = bytearray(data)
    changed[draw.randrange(first, len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)
