"""IPT's sizes and its kinds of windows by name. Importing this module loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from ipt_models.arguments import check_names
from ipt_models.suggestions import nearest

if TYPE_CHECKING:
    from ipt_models.network import IPT

# How windows cover an image, see `ipt_models.windows`.
Windows = Literal["centre", "averaged", "side-by-side", "blended"]
WINDOWS: tuple[Windows, ...] = get_args(Windows)

VARIANTS: dict[str, dict[str, Any]] = {
    # For a demo on two CPU cores: it beats bicubic after a minute or two of training.
    "ipt_tiny": {"num_feat": 8, "patch_dim": 3, "patch_size": 24, "num_heads": 6, "depth": 2},
    # For a study of hours on a CPU or minutes on a GPU.
    "ipt_small": {"num_feat": 16, "patch_dim": 3, "patch_size": 48, "num_heads": 6, "depth": 6},
    # The paper's: 115,460,443 parameters with x2 alone.
    "ipt_base": {"num_feat": 64, "patch_dim": 3, "patch_size": 48, "num_heads": 12, "depth": 12},
}

# The arguments of `build` besides the tasks: configs are checked against them before torch is loaded.
ARGUMENTS = (
    "num_feat",
    "patch_dim",
    "patch_size",
    "num_heads",
    "depth",
    "position",
    "norm",
    "mlp",
    "gradient_checkpointing",
)


def build(variant: str, tasks: Sequence[str], **overrides: Any) -> IPT:
    """Make a freshly initialised IPT.

    Args:
        variant: a key of `VARIANTS`.
        tasks: names of the tasks, each with its own head and tail.
        **overrides: any other argument of `IPT`, which replaces the variant's.

    Raises:
        ValueError: for an unknown variant, or an argument that IPT refuses.
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"unknown IPT variant {variant!r}{nearest(variant, VARIANTS)}; expected one of {', '.join(VARIANTS)}"
        )
    check_names(ARGUMENTS, [*overrides], repr(variant))
    from ipt_models.network import IPT

    return IPT(tasks=tasks, **(VARIANTS[variant] | overrides))
