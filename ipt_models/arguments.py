"""Checks of networks' arguments. Each raises a ValueError that names the argument, its value and what would be right.

The upper limits keep a file's header from requesting all memory.
"""

import math
from collections.abc import Sequence
from typing import Any

from ipt_models.suggestions import nearest

MOST = {"depth": 1000, "num_block": 1000, "num_conv": 100, "patch_size": 1024, "window_size": 64, "window": 1024}


def check_whole(at_least: int = 1, **values: Any) -> None:
    """Whole numbers; True, 2.5 and "6" are refused."""
    for name, value in values.items():
        at_most = MOST.get(name, 2**16)
        if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
            raise ValueError(f"{name}={value!r}: expected a whole number from {at_least} to {at_most}")


def check_positive(**values: Any) -> None:
    """Finite numbers above zero."""
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r}: expected a number above 0")


def check_flags(**values: Any) -> None:
    """True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: expected true or false")


def check_choice(allowed: Sequence[str], **values: Any) -> None:
    """One of the allowed names."""
    for name, value in values.items():
        if value not in allowed:
            raise ValueError(f"{name}={value!r}{nearest(value, allowed)}: expected one of {', '.join(allowed)}")


def check_names(known: Sequence[str], kwargs: Sequence[str], network: str) -> None:
    """Check that a network takes arguments of these names."""
    for name in kwargs:
        if name not in known:
            raise ValueError(
                f"{network} takes no argument {name!r}{nearest(name, known)}; it takes {', '.join(known) or 'none'}"
            )
