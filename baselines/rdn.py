"""RDN, the residual dense network (Zhang et al., CVPR 2018), with the parameter names of the EDSR authors' checkpoints."""

import torch
from torch import Tensor, nn

from baselines.single_task import SingleTask

RGB_RANGE = 255.0  # the authors' checkpoints take 0-255 and subtract no mean


class DenseConv(nn.Module):
    """3×3 convolution and ReLU, whose result is appended to its input's channels."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(in_channels, growth, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.conv(x)), dim=1)


class ResidualDenseBlock(nn.Module):
    """`num_conv` dense convolutions, a 1×1 local fusion, and the block's input added (paper, section 3.2)."""

    def __init__(self, num_feat: int, growth: int, num_conv: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(DenseConv(num_feat + i * growth, growth) for i in range(num_conv)))
        self.LFF = nn.Conv2d(num_feat + num_conv * growth, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.LFF(self.convs(x)) + x


class RDN(SingleTask, nn.Module):
    """The residual dense network.

    Args:
        task: any task. With scale 1 (denoising, deraining) the upsampling network is its last convolution alone.
        num_feat: features between blocks (G0 in the paper).
        growth: features of each dense convolution (G).
        num_block: residual dense blocks (D).
        num_conv: dense convolutions a block (C).
    """

    def __init__(self, task: str, num_feat: int = 64, growth: int = 64, num_block: int = 16, num_conv: int = 8) -> None:
        super().__init__()
        self.set_task(task)
        self.SFENet1 = nn.Conv2d(3, num_feat, 3, padding=1)
        self.SFENet2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.RDBs = nn.ModuleList(ResidualDenseBlock(num_feat, growth, num_conv) for _ in range(num_block))
        self.GFF = nn.Sequential(
            nn.Conv2d(num_block * num_feat, num_feat, 1), nn.Conv2d(num_feat, num_feat, 3, padding=1)
        )
        self.UPNet = _upsampler(num_feat, growth, self.scale)
        # in input pixels: two shallow, the dense ones, the global fusion, the upsampler, and the last, at most 1
        self.receptive_field = 2 * (num_block * num_conv + (5 if self.scale > 1 else 4)) + 1

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, s*H, s*W), not clipped."""
        self.check_task(task)
        shallow = self.SFENet1(x * RGB_RANGE)
        features = self.SFENet2(shallow)
        outputs = []
        for block in self.RDBs:
            features = block(features)
            outputs.append(features)
        return self.UPNet(self.GFF(torch.cat(outputs, dim=1)) + shallow) / RGB_RANGE


def _upsampler(num_feat: int, growth: int, scale: int) -> nn.Sequential:
    """Sub-pixel convolutions (x4 in two steps of 2) and the last convolution."""
    steps = {1: [], 2: [2], 3: [3], 4: [2, 2]}[scale]
    layers: list[nn.Module] = []
    channels = num_feat
    for step in steps:
        layers += [nn.Conv2d(channels, growth * step**2, 3, padding=1), nn.PixelShuffle(step)]
        channels = growth
    return nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1))
