"""The protocol as data: what is degraded, cropped, rounded and compared, per kind of task. Imports no torch.

Whoever changes a number here changes `VERSION` too: every row of every table states the version that made it.
"""

from dataclasses import dataclass, replace

from ipt_models.tasks import Task
from workflows.config.choices import Bicubic, Gray, Noise

VERSION = "v2"

# BT.601 luma of 8-bit RGB, not rounded: 16 + (weights · RGB) / 256, from 16 to 235. The IPT authors' coefficients.
LUMA_WEIGHTS = (65.738, 129.057, 25.064)
LUMA_DIVISOR = 256.0
LUMA_OFFSET = 16.0

# SSIM of Wang et al. (2004), as MATLAB's ssim_index and basicsr compute it: no padding, only whole windows.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
PEAK = 255.0


@dataclass(frozen=True)
class Protocol:
    """The choices on which papers differ; the defaults are the IPT authors'.

    Attributes:
        gray: gray files are read as RGB (`rgb`), or scored on their one channel without the 16-235 scaling (`matlab`).
        bicubic: LR images by MATLAB's rule for uint8 images, or by its rule for floats with one rounding at the end.
        noise: noisy inputs are clipped to [0, 255] (never rounded), or left as drawn.
    """

    gray: Gray = "rgb"
    bicubic: Bicubic = "uint8"
    noise: Noise = "clipped"

    def with_gray(self, gray: Gray | None) -> "Protocol":
        """A copy with another convention for gray files; None changes nothing."""
        return self if gray is None else replace(self, gray=gray)

    def label(self, task: Task) -> str:
        """The version and the choices that differ from the default, if they affect the task."""
        words = [VERSION]
        if self.gray != "rgb":
            words.append(f"gray={self.gray}")
        if task.kind == "sr" and self.bicubic != "uint8":
            words.append(f"bicubic={self.bicubic}")
        if task.kind == "dn" and self.noise != "clipped":
            words.append(f"noise={self.noise}")
        return " ".join(words)


def border(task: Task) -> int:
    """Pixels cut from each side of the output: the scale in super-resolution, else none."""
    return task.scale if task.kind == "sr" else 0


def cropped(height: int, width: int, task: Task) -> tuple[int, int]:
    """Size of the target after it is cut, at the right and the bottom, to a multiple of the scale."""
    return height // task.scale * task.scale, width // task.scale * task.scale
