"""A training step like the loop's, in micro-batches that fit, and its cost."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.gpu.bench import Bench
from workflows import models
from workflows.config.schema import Training
from workflows.peak_rates import peak_flops
from workflows.training.history import training_flops
from workflows.training.objective import l1_loss
from workflows.training.optimization import build_optimizer


class Cost(NamedTuple):
    """The cost of one step: `mfu` and `peak_gb` are NaN without a card."""

    seconds: float
    patches_per_second: float
    mfu: float
    peak_gb: float
    micro_batch: int


class Step:
    """Forward, L1, backward and Adam on a batch of random pairs; each call is one step.

    Args:
        bench: defines device and batch.
        network: on the device; called with `(x, "sr2")`, or as `forward` says.
        variant: of the network.
        bf16: bfloat16 autocast instead of float32.
        micro_batch: rows at a time.
        model: the compiled network, if it is a separate object.
        optimizer: replaces the suite's.
        batch: rows of the step; None: the checks' usual batch.
    """

    def __init__(
        self,
        bench: Bench,
        network: nn.Module,
        variant: str,
        bf16: bool,
        micro_batch: int | None = None,
        model: Callable[[Tensor, str], Tensor] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        batch: int | None = None,
    ) -> None:
        self.bench, self.bf16 = bench, bf16
        self.model = network if model is None else model  # a compiled network has no truth value
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = optimizer or build_optimizer(trained, Training(learning_rate=1e-6))
        batch, side = batch or bench.sizes.batch, bench.patch_size(variant)
        self.micro_batch = micro_batch or batch
        self.x, self.y = (torch.rand(batch, 3, size, size, device=bench.device) for size in (side, 2 * side))

    def __call__(self) -> None:
        self.gradients()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def gradients(self) -> None:
        for x, y in zip(self.x.split(self.micro_batch), self.y.split(self.micro_batch), strict=True):
            with self.bench.autocast(self.bf16):
                output = self.model(x, "sr2")
            (l1_loss(output, y) * (len(x) / len(self.x))).backward()


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
