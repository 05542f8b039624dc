"""PSNR and SSIM of uint8 images, by the protocol. Imports no torch.

Everything is computed in float64, in bands of rows, so that memory stays bounded for any image size.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from workflows.evaluation.protocol import (
    LUMA_DIVISOR,
    LUMA_OFFSET,
    LUMA_WEIGHTS,
    PEAK,
    SSIM_K1,
    SSIM_K2,
    SSIM_SIGMA,
    SSIM_WINDOW,
)

cv2.setNumThreads(1)  # images are compared in parallel, one per thread

BAND = 512  # rows computed at a time
REACH = SSIM_WINDOW // 2


class Scores(NamedTuple):
    """Values of one image. PSNR of equal images is inf; SSIM is nan if the image is smaller than its window."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float


def compute_scores(output: np.ndarray, target: np.ndarray, border: int = 0, full_range: bool = False) -> Scores:
    """All metrics of one image in one pass.

    Args:
        output, target: uint8 RGB, (H, W, 3), equal shapes.
        border: pixels cut from each side first.
        full_range: luma from 0 to 255 instead of 16 to 235 (gray files scored the MATLAB way).

    Raises:
        ValueError: if shapes or types do not fit, or nothing is left inside the border.
    """
    output, target = _inside(output, target, border)
    height, width = target.shape[:2]
    with_ssim = min(height, width) >= SSIM_WINDOW
    squares_y = squares_rgb = similarity = 0.0
    for first, last, reach in _bands(height):
        a, b = output[first:reach], target[first:reach]
        y_a, y_b = luma(a, full_range), luma(b, full_range)
        own = last - first
        squares_y += _squares(y_a[:own], y_b[:own])
        squares_rgb += _squares(a[:own], b[:own])
        if with_ssim:
            similarity += float(_ssim_map(y_a, y_b).sum())
    windows = (height - 2 * REACH) * (width - 2 * REACH)
    return Scores(
        _psnr(squares_y / (height * width)),
        similarity / windows if with_ssim else math.nan,
        _psnr(squares_rgb / (3 * height * width)),
    )


def psnr_y(output: np.ndarray, target: np.ndarray, border: int = 0) -> float:
    """PSNR in dB on BT.601 luma; see `compute_scores`."""
    return compute_scores(output, target, border).psnr_y


def ssim_y(output: np.ndarray, target: np.ndarray, border: int = 0) -> float:
    """SSIM on BT.601 luma (Wang et al. 2004: 11×11 Gaussian window, σ 1.5); see `compute_scores`."""
    return compute_scores(output, target, border).ssim_y


def psnr_rgb(output: np.ndarray, target: np.ndarray, border: int = 0) -> float:
    """PSNR in dB over all three channels; see `compute_scores`."""
    return compute_scores(output, target, border).psnr_rgb


def luma(pixels: np.ndarray, full_range: bool = False) -> np.ndarray:
    """BT.601 luma of uint8 RGB: (H, W, 3) -> float64 (H, W), not rounded.

    Args:
        full_range: without the scaling to 16-235, so that three equal channels keep their value.
    """
    weights = np.array(LUMA_WEIGHTS)
    if full_range:
        return cv2.transform(pixels.astype(np.float64), weights[None] / weights.sum())
    return cv2.transform(pixels.astype(np.float64), np.array([[*(weights / LUMA_DIVISOR), LUMA_OFFSET]]))


def _inside(output: np.ndarray, target: np.ndarray, border: int) -> tuple[np.ndarray, np.ndarray]:
    for name, image in (("output", output), ("target", target)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"{name}: expected uint8 RGB (H, W, 3), got {image.dtype} {image.shape}")
    if output.shape != target.shape:
        raise ValueError(f"output {output.shape} and target {target.shape} differ in size")
    height, width = target.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"{width}x{height} pixels leave nothing inside a border of {border}")
    inner = (slice(border, height - border), slice(border, width - border))
    return output[inner], target[inner]


def _bands(height: int) -> Iterator[tuple[int, int, int]]:
    """(first, last, reach): the band has the rows first to last; its SSIM windows extend to `reach`."""
    for first in range(0, height, BAND):
        last = min(first + BAND, height)
        yield first, last, min(last + 2 * REACH, height)


def _squares(a: np.ndarray, b: np.ndarray) -> float:
    return cv2.norm(a, b, cv2.NORM_L2SQR)


def _psnr(mean_square: float) -> float:
    return 10 * math.log10(PEAK**2 / mean_square) if mean_square else math.inf


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM of each whole window: (H, W) float64 twice -> (H - 10, W - 10); empty where no window fits."""
    if min(a.shape) < SSIM_WINDOW:
        return np.zeros((0, 0))
    kernel = cv2.getGaussianKernel(SSIM_WINDOW, SSIM_SIGMA)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel)[REACH:-REACH, REACH:-REACH]

    c1, c2 = (SSIM_K1 * PEAK) ** 2, (SSIM_K2 * PEAK) ** 2
    mean_a, mean_b = mean(a), mean(b)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = mean(a * b) - product
    variances = mean(a * a + b * b) - squares
    return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
