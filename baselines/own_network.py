"""A user's network with this package's interface."""

import copy
import warnings
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from baselines.own import complete, load_class
from baselines.single_task import SingleTask

PATCH = 48
STRIP = (64, 5 * 64 + 13)  # height and width of the image on which a receptive field is measured
ROUNDING = 1e-4  # of the largest value; more is another result
ANY_SIZE = "; scored images have any height and width: pad them inside forward, and cut the output"


class OwnNetwork(SingleTask):
    """A user's class, built for one task.

    Args:
        task: any task.
        variant: `path/to/net.py:Class` or `package.module:Class`.
        **arguments: of the class; the task's scale is added where it has a parameter for it.

    Raises:
        ValueError: in one message, if the class cannot be built.
    """

    tile_alignment = 64  # for networks that halve their input up to six times, or have windows of 8, 16, 32 or 64

    def __init__(self, task: str, variant: str, /, **arguments: Any) -> None:
        super().__init__()
        self.set_task(task)
        self.variant = variant
        network_class = load_class(variant)
        called_with = complete(network_class, variant, self.scale, arguments)
        try:
            self.network = network_class(**called_with)
        except Exception as error:  # whatever a user's class raises
            raise ValueError(
                f"{variant!r} cannot be built with {called_with}: {type(error).__name__}: {error}"
            ) from None

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, s*H, s*W).

        Raises:
            ValueError: where the network returns anything else.
        """
        self.check_task(task)
        y = self.network(x)
        expected = (*x.shape[:2], self.scale * x.shape[2], self.scale * x.shape[3])
        if not isinstance(y, Tensor) or y.shape != expected:
            returned = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(
                f"{self.variant!r} returns {returned} for an input of {tuple(x.shape)}; {self.tasks[0]} needs {expected}"
            )
        return y

    @cached_property
    def receptive_field(self) -> int | None:
        """Side of the square of input pixels that an output pixel can depend on; None where that is the whole image, where it
        cannot be measured, or where tiles at multiples of `tile_alignment` would change the result.

        Measured on a copy on the CPU, so that it is the same on every device, and from the edge of a block of `tile_alignment`
        pixels, as tiles need it: in a network with windows or halvings, pixels inside the block may see further.
        """
        try:
            model = copy.deepcopy(self).cpu().float().eval()
            with torch.no_grad(), torch.autocast("cpu", enabled=False), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="TF32 acceleration")
                rows = _radius(model, turned=False)
                columns = None if rows is None else _radius(model, turned=True)
        except Exception:  # the strip may be too small for a network, or its sides not a multiple of something
            return None
        return None if rows is None or columns is None else 2 * max(rows, columns) + 1


def _radius(model: OwnNetwork, turned: bool) -> int | None:
    """How far output pixels depend on input pixels along the rows, or along the columns if `turned`.

    A block of a long strip becomes NaN, and so does every output pixel that depends on it. Then a tile of the strip must give
    what the whole strip gives: it does not where windows or a position encoding have another grid than the tiles.
    """
    block, scale, width = model.tile_alignment, model.scale, STRIP[1]

    def run(x: Tensor) -> Tensor:
        return model(x.mT.contiguous()).mT if turned else model(x)

    x = torch.rand(1, 3, *STRIP, generator=torch.Generator().manual_seed(0))
    marked = x.clone()
    marked[..., 2 * block : 3 * block] = torch.nan
    # oneDNN's fast convolutions mix neighbouring pixels, which would spread NaN further than the network does
    with torch.backends.mkldnn.flags(enabled=False):
        columns = run(marked).isnan().flatten(0, 2).any(dim=0).nonzero().flatten() // scale
    if not len(columns) or columns[0] == 0 or columns[-1] == width - 1:
        return None
    radius = max(0, 2 * block - int(columns[0]), int(columns[-1]) - (3 * block - 1))
    whole = run(x)[..., (block + radius) * scale : (5 * block - radius) * scale]
    tile = run(x[..., block : 5 * block].contiguous())[..., radius * scale : (4 * block - radius) * scale]
    return radius if (whole - tile).abs().max() <= ROUNDING * whole.abs().max() else None


def check(task: str, variant: str, patch_size: int = PATCH, /, **arguments: Any) -> None:
    """Build a network and run it as training and scoring do: on patches, and on an image with odd sides.

    It is built as shapes without values if it can be.

    Raises:
        ValueError: in one message, if a training with it or its scoring would fail.
    """
    try:
        with torch.device("meta"):
            _check_sizes(OwnNetwork(task, variant, **arguments), patch_size)
    except Exception:  # building or running it may need values
        _check_sizes(OwnNetwork(task, variant, **arguments), patch_size)


@torch.no_grad()
def _check_sizes(model: OwnNetwork, patch_size: int) -> None:
    side = max(patch_size, PATCH)
    sizes = {(2, 3, patch_size, patch_size): "", (1, 3, (side + 5) | 1, (side + 11) | 1): ANY_SIZE}
    for size, advice in sizes.items():
        try:
            model.train(not advice)(torch.zeros(size))
        except Exception as error:  # whatever a user's class raises
            reason = str(error)
            if not reason.startswith(repr(model.variant)):
                reason = f"{model.variant!r} fails on an input of {size}: {type(error).__name__}: {reason}"
            raise ValueError(reason + advice) from None
