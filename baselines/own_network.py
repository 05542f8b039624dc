"""A user's network with this package's interface."""

import warnings
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from baselines.own import complete, load_class
from baselines.single_task import SingleTask

STRIP = (24, 256)  # height and width of the image on which a receptive field is measured
PATCH = 48


class OwnNetwork(SingleTask):
    """A user's class, built for one task.

    Args:
        task: any task.
        variant: `path/to/net.py:Class` or `package.module:Class`.
        **arguments: of the class; the task's scale is added where it has a parameter for it.

    Raises:
        ValueError: in one message, if the class cannot be built.
    """

    tile_alignment = 64  # for networks that halve their input up to six times, or have windows of such sides

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
        """Side of the square of input pixels that an output pixel can depend on; None where that is the whole image.

        Measured: one pixel of a long strip becomes NaN, and so does every output pixel that depends on it.
        """
        height, width = STRIP
        parameter = next(self.network.parameters(), torch.empty(0))
        x = torch.full((1, 3, height, width), 0.5, device=parameter.device, dtype=parameter.dtype)
        x[..., height // 2, width // 2] = torch.nan
        training = self.training
        # oneDNN's fast convolutions mix neighbouring pixels, which would spread NaN further than the network does
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="TF32 acceleration")
            with torch.backends.mkldnn.flags(enabled=False):
                y = self.eval()(x)
        self.train(training)
        columns = y.isnan().flatten(0, 2).any(dim=0).nonzero().flatten() // self.scale
        if not len(columns) or columns[0] == 0 or columns[-1] == width - 1:
            return None
        return 2 * int(max(width // 2 - columns[0], columns[-1] - width // 2)) + 1


def check(task: str, variant: str, **arguments: Any) -> None:
    """Build a network as a shape and run it once, on a patch of 48×48.

    Raises:
        ValueError: in one message, if a training with it would fail.
    """
    try:
        with torch.device("meta"), torch.no_grad():
            OwnNetwork(task, variant, **arguments)(torch.empty(1, 3, PATCH, PATCH))
        return
    except ValueError:
        raise
    except Exception:  # building or running it may need values
        model = OwnNetwork(task, variant, **arguments)
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, PATCH, PATCH))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{variant!r} fails on an input of (1, 3, {PATCH}, {PATCH}): {type(error).__name__}: {error}"
        ) from None
