"""SRCNN (Dong et al., ECCV 2014) as an example of a network of your own.

    models: [{name: srcnn, variant: examples/srcnn.py:SRCNN, kwargs: {num_feat: 32}}]

The class is called with the task's scale where it has a parameter `scale` or `upscale`, takes RGB in [0, 1], (B, 3, H, W),
and returns (B, 3, scale*H, scale*W).
"""

import torch.nn.functional as F
from torch import Tensor, nn


class SRCNN(nn.Module):
    """Three convolutions after a bicubic enlargement, whose result they correct."""

    def __init__(self, scale: int, num_feat: int = 64):
        super().__init__()
        self.scale = scale
        self.conv1 = nn.Conv2d(3, num_feat, 9, padding=4)
        self.conv2 = nn.Conv2d(num_feat, num_feat // 2, 1)
        self.conv3 = nn.Conv2d(num_feat // 2, 3, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=self.scale, mode="bicubic")
        return x + self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
