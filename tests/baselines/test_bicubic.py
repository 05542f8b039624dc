"""Bicubic resizing: MATLAB's bits from uint8, basicsr's values from floats."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.bicubic import bicubic_resize
from tests.helpers import raises_naming

SCALES = [2, 3, 4, 1 / 2, 1 / 3, 1 / 4]


def exact_cubic(x: Fraction) -> Fraction:
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return Fraction(-1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x <= 2 else Fraction(0)


def exact_line(line: list[int], scale: Fraction) -> list[int]:
    """Slow, obvious form for one line of pixels, in fractions: MATLAB's formula, rounded half up, clipped."""
    shrink = min(scale, Fraction(1))
    result = []
    for position in range(1, math.ceil(len(line) * scale) + 1):
        centre = position / scale + (1 - 1 / scale) / 2
        total = weight_sum = Fraction(0)
        for tap in range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1):
            weight = exact_cubic((centre - tap) * shrink)
            mirrored = (tap - 1) % (2 * len(line))
            mirrored = min(mirrored, 2 * len(line) - 1 - mirrored)
            total += weight * line[mirrored]
            weight_sum += weight
        result.append(min(max(math.floor(total / weight_sum + Fraction(1, 2)), 0), 255))
    return result


def exact_resize(image: np.ndarray, scale: float) -> np.ndarray:
    """Slow, obvious form of the uint8 rule: height, rounding, width, rounding."""
    factor = Fraction(scale).limit_denominator(100)
    image = np.array([exact_line(column.tolist(), factor) for column in image.T]).T
    return np.array([exact_line(row.tolist(), factor) for row in image])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(13, 16), (3, 7)])
def test_uint8_equals_exact_fractions_with_a_rounding_after_each_pass(scale, size):
    rng = np.random.default_rng(0)
    image = rng.choice([0, 1, 128, 254, 255], size).astype(np.uint8)  # many exact halves, over- and undershoot
    ours = bicubic_resize(torch.from_numpy(image), scale)
    assert ours.dtype == torch.uint8
    assert np.array_equal(ours.numpy(), exact_resize(image, scale))


@pytest.mark.parametrize("scale", [1.5, 0.4])
def test_other_factors_differ_from_exact_fractions_by_halves_at_most(scale):
    image = np.random.default_rng(0).integers(0, 256, (13, 16)).astype(np.uint8)
    difference = bicubic_resize(torch.from_numpy(image), scale).numpy().astype(int) - exact_resize(image, scale)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matlabs_low_resolution_files_are_reproduced_to_the_bit(shared_data, scale):
    folder = shared_data / "benchmark" / "Set5"
    paths = sorted((folder / "HR").glob("*.png"))
    assert len(paths) == 5
    for path in paths:
        hr = np.asarray(Image.open(path).convert("RGB"))
        height, width = (side // scale * scale for side in hr.shape[:2])
        (lr_path,) = (folder / "LR_bicubic" / f"X{scale}").glob(f"{path.stem}*")
        lr = np.asarray(Image.open(lr_path).convert("RGB"))
        ours = bicubic_resize(torch.from_numpy(hr[:height, :width].copy()).permute(2, 0, 1), 1 / scale)
        assert torch.equal(ours, torch.from_numpy(lr.copy()).permute(2, 0, 1)), path.name


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(48, 60), (47, 129)])
def test_floats_equal_basicsr(scale, size):
    import baselines.basicsr_alias  # noqa: F401

    # isort: split
    from basicsr.utils.matlab_functions import imresize

    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    theirs = imresize(image, scale)
    ours = bicubic_resize(image, scale)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-6


def test_float_values_are_neither_rounded_nor_clipped():
    step = torch.zeros(8, 8).index_fill(1, torch.arange(4, 8), 1.0)
    enlarged = bicubic_resize(step, 2)
    assert enlarged.max() > 1
    assert enlarged.min() < 0


def test_one_rounding_at_the_end_would_differ():
    image = torch.randint(0, 256, (64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    once = (bicubic_resize(image.double(), 1 / 2) + 0.5).floor().clamp(0, 255).byte()
    assert (once != bicubic_resize(image, 1 / 2)).float().mean() > 0.02


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_batch_equals_its_images_and_a_crop_equals_the_whole_away_from_edges(dtype):
    images = torch.randint(0, 256, (2, 3, 200, 150), generator=torch.Generator().manual_seed(2)).to(dtype)
    whole = bicubic_resize(images, 1 / 2)
    assert torch.equal(bicubic_resize(images[1, 2], 1 / 2), whole[1, 2])
    crop = bicubic_resize(images[:, :, 60:120, 40:100], 1 / 2)
    torch.testing.assert_close(crop[:, :, 2:-2, 2:-2].float(), whole[:, :, 32:58, 22:48].float(), rtol=0, atol=1e-4)


def test_reduced_matrix_precision_and_autocast_change_nothing():
    pixels = torch.randint(0, 256, (2, 3, 70, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    floats = pixels / 255
    expected = [bicubic_resize(images, 1 / 4) for images in (pixels, floats)]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            results = [bicubic_resize(images, 1 / 4) for images in (pixels, floats)]
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(results[0], expected[0])
    torch.testing.assert_close(results[1], expected[1], rtol=0, atol=1e-6)


def test_gradients_flow_through_floats():
    image = torch.rand(1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: bicubic_resize(x, 2), image)


@pytest.mark.parametrize(
    ("images", "scale", "error", "named"),
    [
        (torch.zeros(4, 4, dtype=torch.int64), 2, TypeError, ["torch.int64"]),
        (torch.zeros(4, 4), 0, ValueError, ["scale", 0]),
        (torch.zeros(4, 4), math.inf, ValueError, ["scale", "inf"]),
        (torch.zeros(4), 2, ValueError, ["(4,)", "(..., H, W)"]),
        (torch.zeros(3, 0, 4), 2, ValueError, ["(3, 0, 4)", "(..., H, W)"]),
    ],
)
def test_wrong_input_is_refused_with_its_reason(images, scale, error, named):
    with raises_naming(error, *named):
        bicubic_resize(images, scale)
