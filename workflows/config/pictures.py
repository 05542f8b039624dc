"""The names of a report's pictures in paths, wildcards and commands."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from workflows.config.schema import Picture


def slugs(pictures: Iterable[Mapping[str, Any] | Picture]) -> dict[str, Any]:
    """Pictures by names that are safe in paths, wildcards and commands: `sr2-Set5-butterfly`.

    Other characters than letters, digits, `.`, `@` and `_` become `_`; a name that another picture has gets a number.
    """
    named: dict[str, Any] = {}
    for picture in pictures:
        one = picture if isinstance(picture, Mapping) else picture.model_dump()
        words = (re.sub(r"[^A-Za-z0-9._@]+", "_", str(one[key]))[:60] for key in ("task", "dataset", "image"))
        stem = name = "-".join(words)
        for number in itertools.count(2):
            if name not in named:
                break
            name = f"{stem}-{number}"
        named[name] = picture
    return named
