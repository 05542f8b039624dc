"""IGNN, the cross-scale internal graph network (Zhou et al., NeurIPS 2020), in plain torch.

An EDSR with a graph module in its middle. The graph finds, for each patch of the low-resolution image, the most similar
patches in a reduced copy of the image. Each match exists in the image itself too, `scale` times as large; its features there are
an example of what the patch looks like at high resolution.
"""

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.bicubic import bicubic_resize, without_autocast
from baselines.patch_graph import (
    PATCH,
    STRIDE,
    NeighborFeatures,
    average_patches,
    edge_differences,
    extract_patches,
    find_neighbors,
)
from baselines.single_task import SingleTask
from baselines.vgg_weights import VGG_FILE, vgg_file
from ipt_models.arguments import check_choice, check_positive, check_whole
from ipt_models.mean_shift import RGB_RANGE, MeanShift
from ipt_models.tensors import read_tensors

VGG_CHANNELS = 64
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FROM_CHECKPOINT = "from_checkpoint"


class ResBlock(nn.Module):
    """Convolution, ReLU, convolution, scaled, plus the input."""

    def __init__(self, num_feat: int, kernel_size: int, res_scale: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, kernel_size, padding=kernel_size // 2)
        self.conv2 = nn.Conv2d(num_feat, num_feat, kernel_size, padding=kernel_size // 2)
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.res_scale * self.conv2(F.relu(self.conv1(x)))


class VGGFeatures(nn.Module):
    """VGG19's first two convolutions with their ReLUs: 64 channels at full resolution, frozen.

    The weights are buffers: they are saved in a model's file, which is thus complete, but are not parameters of the network.

    Args:
        weights: a file with torchvision's VGG19, `from_checkpoint` when they come with `load_state_dict` later, or None
            for the file in torchvision's cache.

    Raises:
        FileNotFoundError: if the file is missing; the weights are never random.
    """

    mean: Tensor
    std: Tensor
    weight0: Tensor
    weight2: Tensor
    bias0: Tensor
    bias2: Tensor

    def __init__(self, weights: str | Path | None) -> None:
        super().__init__()
        self.loaded = False
        for name, channels in (("0", 3), ("2", VGG_CHANNELS)):
            self.register_buffer(f"weight{name}", torch.zeros(VGG_CHANNELS, channels, 3, 3))
            self.register_buffer(f"bias{name}", torch.zeros(VGG_CHANNELS))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.register_load_state_dict_post_hook(_mark_loaded)
        if weights != FROM_CHECKPOINT:
            path = vgg_file(weights)
            if not path.is_file():
                raise FileNotFoundError(
                    f"IGNN builds its graph from VGG19 features, and there are no VGG19 weights at {path}: put "
                    f"torchvision's {VGG_FILE} there or give its path as `vgg_weights`, or choose features that IGNN "
                    "learns itself with `graph_features: encoder`"
                )
            state = read_tensors(path)
            names = {f"{kind}{layer}": f"features.{layer}.{kind}" for layer in "02" for kind in ("weight", "bias")}
            if missing := [theirs for theirs in names.values() if theirs not in state]:
                raise ValueError(f"{path} is not torchvision's VGG19: it has no {', '.join(missing)}")
            self.load_state_dict({ours: state[theirs] for ours, theirs in names.items()})

    def forward(self, x: Tensor) -> Tensor:
        """RGB in [0, 1], (B, 3, H, W) -> (B, 64, H, W)."""
        if not self.loaded and x.device.type != "meta":  # counting operations needs shapes alone
            raise RuntimeError("IGNN was built with `vgg_weights: from_checkpoint` and no checkpoint has been loaded")
        x = (x - self.mean) / self.std
        x = F.relu(F.conv2d(x, self.weight0, self.bias0, padding=1))
        return F.relu(F.conv2d(x, self.weight2, self.bias2, padding=1))


def _mark_loaded(module: VGGFeatures, keys: Any) -> None:
    module.loaded |= not any(key.endswith(("weight0", "bias0", "weight2", "bias2")) for key in keys.missing_keys)


class GraphAggregation(nn.Module):
    """Neighbours' features at high and at low resolution, each a sum weighted by the edges (section 3.3).

    Args:
        num_feat: channels of the features.
        edge_channels: channels of the differences from which the weights are computed, and of the networks that compute them.
    """

    def __init__(self, num_feat: int, edge_channels: int, scale: int, res_scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.downsample = nn.Sequential(
            nn.Conv2d(num_feat, num_feat, 5, stride=scale, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat, num_feat, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat, num_feat, 3, padding=1),
        )
        self.weights_lr, self.weights_hr = (
            nn.Sequential(
                nn.Conv2d(edge_channels, edge_channels, 1),
                ResBlock(edge_channels, 1, res_scale),
                nn.Conv2d(edge_channels, 1, 1),
            )
            for _ in range(2)
        )

    def forward(self, features: Tensor, neighbors: Tensor, differences: Tensor) -> tuple[Tensor, Tensor]:
        """Aggregate over the K neighbours, one at a time.

        Args:
            features: (B, C, H, W).
            neighbors: (B, query_rows, query_columns, K), from `find_neighbors`.
            differences: (B, K, edge_channels, query_rows, query_columns), from `edge_differences`.

        Returns:
            (B, C, H, W) and (B, C, H * scale, W * scale).
        """
        # The differences are constant over each low-resolution pixel, so the 1×1 networks can run at low resolution: enlarging
        # their result equals running them at high resolution, and pooling changes nothing.
        maps = [
            average_patches(values, (features.shape[-2], features.shape[-1])) for values in differences.unbind(dim=1)
        ]
        weights_lr = torch.stack([self.weights_lr(values) for values in maps]).softmax(dim=0)
        weights_hr = torch.stack([self.weights_hr(values) for values in maps]).softmax(dim=0)

        neighbor_features = NeighborFeatures(features, neighbors, self.scale)
        sum_lr = sum_hr = torch.zeros((), device=features.device)
        for k in range(neighbors.shape[-1]):
            neighbor = neighbor_features[k]
            sum_lr = sum_lr + weights_lr[k] * self.downsample(neighbor)
            sum_hr = sum_hr + F.interpolate(weights_hr[k], scale_factor=self.scale, mode="nearest") * neighbor
        return sum_lr, sum_hr


class IGNN(SingleTask):
    """The internal graph neural network.

    Args:
        task: super-resolution only: at scale 1 the coarser image would be the image itself, and each patch its own
            nearest neighbour. x4 builds its graph at scale 2, as the authors do.
        num_feat: features of each convolution.
        num_block: residual blocks, half of them before the graph.
        res_scale: factor of each block's residual.
        num_neighbors: k, edges of each patch.
        window: side of the search window, in patches of the reduced image.
        graph_features: `vgg`, as in the paper, or `encoder`: the features of the network's own first convolution, which
            training changes. It must be chosen explicitly, because it differs from the paper's method.
        vgg_weights: see `VGGFeatures`; with `graph_features="vgg"` only.

    Raises:
        ValueError: for tasks of scale 1.
        FileNotFoundError: if VGG19's weights are needed and missing.
    """

    def __init__(
        self,
        task: str,
        num_feat: int = 256,
        num_block: int = 32,
        res_scale: float = 0.1,
        num_neighbors: int = 5,
        window: int = 30,
        graph_features: Literal["vgg", "encoder"] = "vgg",
        vgg_weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        check_whole(num_feat=num_feat, num_block=num_block, num_neighbors=num_neighbors, window=window)
        check_positive(res_scale=res_scale)
        check_choice(("vgg", "encoder"), graph_features=graph_features)
        self.set_task(task)
        if self.scale == 1:
            raise ValueError(f"ignn cannot restore {task}: its graph joins two scales of an image, and {task} has one")
        self.graph_scale = 3 if self.scale == 3 else 2
        self.num_neighbors = num_neighbors
        self.window = window
        self.vgg = VGGFeatures(vgg_weights) if graph_features == "vgg" else None
        # learned features are summed in groups, at most as many as VGG has channels
        self.edge_channels = max(n for n in range(1, VGG_CHANNELS + 1) if self.vgg or num_feat % n == 0)

        self.sub_mean = MeanShift(-1)
        self.add_mean = MeanShift(1)
        self.head = nn.Conv2d(3, num_feat, 3, padding=1)
        before = num_block // 2
        self.body1 = nn.Sequential(*(ResBlock(num_feat, 3, res_scale) for _ in range(before)))
        self.graph = GraphAggregation(num_feat, self.edge_channels, self.graph_scale, res_scale)
        self.fuse_lr = _fusion(num_feat)
        self.body2 = nn.Sequential(
            *(ResBlock(num_feat, 3, res_scale) for _ in range(num_block - before)),
            nn.Conv2d(num_feat, num_feat, 3, padding=1),
        )
        self.upsample = _upsampler(num_feat, self.graph_scale)
        self.fuse_hr = _fusion(num_feat)
        tail = [_upsampler(num_feat, 2)] if self.scale == 4 else []
        self.tail = nn.Sequential(*tail, nn.Conv2d(num_feat, 3, 3, padding=1))

        # Patches and windows lie on grids that begin at the image's corner.
        self.tile_alignment = STRIDE * self.graph_scale
        # In input pixels, to either side: the head, the blocks, the convolutions of fusion and aggregation, and those after;
        # between them the search window in the reduced image, widened by the reach of bicubic and VGG.
        convolutions = 1 + 2 * num_block + 1 + 2 + 4 + 4
        self.receptive_field = 2 * (convolutions + self.graph_scale * (STRIDE * window + PATCH + 4) + 2 * PATCH) + 1

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1], sides of at least 3 patches' pixels at the coarser scale -> (B, 3, s*H, s*W)."""
        self.check_task(task)
        smallest = PATCH * self.graph_scale
        if min(x.shape[-2:]) < smallest:
            raise ValueError(f"ignn needs sides of at least {smallest} pixels at {self.tasks[0]}, got {x.shape[-2:]}")
        neighbors, differences = self.build_graph(x)
        shallow = self.head(self.sub_mean(x * RGB_RANGE))
        features = self.body1(shallow)
        sum_lr, sum_hr = self.graph(features, neighbors, differences)
        features = self.fuse_lr(torch.cat((features, sum_lr), dim=1))
        features = self.upsample(self.body2(features) + shallow)
        features = self.fuse_hr(torch.cat((features, sum_hr), dim=1))
        return self.add_mean(self.tail(features)) / RGB_RANGE

    def build_graph(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours and differences of the image's patches; see `find_neighbors` and `edge_differences`.

        The search itself has no gradient; the differences have one where the features are learned.
        """
        height, width = (length // self.graph_scale * self.graph_scale for length in x.shape[-2:])
        reduced = bicubic_resize(x[..., :height, :width], 1 / self.graph_scale)
        with without_autocast(x.device.type):  # distances of similar patches cancel in reduced precision
            queries = extract_patches(self._graph_features(x))
            keys = extract_patches(self._graph_features(reduced))
            with torch.no_grad():
                neighbors = find_neighbors(queries, keys, self.graph_scale, self.num_neighbors, self.window)
            return neighbors, edge_differences(queries, keys, neighbors, self.edge_channels)

    def _graph_features(self, x: Tensor) -> Tensor:
        if self.vgg:
            return self.vgg(x)
        return (
            self.head(self.sub_mean(x * RGB_RANGE)) / RGB_RANGE
        )  # scaled to VGG's magnitude, so that no edge takes all the weight


def _fusion(num_feat: int) -> nn.Sequential:
    """Merge two concatenated feature maps into one."""
    return nn.Sequential(
        nn.Conv2d(2 * num_feat, num_feat, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(num_feat, num_feat, 3, padding=1),
    )


def _upsampler(num_feat: int, scale: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(num_feat, num_feat * scale**2, 3, padding=1), nn.PixelShuffle(scale))
