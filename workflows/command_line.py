"""What the suite's commands share: how they end (`ipt_models.command_line`), and the kinds of arguments that they take."""

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ipt_models.command_line import BAD_INPUT, INTERRUPTED, InputError, exit_status, fail

__all__ = ["BAD_INPUT", "INTERRUPTED", "InputError", "above_zero", "exit_status", "fail", "from_zero"]
__all__ += ["positive", "refuse_missing", "refuse_repeated", "refuse_same_file", "whole", "words"]


def positive(text: str) -> int:
    """A whole number from 1 up, for argparse."""
    return _whole(text, 1)


def whole(text: str) -> int:
    """A whole number from 0 up, for argparse."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def above_zero(text: str) -> float:
    """A finite number above 0, for argparse."""
    number = from_zero(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def from_zero(text: str) -> float:
    """A finite number from 0 up, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return number


def words(option: str, *values: str) -> list[str]:
    """An option and its values as words of a command, for argparse: a value that begins with a dash needs `=`.

    Other values keep the plain form: finished jobs are recorded with it, and another one would repeat them.
    """
    dashed = any(value.startswith("-") for value in values)
    return [f"{option}={value}" for value in values] if dashed else [option, *values]


def refuse_missing(option: str, paths: Iterable[Path]) -> None:
    """Raise InputError where an option names files that are not there."""
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise InputError(f"{option}: no file at {', '.join(missing)}")


def refuse_repeated(option: str, values: Sequence[str]) -> None:
    """Raise InputError where an option lists a value more than once."""
    if repeated := sorted({value for value in values if values.count(value) > 1}):
        raise InputError(f"{option}: {', '.join(repeated)} is given more than once; name each once")


def refuse_same_file(outputs: Mapping[str, Path]) -> None:
    """Raise InputError where two options name one file to write."""
    first: dict[Path, str] = {}
    for option, path in outputs.items():
        if (other := first.setdefault(path.resolve(), option)) != option:
            raise InputError(f"{other} and {option} are both {path}; each table needs a file of its own")
