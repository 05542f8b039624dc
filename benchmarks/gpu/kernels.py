"""Time of a training step by class of kernel, and by part of the step."""

import re
from collections import Counter
from collections.abc import Iterator

import torch

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.registry import Line, number
from benchmarks.gpu.steps import make_step, network
from ipt_models.contrastive import contrastive_loss

# Classes by pattern of the name, of CUDA kernels and of torch's CPU operators; the first match counts.
CLASSES = {
    "attention": r"flash|fmha|sdpa|attention|softmax",
    "convolution": r"conv|implicit|wgrad|dgrad|winograd|nchwtonhwc|nhwctonchw",
    "matrix product": r"gemm|gemv|cutlass|cublas|nvjet|xmma|\bmm\b|addmm|bmm|linear",
    "normalisation": r"layer_?norm|rms_?norm",
    "optimizer": r"multi_tensor|fused_adam|adam",
    "copies and casts": r"copy|memcpy|memset|cat|transpose|permute|fill",
    "compiled": r"triton",
    "elementwise": r"elementwise|vectorized|reduce|add|mul|relu|threshold|sub|div|abs|sgn|sum|mean",
}


def kernel_class(name: str) -> str:
    """The class of a kernel by its name."""
    lowered = name.lower()
    return next((kind for kind, pattern in CLASSES.items() if re.search(pattern, lowered)), "other")


def kernels(bench: Bench) -> Iterator[Line]:
    """Fraction of a step of the large network by kernel class (bf16, eager); of optimizer, loss and contrastive loss."""
    variant = bench.sizes.large
    step = make_step(bench, network(bench, variant), variant, True, max(1, bench.sizes.batch // 4))
    for _ in range(3):
        step()
    bench.synchronize()
    with torch.profiler.profile() as profile:
        step()
        bench.synchronize()
    times: Counter[str] = Counter()
    for event in profile.key_averages():
        taken = event.self_device_time_total if bench.cuda else event.self_cpu_time_total
        if taken and not (bench.cuda and event.device_type == torch.autograd.DeviceType.CPU):
            times[kernel_class(event.key)] += taken
    total = sum(times.values())
    for kind in (*CLASSES, "other"):
        yield number(f"{variant}, kernels: {kind}", times[kind] / total if total else float("nan"), "of the time")

    whole, backward = bench.seconds(step), bench.seconds(step.gradients)
    optimizer = bench.seconds(step.optimizer.step)
    yield number(f"{variant}, optimizer", optimizer / whole, "of the step", f"the rest takes {backward / whole:.2f}")
    shape = (bench.sizes.batch, *bench.sizes.features[1:])
    features = torch.randn(shape, device=bench.device, requires_grad=True)
    seconds = bench.seconds(lambda: torch.autograd.grad(contrastive_loss(features), features), repeats=3)
    yield number("contrastive loss (supcon) of a batch over that step", seconds / whole, "of the step")
