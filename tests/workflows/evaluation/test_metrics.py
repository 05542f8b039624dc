"""Metrics against their definitions and against basicsr and scikit-image."""

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

import baselines.basicsr_alias  # noqa: F401  (before basicsr)
from tests.helpers import raises_naming
from workflows.evaluation import metrics
from workflows.evaluation.metrics import compute_scores, luma, psnr_rgb, psnr_y, ssim_y

RNG = np.random.default_rng(0)
TARGET = (np.add.outer(np.arange(60), np.arange(83))[..., None] + [0, 40, 80]).astype(np.uint8)
OUTPUT = np.clip(TARGET + RNG.normal(0, 12, TARGET.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("border", [0, 2, 4])
def test_basicsr_agrees(border):
    from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim

    bgr = (OUTPUT[..., ::-1], TARGET[..., ::-1])
    theirs = calculate_psnr(*bgr, border, test_y_channel=True)
    assert psnr_y(OUTPUT, TARGET, border) == pytest.approx(theirs, abs=1e-4)
    assert psnr_rgb(OUTPUT, TARGET, border) == pytest.approx(calculate_psnr(*bgr, border), abs=1e-9)
    theirs = calculate_ssim(*bgr, border, test_y_channel=True)
    assert ssim_y(OUTPUT, TARGET, border) == pytest.approx(theirs, abs=1e-4)


def test_scikit_image_agrees_on_ssim():
    theirs = structural_similarity(
        luma(OUTPUT), luma(TARGET), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim_y(OUTPUT, TARGET) == pytest.approx(theirs, abs=1e-9)


def test_luma_runs_from_16_to_235_and_full_range_keeps_gray():
    ends = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(luma(ends)[0], [16, 16 + 255 * 219.859 / 256, 16 + 255 * 65.738 / 256])
    gray = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    np.testing.assert_allclose(luma(gray, full_range=True)[0], np.arange(256), atol=1e-12)


def test_psnr_follows_its_definition():
    shifted = np.full((20, 20, 3), 110, np.uint8)
    flat = np.full((20, 20, 3), 100, np.uint8)
    assert psnr_rgb(shifted, flat) == pytest.approx(20 * math.log10(25.5))
    assert psnr_y(shifted, flat) == pytest.approx(20 * math.log10(25.5 * 256 / 219.859))


def test_equal_images_have_infinite_psnr_and_ssim_one():
    scores = compute_scores(TARGET, TARGET, 2)
    assert (scores.psnr_y, scores.psnr_rgb) == (math.inf, math.inf)
    assert scores.ssim_y == pytest.approx(1, abs=1e-12)


def test_the_border_is_cut_from_every_side():
    spoiled = TARGET.copy()
    spoiled[:3] = spoiled[-3:] = spoiled[:, :3] = spoiled[:, -3:] = 0
    assert psnr_y(spoiled, TARGET, 3) == math.inf
    assert psnr_y(spoiled, TARGET, 2) < 40


@pytest.mark.parametrize("band", [1, 7, 50, 60])
def test_bands_change_nothing(monkeypatch, band):
    whole = compute_scores(OUTPUT, TARGET, 2)
    monkeypatch.setattr(metrics, "BAND", band)
    assert compute_scores(OUTPUT, TARGET, 2) == pytest.approx(whole, abs=1e-9)


def test_ssim_is_empty_below_its_window_and_defined_from_there():
    assert math.isnan(ssim_y(OUTPUT[:10], TARGET[:10]))
    assert math.isnan(ssim_y(OUTPUT[:14, :40], TARGET[:14, :40], border=2))
    smallest = structural_similarity(
        luma(OUTPUT[:11, :11]),
        luma(TARGET[:11, :11]),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert ssim_y(OUTPUT[:11, :11], TARGET[:11, :11]) == pytest.approx(smallest)
    assert math.isfinite(psnr_y(OUTPUT[:1, :1], TARGET[:1, :1]))


@pytest.mark.parametrize(
    ("output", "target", "border", "named"),
    [
        (OUTPUT[:-1], TARGET, 0, ["(59, 83, 3)", "(60, 83, 3)"]),
        (OUTPUT / 255.0, TARGET, 0, ["output", "uint8", "float64"]),
        (OUTPUT[..., 0], TARGET[..., 0], 0, ["output", "(H, W, 3)", "(60, 83)"]),
        (OUTPUT[:4], TARGET[:4], 2, ["83x4", 2]),
    ],
)
def test_what_cannot_be_compared_is_refused(output, target, border, named):
    with raises_naming(ValueError, *named):
        compute_scores(output, target, border)
