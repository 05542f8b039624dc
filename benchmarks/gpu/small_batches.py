"""A small network at 64 patches per step, where starting a kernel takes longer than running it."""

from collections.abc import Iterator
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.bench import Bench, reason
from benchmarks.gpu.registry import Line, failed, not_applicable, number
from benchmarks.gpu.steps import make_step
from benchmarks.training_step import Step
from workflows import models
from workflows.training.devices import use_deterministic_kernels

# EDSR as in `preset: gpu` of config/small.yaml.
NETWORKS = {"ipt_small": ("ipt_small", {}), "EDSR of equal cost": ("edsr_tiny", {"num_feat": 56, "num_block": 8})}
BATCH = 64
WAYS = {"eager": None, "compiled": {}, "compiled with CUDA graphs": {"mode": "reduce-overhead"}}


def small_batches(bench: Bench) -> Iterator[Line]:
    """The training step eager, compiled and with CUDA graphs: patches per second, and the time of its kernels."""
    use_deterministic_kernels()
    for name, (variant, kwargs) in NETWORKS.items():
        variant = variant if bench.cuda else bench.sizes.small
        for way, options in WAYS.items():
            subject = f"{name}, {way}"
            if not bench.cuda and options:
                yield not_applicable(subject, "a card has them")
                continue
            try:
                model = models.build(variant, ("sr2",), **(kwargs if bench.cuda else bench.kwargs(variant)))
                model = model.to(bench.device, memory_format=torch.channels_last)
                call = None if options is None else bench.compile(model, **options)
                step = make_step(bench, model, variant, True, model=call, batch=min(BATCH, bench.sizes.batch))
                seconds = bench.seconds(partial(repeat, step, 10), warm_up=1) / 10  # the host may run ahead of the card
                yield number(f"{subject}, speed", len(step.x) / seconds, "patches/s")
                if bench.cuda:
                    yield number(f"{subject}, kernels", kernel_milliseconds(step), f"ms of {1000 * seconds:.1f} ms")
            except Exception as error:
                yield failed(subject, reason(error))
            finally:
                model = call = step = None
                bench.reset()
                use_deterministic_kernels()


def repeat(step: Step, times: int) -> None:
    for _ in range(times):
        step()


def kernel_milliseconds(step: Step) -> float:
    """Sum of the durations of a step's kernels."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        step()
        torch.cuda.synchronize()
    kernels = [event for event in profiled.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return sum(event.device_time for event in kernels) / 1000
