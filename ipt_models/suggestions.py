"""`did you mean …?`, for every message about an unknown name."""

import difflib
from collections.abc import Iterable


def nearest(value: object, allowed: Iterable[object]) -> str:
    """`, did you mean 'x'?`, or nothing where no allowed name is close."""
    match = difflib.get_close_matches(str(value), list(map(str, allowed)), n=1)
    return f", did you mean {match[0]!r}?" if match else ""
