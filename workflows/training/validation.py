"""How far a network is on crops that stay the same: of held-out images, and of the images that it trains on.

Both are measured alike, and interpolation (the input itself where the scale is 1) on both as well: a few images can be easier
than others, and what interpolation loses on them says by how much. Nothing is chosen by these numbers.
"""

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from baselines.interpolation import Bicubic, Identity
from ipt_models.tasks import parse_task
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs
from workflows.training.objective import l1_loss

BATCHES = 4
SEED = 2**31 - 1  # run seeds' batches are other streams


class Crops(NamedTuple):
    """A fixed batch: `x` (B, 3, p, p) degraded and `y` (B, 3, s·p, s·p) clean, in [0, 1]."""

    task: str
    x: Tensor
    y: Tensor


class Progress(NamedTuple):
    """Mean L1 on the 0-255 scale, and PSNR over RGB in dB."""

    l1: float
    psnr: float


class Validation:
    """Fixed crops of some images, degraded the same way whichever run asks.

    Args:
        images: table of the images.
        root: folder that its paths are relative to.
        tasks: each batch has one of them, in an order that is the same for all runs.
        patch_size: side p of the network's input in pixels.
        batch_size: crops a batch.
        cache_bytes: memory for decoded images while the crops are cut.
        device: where the crops stay.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        root: Path,
        tasks: tuple[str, ...],
        patch_size: int,
        batch_size: int,
        cache_bytes: int,
        device: torch.device,
    ) -> None:
        batches = Batches(images, root, tasks, patch_size, batch_size, SEED, cache_bytes=cache_bytes)
        self.crops = [
            Crops(batch.task, *make_pairs(batch, patch_size, SEED, device))
            for batch in map(batches.load, range(BATCHES))
        ]

    @torch.no_grad()
    def measure(self, model: nn.Module) -> Progress:
        """A network's progress; it is left in evaluation mode."""
        model.eval()
        l1, mse = [], []
        for task, x, y in self.crops:
            output = model(x, task).float().clamp(0, 1)
            l1.append(l1_loss(output, y).item())
            mse.append((output - y).square().mean().item())
        return Progress(sum(l1) / len(l1), -10 * math.log10(sum(mse) / len(mse)))

    def measure_interpolation(self) -> Progress:
        """What bicubic interpolation reaches, or the input itself for tasks of scale 1."""
        return self.measure(_Interpolation())


class _Interpolation(nn.Module):
    def forward(self, x: Tensor, task: str) -> Tensor:
        return (Identity if parse_task(task).scale == 1 else Bicubic)(task)(x)
