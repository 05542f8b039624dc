"""The contrastive loss in blocks, on the device."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.dense_contrastive import dense_contrastive_loss
from benchmarks.gpu.bench import Bench, relative
from benchmarks.gpu.registry import Line, at_most, not_applicable, number
from ipt_models.contrastive import TEMPERATURES, contrastive_loss

GIGABYTES, TIMES_DENSE = 1.5, 1.3
BLOCK_SIZES = (1024, 2048, 8192)  # beside the default


def compare_contrastive(bench: Bench) -> Iterator[Line]:
    """Contrastive loss in blocks against the dense computation; its memory and time at batch 256."""
    for formulation, temperature in TEMPERATURES.items():
        small = features(bench, bench.sizes.dense_features)
        ours = by_features(lambda x, f=formulation: contrastive_loss(x, formulation=f), small)
        dense = by_features(lambda x, f=formulation, t=temperature: dense_contrastive_loss(x, t, f), small)
        value, expected = ours(), dense()
        loss = abs(value[0].item() / expected[0].item() - 1)
        yield at_most(f"{formulation}, loss", loss, 1e-4, "relative")
        yield at_most(f"{formulation}, gradient", relative(value[1], expected[1]), 1e-3, "relative")
        ratio = bench.seconds(ours) / bench.seconds(dense)
        name = f"{formulation}, time over dense at {bench.sizes.dense_features}"
        yield at_most(name, ratio, TIMES_DENSE) if bench.cuda else not_applicable(name, "speed is a card's")
        large = features(bench, bench.sizes.features)
        work = by_features(lambda x, f=formulation: contrastive_loss(x, formulation=f), large)
        yield number(f"{formulation}, {bench.sizes.features}", 1000 * bench.seconds(work, repeats=3), "ms")
        for size in BLOCK_SIZES:
            sized = by_features(
                lambda x, f=formulation, s=size: contrastive_loss(x, formulation=f, block_size=s), large
            )
            milliseconds = 1000 * bench.seconds(sized, repeats=3)
            yield number(f"{formulation}, {bench.sizes.features}, blocks of {size}", milliseconds, "ms")
        held = 2 * large.nbytes / 1e9  # features and gradient
        beyond = bench.peak_gb(work) - held
        name = f"{formulation}, memory beyond features and gradient"
        yield at_most(name, beyond, GIGABYTES, "GB") if bench.cuda else not_applicable(name, "a card's memory")


def features(bench: Bench, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).to(bench.device).requires_grad_()


def by_features(loss: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    def work() -> tuple[Tensor, Tensor]:
        value = loss(x)
        return value.detach(), torch.autograd.grad(value, x)[0]

    return work
