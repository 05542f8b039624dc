"""Progress on fixed crops: the same for every run, and comparable between few and many images."""

import pandas as pd
import pytest
import torch
from torch import nn

from workflows.data.degradations import bicubic_resize
from workflows.training.validation import Validation

OPTIONS = {"patch_size": 6, "batch_size": 4, "cache_bytes": 1 << 20, "device": torch.device("cpu")}


def crops(images, tasks=("sr2",), table="validation"):
    return Validation(pd.read_csv(getattr(images, table)), images.root, tasks, **OPTIONS)


class Off(nn.Module):
    """The clean crop, off by two grey levels."""

    def __init__(self, truth):
        super().__init__()
        self.truth = {id(batch.x): batch.y for batch in truth}

    def forward(self, x, task):
        y = self.truth[id(x)]
        return torch.where(y < 0.5, y + 2 / 255, y - 2 / 255)


def test_l1_is_on_the_0_255_scale_and_psnr_in_decibels(images):
    validation = crops(images)
    progress = validation.measure(Off(validation.crops))
    assert progress.l1 == pytest.approx(2, rel=1e-4)
    assert progress.psnr == pytest.approx(20 * torch.log10(torch.tensor(255 / 2)).item(), rel=1e-4)


def test_crops_are_the_same_each_time(images):
    for first, second in zip(crops(images).crops, crops(images).crops, strict=True):
        assert torch.equal(first.x, second.x)
        assert torch.equal(first.y, second.y)


def test_interpolation_is_bicubic_for_super_resolution_and_the_input_otherwise(images):
    for task in ("sr2", "dn30"):
        validation = crops(images, (task,))
        losses = []
        for _, x, y in validation.crops:
            output = bicubic_resize((x * 255).round().byte(), 2) / 255 if task == "sr2" else x
            losses.append(255 * (output - y).abs().mean())
        assert validation.measure_interpolation().l1 == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
