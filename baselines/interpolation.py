"""The untrained references: bicubic interpolation, and the input itself."""

from torch import Tensor

from baselines.bicubic import bicubic_resize
from baselines.single_task import SingleTask


class Bicubic(SingleTask):
    """MATLAB's bicubic on uint8: the row that every super-resolution table begins with.

    Raises:
        ValueError: for tasks of scale 1, which have nothing to interpolate.
    """

    def __init__(self, task: str) -> None:
        super().__init__()
        self.set_task(task)
        if self.scale == 1:
            raise ValueError(f"bicubic cannot restore {task}, whose scale is 1: the reference there is `identity`")
        self.receptive_field = 5  # four taps, to either side of a pixel

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1], rounded to uint8 first -> (B, 3, s*H, s*W) in [0, 1], multiples of 1/255."""
        self.check_task(task)
        pixels = (x * 255).round().clamp(0, 255).byte()
        return bicubic_resize(pixels, self.scale).to(x.dtype) / 255


class Identity(SingleTask):
    """The degraded image unchanged: what a denoiser or derainer starts from.

    Raises:
        ValueError: for super-resolution, where input and output differ in size.
    """

    def __init__(self, task: str) -> None:
        super().__init__()
        self.set_task(task)
        if self.scale != 1:
            raise ValueError(f"identity cannot restore {task}, whose scale is {self.scale}: the reference is `bicubic`")
        self.receptive_field = 1

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) -> the same."""
        self.check_task(task)
        return x
