"""The mean colour that networks subtract from their input and add to their output."""

import torch
from torch import Tensor, nn

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, on the [0, 1] scale
RGB_RANGE = 255.0  # the networks' internal scale


class MeanShift(nn.Conv2d):
    """Subtracts (sign -1) or adds (sign 1) the mean colour, on the 0-255 scale.

    A frozen 1×1 convolution, as in the code of IPT's and of IGNN's authors, whose parameter counts include it.
    """

    def __init__(self, sign: int):
        super().__init__(3, 3, 1)
        self.requires_grad_(False)
        # named devices: a network on the meta device has only shapes
        self.weight.copy_(torch.eye(3, device="cpu").view(3, 3, 1, 1))
        self.get_parameter("bias").copy_(sign * RGB_RANGE * torch.tensor(RGB_MEAN, device="cpu"))

    def forward(self, input: Tensor) -> Tensor:
        """(B, 3, H, W) on the 0-255 scale -> the same."""
        # The meta device, which computes only shapes, has no autocast. Asking torch for that would break a compiled graph.
        if input.device.type == "meta":
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):  # bfloat16's step at 255 is a whole grey level
            return super().forward(input.to(self.weight.dtype))
