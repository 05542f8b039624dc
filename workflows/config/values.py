"""What single values of a config may be: numbers in a range, names, tasks, sets. Every error says what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from ipt_models.suggestions import nearest
from ipt_models.tasks import ALLOWED as ALLOWED_TASKS
from ipt_models.tasks import parse_task
from workflows.config.benchmark_sets import parse_set

LONGEST_NAME = 100  # names become parts of file names, which end at 255 bytes
SMALLEST_FRACTION = 1e-6


def distinct(values: list) -> list:
    """Refuse values that are equal or are printed alike in file names."""
    printed = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    if repeated := sorted({text for text in printed if printed.count(text) > 1}):
        raise ValueError(f"{', '.join(repeated)} is given more than once")
    return values


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is not a number")
    return value


def _share(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        raise ValueError(f"is more than 1, which is all; did you mean {value / 100:g}?")
    return value


def _fraction(value: float) -> float:
    if 0 < value < SMALLEST_FRACTION:
        raise ValueError(f"is too small to be named; the smallest is {SMALLEST_FRACTION:g}")
    return value


def _expandable(value: Path) -> Path:
    try:
        value.expanduser()
    except RuntimeError:
        raise ValueError("names the home of a user that this machine does not know") from None
    if "\0" in str(value):
        raise ValueError("holds a NUL character, which no path can")
    # A relative path that begins with a dash would look like an option where a command gets it.
    return Path.cwd() / value if str(value).startswith("-") else value


def _by(read: Callable[[str], Any]) -> AfterValidator:
    def check(value: str) -> str:
        read(value)
        return value

    return AfterValidator(check)


def _task(value: str) -> str:
    usual = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")
    try:
        parse_task(value)
    except ValueError:
        raise ValueError(f"unknown task{nearest(value, usual)}; allowed: {ALLOWED_TASKS}") from None
    return value


def whole(at_least: int, at_most: int) -> Any:
    """Whole numbers in a range; 2.5, "3" and true are none."""
    return Annotated[int, Field(strict=True, ge=at_least, le=at_most)]


# YAML reads 5e-5 as text, which is converted to a number here; the sections refuse infinity and NaN.
Number = Annotated[float, BeforeValidator(_no_boolean)]
Positive = Annotated[Number, Field(gt=0, le=1e9)]
NotNegative = Annotated[Number, Field(ge=0, le=1e9)]
Share = Annotated[Number, BeforeValidator(_share), Field(ge=0, le=1)]
Fraction = Annotated[Share, AfterValidator(_fraction)]
Switch = Annotated[bool, Field(strict=True)]

Count = whole(1, 10**15)  # of steps, patches, images
Pixels = whole(1, 4096)
Cores = whole(1, 1024)
Megabytes = whole(1, 10**9)
Seed = whole(0, 2**32 - 1)

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=LONGEST_NAME)]
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]  # of text
UserPath = Annotated[Path, AfterValidator(_expandable)]
TaskName = Annotated[str, AfterValidator(_task)]
Tasks = Annotated[list[TaskName], AfterValidator(distinct), Field(min_length=1)]
SetName = Annotated[str, _by(parse_set)]
Seeds = Annotated[list[Seed], AfterValidator(distinct), Field(min_length=1)]
