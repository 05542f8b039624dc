"""The catalogue of benchmark sets, and how configs and commands request one. Reads no image folder and imports no torch.

A set is requested by one string:

- `Set5`: a set of `benchmark_sets.yaml`, by its name or an alias;
- `B100@20`: its first 20 images in the order of their names. The rows carry that name, so that their mean is not taken for
the set's;
- `Set14@rgb`, `Set14@matlab`: the set with its gray files scored in that convention, beside rows in the other;
- `mine=FOLDER`: any folder of images, under a name of your own;
- `mine=TARGETS,INPUTS`: a pair of folders, for degraded inputs that already exist.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, get_args

import yaml

from ipt_models.suggestions import nearest
from workflows.config.choices import Gray

GRAY_CONVENTIONS = get_args(Gray)
KINDS = ("sr", "dn", "dr")
REFUSED = {"BSD68": "is usually the gray one, which this color benchmark does not score; did you mean 'CBSD68'?"}


class SetError(ValueError):
    """A problem with the requested sets, in one readable message."""


@dataclass(frozen=True)
class BenchmarkSet:
    """One entry of `benchmark_sets.yaml`, whose head explains the fields."""

    name: str
    title: str
    count: int
    tasks: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    names: str = ".+"
    package: dict = field(default_factory=dict)
    download: dict = field(default_factory=dict)


class Request(NamedTuple):
    """What one string requests.

    Attributes:
        label: the set's name in tables.
        name: the set's own name; noise is seeded by it, so that `B100@20` sees the pixels of `B100`.
        benchmark: the entry of `SETS`, or None for a folder.
        first: how many images, or None for all.
        targets, inputs: folders as given, or None.
        gray: convention for gray files, or None for the protocol's.
    """

    label: str
    name: str
    benchmark: BenchmarkSet | None
    first: int | None = None
    targets: str | None = None
    inputs: str | None = None
    gray: Gray | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.benchmark.tasks if self.benchmark else KINDS


def _load() -> dict[str, BenchmarkSet]:
    entries = yaml.safe_load(Path(__file__).with_name("benchmark_sets.yaml").read_text(encoding="utf-8"))
    return {
        name: BenchmarkSet(name, **{key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()})
        for name, entry in entries.items()
    }


SETS: dict[str, BenchmarkSet] = _load()


def parse_set(text: str) -> Request:
    """Parse a request without looking at any file.

    Raises:
        SetError: naming what is allowed, with the nearest name.
    """
    name, equals, folders = text.partition("=")
    if equals:
        return _folder_request(name, folders)
    name, *options = text.split("@")
    numbers = [option for option in options if option.isdecimal() and int(option) > 0]
    conventions = [option for option in options if option in GRAY_CONVENTIONS]
    if len(numbers) > 1 or len(conventions) > 1 or len(numbers) + len(conventions) < len(options):
        raise SetError(
            f"{text!r}: after @ comes the number of first images, for example {name}@20, "
            f"or how gray files are scored: {', '.join(f'{name}@{gray}' for gray in GRAY_CONVENTIONS)}"
        )
    for benchmark in SETS.values():
        if name in (benchmark.name, *benchmark.aliases):
            first = int(numbers[0]) if numbers else None
            if first and first > benchmark.count:
                raise SetError(f"{text!r}: {benchmark.name} has {benchmark.count} images")
            label = "@".join((benchmark.name, *options))
            return Request(label, benchmark.name, benchmark, first, gray=conventions[0] if conventions else None)
    if name in REFUSED:
        raise SetError(f"{name!r} {REFUSED[name]}")
    names = [n for benchmark in SETS.values() for n in (benchmark.name, *benchmark.aliases)]
    allowed = f"{', '.join(SETS)}, or NAME=FOLDER for any folder of images"
    raise SetError(f"unknown set {text!r}{nearest(name, names)}; allowed: {allowed}")


def _folder_request(name: str, folders: str) -> Request:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
        raise SetError(f"{name!r} cannot name a set: letters, digits and _ . + - are allowed")
    if any(name in (s.name, *s.aliases) for s in SETS.values()):
        raise SetError(f"{name!r} is a benchmark set's name; give the folder another name")
    if name == "held-out":
        raise SetError(f"{name!r} is the name of the held-out training images in tables; give the folder another name")
    targets, comma, inputs = folders.partition(",")
    if not targets or (comma and not inputs):
        raise SetError(f"{name}={folders}: expected NAME=FOLDER or NAME=TARGETS,INPUTS")
    return Request(name, name, None, None, targets, inputs or None)
