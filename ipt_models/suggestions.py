"""`did you mean …?`, for every message about an unknown name."""

import difflib
from collections.abc import Iterable


def nearest(value: object, allowed: Iterable[object]) -> str:
    """`, did you mean 'x'?`, or nothing where no allowed name is close. Case does not count."""
    names = {str(name).lower(): str(name) for name in allowed}
    match = difflib.get_close_matches(str(value).lower(), names, n=1)
    return f", did you mean {names[match[0]]!r}?" if match else ""
