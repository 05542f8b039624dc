"""The networks that IPT is compared with, behind one factory. Importing this package imports neither torch nor basicsr."""

import importlib
from typing import Any

_HOME = {
    "UNTRAINED": "variants",
    "VARIANTS": "variants",
    "bicubic_resize": "bicubic",
    "build": "factory",
    "load_official_rdn": "rdn",
    "restore": "whole_image",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
