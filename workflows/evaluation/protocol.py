"""The protocol as data: what is degraded, cropped, rounded and compared, a kind of task. Imports no torch.

Change a number here and `VERSION` with it: every row of every table says which version made it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ipt_models.tasks import Task, parse_task

VERSION = "v2"

# How IPT's windows may cover an image, see `ipt_models.windows`; the first is the protocol's.
WINDOWS = ("centre", "averaged", "side-by-side", "blended")

# BT.601 luma of 8-bit RGB, not rounded: 16 + (weights · RGB) / 256, from 16 to 235. The IPT authors' coefficients.
LUMA_WEIGHTS = (65.738, 129.057, 25.064)
LUMA_DIVISOR = 256.0
LUMA_OFFSET = 16.0

# SSIM of Wang et al. (2004), as MATLAB's ssim_index and basicsr compute it: no padding, only whole windows.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
PEAK = 255.0


class HeadError(ValueError):
    """A task that no trained task can stand in for."""


@dataclass(frozen=True)
class Rules:
    """How one kind of task is scored.

    Attributes:
        border: width cut from each side before comparing, in multiples of the scale.
        crop_to_scale: whether the target is first cut to a multiple of the scale (right and bottom).
        rounding: outputs are clipped to [0, 255] and rounded half up to this type before comparing.
        channels: what is compared; SSIM is always on y.
    """

    border: int
    crop_to_scale: bool
    rounding: Literal["uint8"]
    channels: tuple[Literal["y", "rgb"], ...]


RULES = {
    "sr": Rules(border=1, crop_to_scale=True, rounding="uint8", channels=("y",)),
    "dn": Rules(border=0, crop_to_scale=False, rounding="uint8", channels=("y", "rgb")),
    "dr": Rules(border=0, crop_to_scale=False, rounding="uint8", channels=("y",)),
}


@dataclass(frozen=True)
class Protocol:
    """The choices on which papers differ; the defaults are the IPT authors'.

    Attributes:
        gray: gray files are read as RGB (`rgb`), or scored on their one channel without the 16-235 scaling (`matlab`).
        bicubic: LR images by MATLAB's rule for uint8 images, or by one for floats that rounds once at the end.
        noise: noisy inputs are clipped to [0, 255] (never rounded), or left as drawn.
    """

    gray: Literal["rgb", "matlab"] = "rgb"
    bicubic: Literal["uint8", "float"] = "uint8"
    noise: Literal["clipped", "unclipped"] = "clipped"

    def with_gray(self, gray: Literal["rgb", "matlab"] | None) -> "Protocol":
        """The same with another convention for gray files; None changes nothing."""
        return self if gray is None else replace(self, gray=gray)

    def label(self, task: Task) -> str:
        """The version and the choices that differ from the default, as far as they bear on the task."""
        words = [VERSION]
        if self.gray != "rgb":
            words.append(f"gray={self.gray}")
        if task.kind == "sr" and self.bicubic != "uint8":
            words.append(f"bicubic={self.bicubic}")
        if task.kind == "dn" and self.noise != "clipped":
            words.append(f"noise={self.noise}")
        return " ".join(words)


def border(task: Task) -> int:
    """Pixels cut from each side of the output."""
    return RULES[task.kind].border * task.scale


def cropped(height: int, width: int, task: Task) -> tuple[int, int]:
    """Size of the target after it is cut to a multiple of the scale."""
    if not RULES[task.kind].crop_to_scale:
        return height, width
    return height // task.scale * task.scale, width // task.scale * task.scale


def reference_restores(reference: str, task: Task, noise: Literal["clipped", "unclipped"] = "clipped") -> bool:
    """Whether an untrained reference is scored on a task: `bicubic` on sr, `identity` (the input itself) on dn and dr.

    Unclipped noise leaves the range of an 8-bit image, so that the input cannot be scored as an output.
    """
    if reference == "bicubic":
        return task.kind == "sr"
    return task.kind == "dr" or (task.kind == "dn" and noise == "clipped")


def can_restore(trained: Iterable[str], task: Task) -> bool:
    """Whether a network of these trained tasks has a head that fits a task."""
    return any(parse_task(name).fits(task) for name in trained)


def nearest_head(task: Task, trained: Sequence[str], label: str = "the model") -> str:
    """The trained task whose head restores a task: itself, or else that of its kind with the nearest noise level.

    Between two equally near levels the stronger one is taken, which leaves no noise behind. Scales have no
    neighbours: a head for another scale gives an image of another size.

    Raises:
        HeadError: no head of that kind or scale.
    """
    heads = [parse_task(name) for name in trained]
    fitting = [head for head in heads if head.fits(task)]
    if not fitting:
        raise HeadError(f"{label} was trained on {', '.join(trained)} and has no head for {task.name}")
    return min(fitting, key=lambda head: (abs(head.sigma - task.sigma), -head.sigma)).name
