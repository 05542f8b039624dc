"""Whole images through trained-size networks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.gpu.bench import Bench, reason
from benchmarks.gpu.registry import Line, failed, number
from ipt_models.variants import VARIANTS as IPTS


def images(bench: Bench) -> Iterator[Line]:
    """Whole-image inference at x2 to 2040×1356 pixels: seconds and peak memory, in float32 and bf16."""
    height, width = (side // 2 for side in bench.sizes.image)
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(bench.device)
    for variant in (bench.sizes.large, *bench.sizes.speeds[:3]):
        if variant in IPTS and variant != bench.sizes.large:
            continue
        network = bench.network(variant).to(bench.device).eval()
        for bf16 in (False, True):
            subject = f"{variant}, {'bf16' if bf16 else 'float32'}"
            try:
                work = restoring(bench, network, variant, x, bf16)
                yield number(subject, bench.seconds(work, warm_up=1, repeats=2), "s")
                if bench.cuda:
                    yield number(f"{subject}, peak memory", bench.peak_gb(work), "GB")
            except RuntimeError as error:
                yield failed(subject, reason(error))


def restoring(bench: Bench, network: torch.nn.Module, variant: str, x: Tensor, bf16: bool) -> Callable[[], Tensor]:
    from baselines import whole_image
    from ipt_models import windows

    restore = windows.restore if variant in IPTS else whole_image.restore

    def work() -> Tensor:
        with torch.inference_mode(), bench.autocast(bf16):
            return restore(network, x, "sr2")

    return work
