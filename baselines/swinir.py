"""SwinIR (Liang et al., ICCV Workshops 2021): basicsr's network with this package's interface."""

import warnings

import baselines.basicsr_alias  # noqa: F401

# isort: split
import torch
import torch.nn.functional as F
from basicsr.archs.swinir_arch import SwinIR as BasicsrSwinIR
from torch import Tensor
from torch.overrides import TorchFunctionMode

from baselines.single_task import SingleTask
from ipt_models.arguments import check_choice, check_positive, check_whole
from ipt_models.tasks import parse_task

MOST_BLOCKS = 100


class _RatesOnCpu(TorchFunctionMode):
    """basicsr reads the drop-path rates while it builds the network, which fails on the meta device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}) | ({"device": "cpu"} if func is torch.linspace else {}))


class SwinIR(SingleTask, BasicsrSwinIR):
    """SwinIR with basicsr's parameter names, which are the authors'.

    Args:
        task: any task. With scale 1 it is the authors' network for denoising: no upsampler, the input added at the end.
        embed_dim: features of each token; one token per pixel.
        depths: attention layers in each residual block; every other one has shifted windows.
        num_heads: attention heads, the same in every block.
        window_size: side of the attention windows in pixels.
        mlp_ratio: hidden features of each MLP over `embed_dim`.
        upsampler: `pixelshuffle` (classical) or `pixelshuffledirect` (lightweight); unused with scale 1.
    """

    def __init__(
        self,
        task: str,
        embed_dim: int = 180,
        depths: tuple[int, ...] = (6, 6, 6, 6, 6, 6),
        num_heads: int = 6,
        window_size: int = 8,
        mlp_ratio: float = 2,
        upsampler: str = "pixelshuffle",
    ) -> None:
        check_whole(embed_dim=embed_dim, num_heads=num_heads)
        check_whole(at_least=2, window_size=window_size)
        check_positive(mlp_ratio=mlp_ratio)
        check_choice(("pixelshuffle", "pixelshuffledirect"), upsampler=upsampler)
        if not isinstance(depths, list | tuple) or not 1 <= len(depths) <= MOST_BLOCKS:
            raise ValueError(f"depths={depths!r}: expected the layers of each block, for example [6, 6, 6, 6]")
        for layers in depths:
            check_whole(depth=layers)
        if embed_dim % num_heads:
            raise ValueError(f"num_heads={num_heads}: expected a divisor of embed_dim={embed_dim}")
        scale = parse_task(task).scale
        with warnings.catch_warnings(), _RatesOnCpu():
            warnings.filterwarnings("ignore", message="torch.meshgrid")  # basicsr's, about a future release
            super().__init__(
                img_size=6 * window_size,  # 48: patches for which basicsr keeps the masks of shifted windows
                embed_dim=embed_dim,
                depths=depths,
                num_heads=[num_heads] * len(depths),
                window_size=window_size,
                mlp_ratio=mlp_ratio,
                upscale=scale,
                img_range=1.0,
                upsampler=upsampler if scale > 1 else "",
                resi_connection="1conv",
            )
        self.set_task(task)
        self.window_size = window_size
        self.tile_alignment = window_size
        # after the blocks: one convolution of the body, then the last one alone, with an upsampler, or with one before it
        last_convs = 2 if scale == 1 or upsampler == "pixelshuffledirect" else 4
        self.receptive_field = _receptive_field(depths, window_size, last_convs)

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, s*H, s*W), not clipped. Sides are mirrored up to whole windows."""
        self.check_task(task)
        height, width = x.shape[-2:]
        below, right = -height % self.window_size, -width % self.window_size
        padded = F.pad(x, (0, right, 0, below), mode="reflect") if below or right else x
        return super().forward(padded)[..., : height * self.scale, : width * self.scale]


def _receptive_field(depths: tuple[int, ...], window_size: int, last_convs: int) -> int:
    """Side of the input square that an output pixel can depend on: an interval that grows from the output backwards."""
    radius = 0
    for position in range(window_size):
        first, last = position - last_convs, position + last_convs
        for depth in reversed(depths):
            first, last = first - 1, last + 1  # the block's convolution
            for layer in reversed(range(depth)):
                offset = window_size // 2 if layer % 2 else 0
                first = (first - offset) // window_size * window_size + offset
                last = (last - offset) // window_size * window_size + offset + window_size - 1
        radius = max(radius, position - first + 1, last - position + 1)  # 1 for the first convolution
    return 2 * radius + 1
