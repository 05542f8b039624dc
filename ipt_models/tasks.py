"""The restoration tasks and their names: `sr2`, `sr3`, `sr4`, `dn30`, `dn50`, `dr`, …"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Task:
    """One restoration task.

    Attributes:
        name: as in configs and tables, for example `sr2`.
        kind: `sr` (super-resolution), `dn` (Gaussian denoising) or `dr` (deraining).
        scale: output side over input side; 1 for `dn` and `dr`.
        sigma: standard deviation of the noise on the 0-255 scale; 0 unless `dn`.
    """

    name: str
    kind: Literal["sr", "dn", "dr"]
    scale: int = 1
    sigma: int = 0

    def fits(self, other: "Task") -> bool:
        """Whether one task's head can restore the other: both have the same kind and scale; noise levels may differ."""
        return (self.kind, self.scale) == (other.kind, other.scale)


ALLOWED = "sr2, sr3, sr4, dn<sigma> with sigma from 1 to 255 (dn30, dn50, …) or dr"


def parse_task(name: str) -> Task:
    """Read a task's name.

    Raises:
        ValueError: naming what is allowed.
    """
    if match := re.fullmatch(r"sr([234])", name):
        return Task(name, "sr", scale=int(match[1]))
    if (match := re.fullmatch(r"dn([1-9]\d{0,2})", name)) and int(match[1]) <= 255:
        return Task(name, "dn", sigma=int(match[1]))
    if name == "dr":
        return Task(name, "dr")
    raise ValueError(f"unknown task {name!r}: expected {ALLOWED}")


class HeadError(ValueError):
    """No trained head can restore a task."""


def can_restore(trained: Iterable[str], task: Task) -> bool:
    """Whether a network trained on these tasks has a head that fits a task."""
    return any(parse_task(name).fits(task) for name in trained)


def nearest_head(task: Task, trained: Sequence[str], label: str = "the model") -> str:
    """The trained task whose head restores a task: the task itself, or else the one of its kind with the nearest noise level.

    Of two equally near levels the stronger one is taken, which leaves no noise behind. Scales must match: a head for another
    scale gives an image of another size.

    Raises:
        HeadError: if there is no head of that kind or scale.
    """
    heads = [parse_task(name) for name in trained]
    fitting = [head for head in heads if head.fits(task)]
    if not fitting:
        raise HeadError(f"{label} was trained on {', '.join(trained)} and has no head for {task.name}")
    return min(fitting, key=lambda head: (abs(head.sigma - task.sigma), -head.sigma)).name
