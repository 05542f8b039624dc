"""Speed of a training step: patches per second, MFU and memory of each network."""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmarks.gpu.bench import Bench, reason
from benchmarks.gpu.registry import Line, at_least, failed, not_applicable, number
from benchmarks.gpu.steps import Cost, cost, make_step, network
from benchmarks.mha_reference import AuthorsForm

MFU, TIMES_REFERENCE = 0.5, 3.0  # goals for the large network on an H100


def lines(bench: Bench, subject: str, measured: Cost) -> Iterator[Line]:
    note = f"micro-batches of {measured.micro_batch}"
    yield number(f"{subject}, speed", measured.patches_per_second, "patches/s", note)
    if bench.cuda:
        yield number(f"{subject}, peak memory", measured.peak_gb, "GB", note)
        known = measured.mfu == measured.mfu
        name = f"{subject}, MFU"
        yield (
            number(name, measured.mfu, "of the peak")
            if known
            else not_applicable(name, "no peak is listed for this card")
        )


def aims(bench: Bench) -> Iterator[Line]:
    """The large network in bf16 and compiled: MFU of at least 0.5, 3 × the authors' form in eager float32 without TF32."""
    variant = bench.sizes.large
    model = network(bench, variant)
    compiled = bench.compile(model)
    ours = cost(bench, partial(make_step, bench, model, variant, True, model=compiled), variant, "bf16")
    yield from lines(bench, f"{variant}, bf16, compiled", ours)
    del model, compiled
    bench.reset()
    torch.set_float32_matmul_precision("highest")
    theirs = AuthorsForm(bench.network(variant)).to(bench.device)
    repeats = max(1, bench.sizes.repeats // 4)
    slow = cost(bench, partial(make_step, bench, theirs, variant, False), variant, "float32", repeats)
    yield from lines(bench, "authors' form, float32, eager", slow)
    times = ours.patches_per_second / slow.patches_per_second
    for name, value, bound in (("MFU", ours.mfu, MFU), ("times the authors' form", times, TIMES_REFERENCE)):
        if not bench.cuda or (name == "MFU" and value != value):
            yield not_applicable(
                f"aim: {name}", "no peak is listed for this card" if bench.cuda else "speed is a card's"
            )
        else:
            yield at_least(f"aim: {name}", value, bound, note="the aim is for an H100")


def steps(bench: Bench, variant: str) -> Iterator[Line]:
    for name, bf16, is_compiled in (("bf16, eager", True, False), ("bf16, compiled", True, True)):
        if is_compiled and variant == bench.sizes.large:
            continue  # measured by `aims`
        try:
            model = network(bench, variant)
            call = bench.compile(model) if is_compiled else model
            make = partial(make_step, bench, model, variant, bf16, model=call)
            yield from lines(bench, f"{variant}, {name}", cost(bench, make, variant, "bf16"))
        except Exception as error:  # a network that does not compile, or does not fit at all
            yield failed(f"{variant}, {name}", reason(error))
        finally:
            model = call = make = None
            bench.reset()


def of(variant: str) -> Callable[[Bench], Iterator[Line]]:
    return lambda bench: steps(bench, variant if bench.cuda else bench.sizes.speeds[0])


ipt_base, ipt_small, edsr_baseline, edsr, rdn_b, swinir = map(
    of, ("ipt_base", "ipt_small", "edsr_baseline", "edsr", "rdn_b", "swinir")
)


def authors(bench: Bench) -> Iterator[Line]:
    """Training step of the authors' form of the large network (benchmarks/mha_reference.py) in eager bf16."""
    variant = bench.sizes.large
    theirs = AuthorsForm(bench.network(variant)).to(bench.device)
    measured = cost(bench, partial(make_step, bench, theirs, variant, True), variant, "bf16")
    yield from lines(bench, "authors' form, bf16, eager", measured)
