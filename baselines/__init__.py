"""The networks that IPT is compared with, behind one factory. Importing this package imports neither torch nor basicsr."""

from typing import TYPE_CHECKING, Any

from baselines.factory import build
from baselines.variants import UNTRAINED, VARIANTS

if TYPE_CHECKING:
    from baselines.bicubic import bicubic_resize

__all__ = ["UNTRAINED", "VARIANTS", "bicubic_resize", "build"]


def __getattr__(name: str) -> Any:
    if name == "bicubic_resize":
        from baselines.bicubic import bicubic_resize

        return bicubic_resize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
