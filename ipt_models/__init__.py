"""The Image Processing Transformer (IPT, CVPR 2021): network, contrastive loss, the authors' checkpoints, inference.

Names are imported when they are first used, so that listing variants or parsing a task's name loads no torch.
"""

import importlib
from typing import Any

_HOME = {
    "IPT": "network",
    "Task": "tasks",
    "VARIANTS": "variants",
    "build": "variants",
    "contrastive_loss": "contrastive",
    "load": "checkpoints",
    "load_official": "official",
    "parse_task": "tasks",
    "restore": "windows",
    "save": "checkpoints",
    "to_official": "official",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
