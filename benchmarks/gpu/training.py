"""Whole runs by the training command: repeatable, resumable, and independent of the division of batches."""

import signal
import time
from collections.abc import Iterator

import torch

from benchmarks.gpu import runs
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.registry import Line, at_most, failed, not_applicable

# Relative tolerance of a loss at any step. Sums are rounded in another order, and Adam's first steps use only signs.
DIVIDED = 1e-2


def repeat(bench: Bench) -> Iterator[Line]:
    """The same seed twice gives the same bits, in float32 and in bf16."""
    for precision in ("32-true", "bf16-mixed"):
        first, second = (runs.train(bench, f"{precision}-{n}", precision=precision) for n in ("a", "b"))
        yield at_most(precision, runs.differing_weights(first, second), 0, "weights that differ")


def resume(bench: Bench) -> Iterator[Line]:
    """A training that is killed by SIGKILL and resumed ends in the same bits as an uninterrupted one."""
    whole = runs.train(bench, "whole")
    often = {"checkpoint_steps": max(1, bench.sizes.steps // 8)}
    process = runs.start(bench, "killed", **often)
    folder = bench.folder / "killed" / "resume"
    while process.poll() is None and not any(folder.glob("step-*")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if (bench.folder / "killed" / "out" / "model.safetensors").exists():
        yield failed("killed and resumed", "the run was over before it was killed")
        return
    resumed = runs.train(bench, "killed", **often)
    yield at_most("killed and resumed", runs.differing_weights(whole, resumed), 0, "weights that differ")


def divided(bench: Bench) -> Iterator[Line]:
    """A run's losses in micro-batches, with gradient checkpointing, compiled, and on two cards, against a plain run's."""
    plain = runs.train(bench, "plain")
    ways = {
        "micro-batches of a quarter": {"micro_batch_size": 2},
        "gradient checkpointing": {"gradient_checkpointing": True},
    }
    if bench.cuda:
        ways["torch.compile"] = {"compile": True}
    for name, recipe in ways.items():
        output = runs.train(bench, name.replace(" ", "-"), **recipe)
        yield at_most(name, runs.loss_difference(plain, output), DIVIDED, "relative")
    if torch.cuda.device_count() < 2:
        yield not_applicable("two cards (NCCL)", "this machine has fewer than two cards")
        return
    process = runs.start(bench, "two-cards", devices=2)
    if process.wait():
        yield failed("two cards (NCCL)", f"the training ended with status {process.returncode}")
        return
    output = bench.folder / "two-cards" / "out"
    yield at_most("two cards (NCCL)", runs.loss_difference(plain, output), DIVIDED, "relative")
