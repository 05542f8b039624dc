"""Progress on fixed crops: of the run's own patches, and the same held-out ones for every run."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.helpers import make_run
from workflows.data.batches import Batches
from workflows.data.degradations import bicubic_resize, make_pairs
from workflows.training.validation import FixedCrops, Learning, generalization_gap

CPU = torch.device("cpu")


def crops(images, tasks=("sr2",), micro_batch_size=4):
    batches = Batches(pd.read_csv(images.validation), images.root, tasks, 6, 4, seed=0)
    return FixedCrops(batches, 6, 0, CPU, micro_batch_size)


def learning(images, run):
    tables = (pd.read_csv(path) for path in (images.fraction, images.validation))
    return Learning(run, *tables, images.root, CPU)


class Off(nn.Module):
    """The clean crop, off by two grey levels."""

    def __init__(self, truth):
        super().__init__()
        self.truth = {id(batch.x): batch.y for batch in truth}

    def forward(self, x, task):
        y = self.truth[id(x)]
        return torch.where(y < 0.5, y + 2 / 255, y - 2 / 255)


def test_l1_is_on_the_0_255_scale_and_psnr_in_decibels(images):
    fixed = crops(images)
    progress = fixed.measure(Off(fixed.batches))
    np.testing.assert_allclose(progress.l1, 2, rtol=1e-4)
    assert progress.psnr == pytest.approx(20 * torch.log10(torch.tensor(255 / 2)).item(), rel=1e-4)


def test_held_out_crops_are_those_of_every_run_and_training_patches_the_run_s_own(images):
    run = make_run("edsr")
    one, two = learning(images, run), learning(images, run.model_copy(update={"seed": 5}))
    for first, second in zip(one._held_out.batches, two._held_out.batches, strict=True):
        assert torch.equal(first.x, second.x)
        assert torch.equal(first.y, second.y)
    assert not torch.equal(one._training.batches[0].y, two._training.batches[0].y)


def test_each_task_has_as_many_crops_which_are_its_first(images):
    tasks = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")
    batches = Batches(pd.read_csv(images.validation), images.root, tasks, 6, 4, seed=0)
    found = crops(images, tasks).batches
    assert [crop.task for crop in found] == [task for task in tasks for _ in range(6)]  # 36 batches of 4: 128 or more
    first = {}
    for step in range(200):
        first.setdefault(batches.schedule.contents(step).task, step)
    for task, step in first.items():
        x, _ = make_pairs(batches.load(step), 6, 0)
        assert torch.equal(next(crop.x for crop in found if crop.task == task), x)


def test_a_network_sees_no_more_crops_at_a_time_than_a_micro_batch(images):
    class Counting(nn.Module):
        def forward(self, x, task):
            seen.append(len(x))
            return x

    seen = []
    parts, whole = (crops(images, ("dn30",), size) for size in (3, 4))
    l1 = [fixed.measure(Counting()).l1 for fixed in (parts, whole)]
    assert set(seen[: len(parts.batches)]) == {3, 1}
    np.testing.assert_allclose(l1[0], l1[1], rtol=1e-5)
    shared = learning(images, make_run("edsr", devices=2))
    assert {len(batch.x) for batch in shared._held_out.batches} == {2}, "a process's rows of a batch of 4"


@pytest.mark.parametrize(("task", "augment"), [("sr2", False), ("dn30", True)])
def test_training_patches_are_those_of_the_run_s_steps_bit_for_bit(task, augment, images):
    """Noise and flips included: what is measured is what was trained on."""
    run = make_run("edsr", tasks=(task,), augment=augment)
    run = run.model_copy(update={"data": run.data.model_copy(update={"fixed_crops": 2})})
    options = {"seed": run.seed, "fixed_crops": 2, "data_seed": run.data.seed, "augment": augment}
    batches = Batches(pd.read_csv(images.fraction), images.root, run.tasks, 6, 4, **options)
    for step, batch in enumerate(learning(images, run)._training.batches):
        x, y = make_pairs(batches.load(step), 6, run.seed)
        assert torch.equal(batch.x, x)
        assert torch.equal(batch.y, y)


def test_interpolation_is_bicubic_for_super_resolution_and_the_input_otherwise(images):
    for task in ("sr2", "dn30"):
        fixed = crops(images, (task,))
        losses = []
        for _, x, y in fixed.batches:
            output = bicubic_resize((x * 255).round().byte(), 2) / 255 if task == "sr2" else x
            losses.append(255 * (output - y).abs().mean())
        assert fixed.measure_interpolation().l1.mean() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


@pytest.mark.parametrize("harder", [0.7, 1.0, 1.6])
def test_gap_of_a_network_that_remembers_nothing_is_zero_however_hard_its_images_are(harder):
    """Its loss is a function of a crop's difficulty, and no fixed share of interpolation's loss."""
    rng = np.random.default_rng(0)

    def losses(scale, count):
        interpolated = scale * rng.gamma(2, 2.5, count)
        return interpolated, 0.4 + 0.8 * interpolated + rng.normal(0, 0.2, count)

    (held_out_interpolated, held_out), (interpolated, training) = losses(1, 4096), losses(harder, 4096)
    gap = generalization_gap(training, held_out, interpolated, held_out_interpolated)
    assert gap == pytest.approx(0, abs=0.02)
    memory = generalization_gap(training - 1.3, held_out, interpolated, held_out_interpolated)
    assert memory == pytest.approx(gap + 1.3)
