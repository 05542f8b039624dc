"""Pairs are degraded as stated, and noise and rain depend on (seed, step) alone."""

import numpy as np
import pytest
import torch

from tests.helpers import raises_naming, texture
from workflows.data.batches import Batches
from workflows.data.degradations import bicubic_resize, degrade_image, dihedral, make_pairs

TASKS = ["sr2", "sr3", "sr4", "dn30", "dn50", "dr"]


def batch_of(folder, table, task, n=0, patch_size=10, **kwargs):
    return Batches(table, folder, [task], patch_size, 6, 0, **kwargs).load(n)


@pytest.mark.parametrize("task", TASKS)
def test_pairs_have_the_task_s_shapes_and_range(folder, table, task):
    batch = batch_of(folder, table, task)
    x, y = make_pairs(batch, 10, seed=0)
    scale = int(task[2]) if task.startswith("sr") else 1
    assert x.shape == (6, 3, 10, 10)
    assert y.shape == (6, 3, 10 * scale, 10 * scale)
    for images in (x, y):
        assert images.dtype == torch.float32
        assert images.min() >= 0
        assert images.max() <= 1
    assert torch.equal((y * 255).round() / 255, y)


@pytest.mark.parametrize("task", TASKS)
def test_pairs_repeat_bit_for_bit_and_change_with_the_step(folder, table, task):
    first, again = (make_pairs(batch_of(folder, table, task), 10, seed=0) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], make_pairs(batch_of(folder, table, task, n=1), 10, seed=0)[0])


@pytest.mark.parametrize("task", ["sr2", "dn30", "dr"])
def test_slices_hold_the_rows_of_the_whole_batch(folder, table, task):
    x, y = make_pairs(batch_of(folder, table, task), 10, seed=4)
    for start, stop in ((0, 2), (2, 6)):
        own = make_pairs(batch_of(folder, table, task, rows=slice(start, stop)), 10, seed=4)
        assert (own[0] - x[start:stop]).abs().max() < 1e-6
        assert torch.equal(own[1], y[start:stop])


def test_noise_has_its_deviation_and_changes_with_seed_and_step():
    from workflows.data.batches import Batch

    gray = torch.full((8, 3, 64, 64), 128, dtype=torch.uint8)
    zeros = torch.zeros(8, dtype=torch.int64)

    def noise(seed, step, task="dn30"):
        x, y = make_pairs(Batch(step, task, gray, zeros, zeros, 0, 8), 64, seed)
        return (x - y) * 255

    drawn = noise(0, 0)
    assert abs(drawn.std().item() - 30) < 0.3
    assert abs(drawn.mean().item()) < 0.4
    assert len(torch.unique(drawn)) > 10_000  # not rounded
    for other in (noise(1, 0), noise(0, 1)):
        assert abs(torch.corrcoef(torch.stack([drawn.flatten(), other.flatten()]))[0, 1].item()) < 0.02
    assert abs(noise(0, 0, "dn10").std().item() - 10) < 0.1


def test_the_eight_transforms_are_those_of_the_square():
    image = torch.arange(2 * 3 * 5 * 5, dtype=torch.uint8).view(2, 3, 5, 5)
    expected = []
    for transform in range(8):
        result = image.flip(-1) if transform & 1 else image
        result = result.flip(-2) if transform & 2 else result
        expected.append(result.transpose(-1, -2) if transform & 4 else result)
    assert len({tuple(result.flatten().tolist()) for result in expected}) == 8
    batch, transforms = image[:1].expand(8, -1, -1, -1), torch.arange(8)
    assert torch.equal(dihedral(batch, transforms), torch.cat([result[:1] for result in expected]))
    assert torch.equal(dihedral(image, torch.tensor([6, 3])), torch.stack([expected[6][0], expected[3][1]]))


def test_input_and_target_are_transformed_alike(folder, table):
    x, y = make_pairs(batch_of(folder, table, "sr2"), 10, seed=0)
    reduced = bicubic_resize((y * 255).round().to(torch.uint8), 0.5).float() / 255
    inner = (x - reduced)[..., 2:-2, 2:-2].abs() * 255
    assert inner.max() <= 1.001  # transposition swaps the order of the two roundings, nothing else


def test_whole_image_reduction_is_cropped_and_has_two_protocols():
    hr = torch.from_numpy(texture(0, 47, 53)).permute(2, 0, 1)
    lr, cropped = degrade_image(hr, "sr3", "a")
    assert cropped.shape == (3, 45, 51)
    assert lr.dtype == torch.uint8
    assert torch.equal(lr, bicubic_resize(cropped, 1 / 3))
    once, _ = degrade_image(hr, "sr3", "a", bicubic="float")
    difference = (once.int() - lr.int()).abs()
    assert once.dtype == torch.uint8
    assert 0 < difference.max() <= 2


def test_whole_image_noise_is_keyed_and_pinned():
    hr = torch.from_numpy(texture(0, 40, 40)).permute(2, 0, 1)
    noisy, clean = degrade_image(hr, "dn50", "Set5/baby")
    assert torch.equal(clean, hr)
    assert torch.equal(noisy, degrade_image(hr, "dn50", "Set5/baby")[0])
    assert not torch.equal(noisy, degrade_image(hr, "dn50", "Set5/bird")[0])
    assert noisy.min() == 0
    assert noisy.max() == 255
    free, _ = degrade_image(hr, "dn50", "Set5/baby", clip=False)
    assert free.min() < 0
    assert torch.equal(free.clamp(0, 255), noisy)
    # The same numbers on every machine: numpy's Philox, seeded by the key.
    numbers = (free - hr).flatten()[:3].numpy()
    np.testing.assert_allclose(numbers, [18.247, 3.826, -28.848], atol=0.01)


def test_rain_only_adds_light_and_differs_between_images(folder, table):
    x, y = make_pairs(batch_of(folder, table, "dr", patch_size=24), 24, seed=0)
    added = x - y
    assert added.min() >= -1e-6
    assert 0.002 < added.mean() < 0.1
    assert not torch.equal(added[0], added[1])
    hr = torch.from_numpy(texture(0, 60, 50)).permute(2, 0, 1)
    rainy, _ = degrade_image(hr, "dr", "a")
    assert rainy.shape == hr.shape
    assert (rainy >= hr - 1e-3).all()
    assert torch.equal(rainy, degrade_image(hr, "dr", "a")[0])
    assert not torch.equal(rainy, degrade_image(hr, "dr", "b")[0])


@pytest.mark.parametrize(
    "image", [torch.zeros(3, 8, 8), torch.zeros(8, 8, dtype=torch.uint8), torch.zeros(3, 1, 8, dtype=torch.uint8)]
)
def test_anything_but_a_uint8_image_is_refused(image):
    with raises_naming(ValueError, "uint8", "(3, H, W)", image.dtype, tuple(image.shape)):
        degrade_image(image, "sr2", "a")
