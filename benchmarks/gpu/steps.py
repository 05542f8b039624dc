"""Training steps on the device, in micro-batches that fit, and their cost."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.gpu.bench import Bench
from benchmarks.training_step import Step
from workflows import models
from workflows.peak_rates import peak_flops
from workflows.training.history import training_flops


class Cost(NamedTuple):
    """The cost of one step: `mfu` and `peak_gb` are NaN without a card."""

    seconds: float
    patches_per_second: float
    mfu: float
    peak_gb: float
    micro_batch: int


def make_step(
    bench: Bench,
    network: nn.Module,
    variant: str,
    bf16: bool,
    micro_batch: int | None = None,
    model: Callable[[Tensor, str], Tensor] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    batch: int | None = None,
) -> Step:
    """A step of a network on the device, on random pairs.

    Args:
        bench: defines device and batch.
        variant: of the network.
        batch: rows of the step; None: the checks' usual batch.
        network, bf16, micro_batch, model, optimizer: see `Step`.
    """
    batch, side = batch or bench.sizes.batch, bench.patch_size(variant)
    x, y = (torch.rand(batch, 3, size, size, device=bench.device) for size in (side, 2 * side))
    return Step(network, x, y, bf16, micro_batch, model, optimizer)


def cost(bench: Bench, make: Callable[[int], Step], variant: str, arithmetic: str, repeats: int | None = None) -> Cost:
    """The cost of a step, at the largest micro-batch that fits.

    Args:
        bench: where.
        make: a step with a given micro-batch.
        variant: for its multiply-adds.
        arithmetic: `bf16`, `tf32` or `float32`: decides the peak rate for MFU.
        repeats: of the measurement.
    """
    micro_batch = bench.sizes.batch
    while True:
        try:
            step = make(micro_batch)
            peak_gb = bench.peak_gb(step)
            seconds = bench.seconds(step, repeats=repeats)
            break
        except torch.cuda.OutOfMemoryError:
            step = None
            torch.cuda.empty_cache()
            micro_batch //= 2
            if not micro_batch:
                raise
    rate = bench.sizes.batch / seconds
    peak = peak_flops(bench.card, arithmetic)
    mfu = rate * flops_per_patch(bench, variant) / peak if peak else float("nan")
    return Cost(seconds, rate, mfu, peak_gb, micro_batch)


def flops_per_patch(bench: Bench, variant: str) -> float:
    """FLOPs of training on one patch: 2 × multiply-adds, 3 × the forward pass."""
    macs = models.macs_per_output_pixel(variant, ("sr2",), **bench.kwargs(variant))
    return training_flops(macs, bench.patch_size(variant))["sr2"]


def network(bench: Bench, variant: str) -> nn.Module:
    """A network like the training command's: on the device, convolutions in channels-last order."""
    return bench.network(variant).to(bench.device, memory_format=torch.channels_last)
