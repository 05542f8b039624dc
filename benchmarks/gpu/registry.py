"""The list of checks, and the lines that they write. Importing it imports no torch."""

import importlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from benchmarks.gpu.bench import Bench

OK, FAILED, NOT_APPLICABLE = "ok", "failed", "not applicable"


@dataclass(frozen=True)
class Line:
    """One number and its bound.

    Attributes:
        subject: what was measured, for example a network.
        state: `ok`, `failed` or `not applicable`.
        value: the number; None where there is none.
        unit: of the value.
        bound: what the value is held against; None where it is a mere measurement.
        sense: whether the value may be at most or at least the bound.
        note: why it failed or does not apply, or what else is to be known.
    """

    subject: str
    state: Literal["ok", "failed", "not applicable"]
    value: float | None = None
    unit: str = ""
    bound: float | None = None
    sense: Literal["at most", "at least", ""] = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def at_most(subject: str, value: float, bound: float, unit: str = "", note: str = "") -> Line:
    """Ok up to the bound; NaN fails."""
    return Line(subject, OK if value <= bound else FAILED, value, unit, bound, "at most", note)


def at_least(subject: str, value: float, bound: float, unit: str = "", note: str = "") -> Line:
    """Ok from the bound up; NaN fails."""
    return Line(subject, OK if value >= bound else FAILED, value, unit, bound, "at least", note)


def number(subject: str, value: float, unit: str, note: str = "") -> Line:
    """A measurement without a bound; it fails if it is not finite."""
    return Line(subject, OK if math.isfinite(value) else FAILED, value, unit, note=note)


def not_applicable(subject: str, why: str) -> Line:
    """What this machine cannot show."""
    return Line(subject, NOT_APPLICABLE, note=why)


def failed(subject: str, why: str) -> Line:
    """What broke before there was a number."""
    return Line(subject, FAILED, note=why)


@dataclass(frozen=True)
class Check:
    """One entry of the list.

    Attributes:
        name: for `--only`.
        place: `module:function` in this package; the function takes a `Bench` and yields lines.
        seconds: estimate on an H100, by which `--minutes` decides whether it still fits.
        about: what it checks.
    """

    name: str
    place: str
    seconds: float
    about: str

    def run(self, bench: "Bench") -> Iterator[Line]:
        module, _, function = self.place.partition(":")
        yield from getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)(bench)


# In the order of their worth: whether numbers are right, whether they repeat, whether they are fast, what might be faster.
CHECKS = {
    check.name: check
    for check in (
        Check("networks", "networks:compare_networks", 60, "each network's output and gradient against the CPU's"),
        Check("degradations", "degradations:compare_degradations", 15, "training pairs against the CPU's bits"),
        Check("repeat", "training:repeat", 40, "the same seed twice gives the same bits, in float32 and bf16"),
        Check("resume", "training:resume", 50, "a killed and resumed run equals an uninterrupted one bit for bit"),
        Check("scoring", "scoring:compare_scores", 60, "scores equal the CPU's PSNR to 0.002 dB"),
        Check("aims", "speed:aims", 240, "ipt_base, bf16, compiled: MFU ≥ 0.5 and 3 × the authors' form in float32"),
        Check("contrastive", "contrastive:compare_contrastive", 45, "in blocks against dense; batch 256: memory, time"),
        Check("gradients", "gradients:compare_gradients", 90, "compiled, checkpointed, in micro-batches against plain"),
        Check("divided", "training:divided", 60, "losses with divided batches against a plain run's"),
        Check("claims", "sharing:claims", 5, "jobs take turns with one claim per card and overlap with two"),
        Check("sharing", "sharing:sharing", 60, "two parallel runs equal a single one; memory within the request"),
        Check("processes", "processes:two_processes", 30, "the gradient of a batch that two processes share"),
        Check("speed-ipt_base", "speed:ipt_base", 40, "its training step in eager bf16 (compiled: see aims)"),
        Check("speed-edsr_baseline", "speed:edsr_baseline", 60, "its training step in bf16, eager and compiled"),
        Check("speed-rdn_b", "speed:rdn_b", 90, "its training step in bf16, eager and compiled"),
        Check("speed-ipt_small", "speed:ipt_small", 60, "its training step in bf16, eager and compiled"),
        Check("small-batches", "small_batches:small_batches", 90, "64 patches per step: eager, compiled, CUDA graphs"),
        Check("kernels", "kernels:kernels", 30, "time by kernel class; the optimizer's and the losses' share"),
        Check("speed-swinir", "speed:swinir", 150, "its training step in bf16, eager and compiled"),
        Check("speed-edsr", "speed:edsr", 120, "its training step in bf16, eager and compiled"),
        Check("speed-authors", "speed:authors", 40, "the authors' form of ipt_base in eager bf16"),
        Check("attention", "tuning:attention", 20, "heads of 48: SDPA's backends, padded to 64, deterministic"),
        Check("tuning", "tuning:tuning", 240, "channels-last, Adam, compile, CUDA graphs, padded heads, determinism"),
        Check("images", "images:images", 40, "inference of an image of 2040×1356 pixels"),
        Check("feeding", "feeding:feeding", 60, "the input pipeline's rate against the card's consumption"),
    )
}
