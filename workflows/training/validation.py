"""Loss and PSNR on fixed crops, of the training patches and of held-out images. They are never used for selection."""

import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from baselines.interpolation import Bicubic, Identity
from ipt_models.tasks import parse_task
from workflows.config.runs import Run
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs

CROPS = 128  # at least, of each kind
HELD_OUT_SEED = 2**31 - 1  # independent of the run, so that runs are measured on the same held-out crops


class Crops(NamedTuple):
    """A batch of crops: `x` (B, 3, p, p) degraded and `y` (B, 3, s·p, s·p) clean, in [0, 1]."""

    task: str
    x: Tensor
    y: Tensor


class Progress(NamedTuple):
    """Per crop: L1 on the 0-255 scale, and mean squared error over RGB on [0, 1]."""

    l1: np.ndarray
    mse: np.ndarray

    @property
    def psnr(self) -> float:
        """PSNR over RGB in dB, of the mean squared error over all crops."""
        return -10 * math.log10(self.mse.mean())


class FixedCrops:
    """Crops of some images, degraded and augmented the same way each time.

    Args:
        batches: the crops are its first batches of each task, at least `CROPS` crops and equally many of each task.
        patch_size: side p of the network's input in pixels.
        seed: of noise and rain.
        device: where the crops stay.
        micro_batch_size: number of crops that a network computes at a time.
    """

    def __init__(
        self, batches: Batches, patch_size: int, seed: int, device: torch.device, micro_batch_size: int
    ) -> None:
        schedule = batches.schedule
        count = math.ceil(max(4, math.ceil(CROPS / schedule.batch_size)) / len(schedule.tasks))
        self.batches: list[Crops] = []
        for task in schedule.tasks:
            steps = (step for step in itertools.count() if schedule.contents(step).task == task)
            for step in itertools.islice(steps, count):
                x, y = make_pairs(batches.load(step), patch_size, seed, device)
                self.batches += map(Crops, itertools.repeat(task), x.split(micro_batch_size), y.split(micro_batch_size))

    @torch.no_grad()
    def measure(self, model: nn.Module) -> Progress:
        """A network's progress. The network is in evaluation mode afterwards."""
        model.eval()
        l1, mse = [], []
        for task, x, y in self.batches:
            output = model(x, task).float().clamp(0, 1)
            l1 += (255 * (output - y).abs().mean((1, 2, 3))).tolist()
            mse += (output - y).square().mean((1, 2, 3)).tolist()
        return Progress(np.array(l1), np.array(mse))

    def measure_interpolation(self) -> Progress:
        """The progress of bicubic interpolation, or of the input itself for tasks of scale 1."""
        return self.measure(_Interpolation())


class _Interpolation(nn.Module):
    def forward(self, x: Tensor, task: str) -> Tensor:
        return (Identity if parse_task(task).scale == 1 else Bicubic)(task)(x)


class Learning:
    """A run's progress on patches that it trains on and on held-out ones, as columns of train.csv.

    The training patches are the first of the run's own: with `data.fixed_crops` patches that it sees repeatedly, else crops
    that it has seen once. The held-out crops are the same for all runs of equal tasks, batch_size and patch_size.

    Args:
        run: the run.
        images, held_out: tables of its training images and of the held-out ones.
        root: folder that their paths are relative to.
        device: where the crops stay.
    """

    def __init__(
        self, run: Run, images: pd.DataFrame, held_out: pd.DataFrame, root: Path, device: torch.device
    ) -> None:
        recipe = run.training
        rows = recipe.batch_size // recipe.processes  # what a process's memory holds in training
        size = min(recipe.micro_batch_size or rows, rows)
        own = Batches.of_run(run, images, root)
        sizes = (recipe.patch_size, recipe.batch_size)
        other = Batches(held_out, root, run.tasks, *sizes, HELD_OUT_SEED, cache_bytes=run.data.cache_mb * 2**20)
        self._training, self._held_out = (
            FixedCrops(batches, recipe.patch_size, seed, device, size)
            for batches, seed in ((own, run.seed), (other, HELD_OUT_SEED))
        )
        self._interpolated = [crops.measure_interpolation().l1 for crops in (self._training, self._held_out)]

    columns = ("training_l1", "training_psnr", "validation_l1", "validation_psnr", "gap")

    @property
    def interpolation_l1(self) -> dict[str, float]:
        """Interpolation's L1 on the crops of both kinds."""
        return {kind: l1.mean() for kind, l1 in zip(("training", "validation"), self._interpolated, strict=True)}

    def measure(self, model: nn.Module) -> dict[str, float]:
        """The columns of a row. The network is in evaluation mode afterwards."""
        training, held_out = self._training.measure(model), self._held_out.measure(model)
        gap = generalization_gap(training.l1, held_out.l1, *self._interpolated)
        values = (training.l1.mean(), training.psnr, held_out.l1.mean(), held_out.psnr, gap)
        return dict(zip(self.columns, map(float, values), strict=True))


def generalization_gap(
    training: np.ndarray, held_out: np.ndarray, training_interpolated: np.ndarray, held_out_interpolated: np.ndarray
) -> float:
    """Held-out minus training loss, for crops as hard as the training ones.

    A few images may be harder or easier than the held-out ones, and a network's loss is not a fixed multiple of
    interpolation's. So a line is fitted to held-out loss over interpolation's loss, crop by crop, and evaluated at the
    training crops.

    Args:
        training, held_out: the network's L1 on each crop.
        training_interpolated, held_out_interpolated: interpolation's L1 on each crop, which says how hard it is.
    """
    slope, level = np.polyfit(held_out_interpolated, held_out, 1)
    return (level + slope * training_interpolated).mean() - training.mean()
