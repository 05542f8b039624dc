"""RDN, the residual dense network (Zhang et al., CVPR 2018), with the parameter names of the EDSR authors' checkpoints."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.bicubic import without_autocast
from baselines.single_task import SingleTask
from ipt_models.arguments import check_flags, check_whole
from ipt_models.mean_shift import RGB_MEAN, RGB_RANGE
from ipt_models.tensors import check_fit, read_tensors, unwrap


class DenseConv(nn.Module):
    """3×3 convolution and ReLU of all the features before it."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(in_channels, growth, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ResidualDenseBlock(nn.Module):
    """`num_conv` dense convolutions, a 1×1 local fusion, and the block's input added (paper, section 3.2)."""

    def __init__(self, num_feat: int, growth: int, num_conv: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(DenseConv(num_feat + i * growth, growth) for i in range(num_conv))
        self.LFF = nn.Conv2d(num_feat + num_conv * growth, num_feat, 1)

    def forward(self, x: Tensor, join_again: bool = False) -> Tensor:
        """(B, num_feat, H, W) -> the same; with `join_again` autograd keeps parts, as in `keeping_parts`."""
        parts, joined = [x], x
        for dense in self.convs:
            new = keeping_parts(dense, joined, parts) if join_again else dense(joined)
            joined = torch.cat((joined, new), dim=1)
            if join_again:
                parts.append(new)
        return (keeping_parts(self.LFF, joined, parts) if join_again else self.LFF(joined)) + x


def keeping_parts(layer: nn.Module, joined: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """The layer's result for `joined`, the concatenation of `parts`; autograd keeps only the parts.

    In a dense block the layers' inputs repeat the same features, which autograd already keeps as outputs of earlier layers. The
    backward pass concatenates them again; no layer is computed twice, and no bit changes.
    """
    kept = tuple(part.detach() for part in parts)
    place, shape = joined.data_ptr(), joined.shape  # autograd keeps the hooks, which must not keep `joined`

    def pack(tensor: Tensor) -> Tensor | tuple[Tensor, ...]:
        return kept if (tensor.data_ptr(), tensor.shape) == (place, shape) else tensor

    def unpack(packed: Tensor | tuple[Tensor, ...]) -> Tensor:
        return torch.cat(packed, dim=1) if isinstance(packed, tuple) else packed

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return layer(joined)


class RDN(SingleTask):
    """The residual dense network.

    Args:
        task: any task. With scale 1 (denoising, deraining) the upsampling network is its last convolution alone.
        num_feat: features between blocks (G0 in the paper).
        growth: features of each dense convolution (G).
        num_block: residual dense blocks (D).
        num_conv: dense convolutions per block (C).
        gradient_checkpointing: repeat the dense blocks' concatenations in the backward pass instead of keeping them; no
            convolution is computed twice. An attribute that may be changed at any time.
        subtract_mean: subtract the mean colour from the input and add it to the output, as the other networks do. False
            for the EDSR authors' checkpoints, which were trained on 0-255 without it. Training without the mean shift starts from
            twice the loss and three times the gradient, and loses about 0.8 dB on Set5 in short runs.
    """

    mean: Tensor

    def __init__(
        self,
        task: str,
        num_feat: int = 64,
        growth: int = 64,
        num_block: int = 16,
        num_conv: int = 8,
        gradient_checkpointing: bool = False,
        subtract_mean: bool = True,
    ) -> None:
        super().__init__()
        check_whole(num_feat=num_feat, growth=growth, num_block=num_block, num_conv=num_conv)
        check_flags(gradient_checkpointing=gradient_checkpointing, subtract_mean=subtract_mean)
        self.set_task(task)
        mean = RGB_RANGE * np.array(RGB_MEAN if subtract_mean else (0.0,) * 3, np.float32)
        self.register_buffer("mean", torch.tensor(mean.reshape(3, 1, 1)), persistent=False)
        self.gradient_checkpointing = gradient_checkpointing
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
        shallow = self.SFENet1(x * RGB_RANGE - self.mean)
        features = self.SFENet2(shallow)
        outputs = []
        join_again = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self.RDBs:
            features = block(features, join_again)
            outputs.append(features)
        joined, fusion = torch.cat(outputs, dim=1), self.GFF[0]
        fused = keeping_parts(fusion, joined, outputs) if join_again else fusion(joined)
        features = self.UPNet[:-1](self.GFF[1](fused) + shallow)
        with without_autocast(x.device.type):  # bfloat16's step at 255 is a whole grey level
            return (self.UPNet[-1](features.to(x.dtype)) + self.mean) / RGB_RANGE


def _upsampler(num_feat: int, growth: int, scale: int) -> nn.Sequential:
    """Sub-pixel convolutions (x4 in two steps of 2) and the last convolution."""
    steps = {1: [], 2: [2], 3: [3], 4: [2, 2]}[scale]
    layers: list[nn.Module] = []
    channels = num_feat
    for step in steps:
        layers += [nn.Conv2d(channels, growth * step**2, 3, padding=1), nn.PixelShuffle(step)]
        channels = growth
    return nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1))


def load_official_rdn(state_dict: str | PathLike[str] | Mapping[str, Tensor]) -> RDN:
    """Make an RDN from a checkpoint with the names of the EDSR authors' PyTorch code; its sizes follow from the shapes.

    Loading runs no code from the file: only tensors are read. The network's input and output are in [0, 1], like all others here;
    it converts to the checkpoint's 0-255 inside, and subtracts no mean.

    Args:
        state_dict: a file that `torch.load` reads, or a state dict.

    Returns:
        RDN for `sr2`, `sr3` or `sr4`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: for a file that holds more than tensors, or naming the first keys that are missing, unknown or misshapen.
    """
    state = unwrap(state_dict) if isinstance(state_dict, Mapping) else read_tensors(state_dict)
    task, sizes = _official_sizes(state)
    model = RDN(task, **sizes, subtract_mean=False)
    check_fit(state, model.state_dict(), "incomplete RDN checkpoint")
    model.load_state_dict(state)
    model.config = {**sizes, "subtract_mean": False}
    return model


def _official_sizes(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]]:
    """The task and the arguments of `RDN` that names and shapes tell."""
    try:
        num_feat = len(state["SFENet1.weight"])
        growth = len(state["RDBs.0.convs.0.conv.0.weight"])
        upsampler = len(state["UPNet.0.weight"])
    except KeyError as error:
        raise ValueError(f"not an RDN checkpoint of the EDSR authors' code: it has no {error}") from None
    scale = 4 if "UPNet.4.weight" in state else {4 * growth: 2, 9 * growth: 3}.get(upsampler)
    if scale is None:
        raise ValueError(f"not an RDN for x2, x3 or x4: growth {growth}, but {upsampler} features before the shuffle")
    return f"sr{scale}", {
        "num_feat": num_feat,
        "growth": growth,
        "num_block": sum(key.endswith(".LFF.weight") for key in state),
        "num_conv": sum(key.startswith("RDBs.0.convs.") and key.endswith(".weight") for key in state),
    }
