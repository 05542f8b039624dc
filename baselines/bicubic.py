"""MATLAB's antialiased bicubic `imresize`, on batches and on any device, as two matrix products with cached weights.

Low-resolution files that the field shares were made by MATLAB from uint8 images: it resizes along the height, rounds
to uint8, resizes along the width, rounds again. Both roundings matter: one rounding at the end changes about a tenth
of the values.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

SUPPORT = 4  # the cubic kernel covers (-2, 2)
BAND_VALUES = 2**19  # values held as floats at a time, at least one block of one image
BLOCK = 16  # output rows that share one dense matrix: a band of the whole matrix, which is zero elsewhere
FLOAT32_EXACT = 2**24  # whole numbers up to here, and sums of them, are exact in float32


class Block(NamedTuple):
    """Output rows made from input rows `start` to `stop`: `weights` has shape (rows, stop - start)."""

    start: int
    stop: int
    weights: Tensor


def bicubic_resize(images: Tensor, scale: float) -> Tensor:
    """Resize images as MATLAB's `imresize(image, scale)` does: cubic kernel (a = -0.5), widened when shrinking.

    Args:
        images: (..., H, W), uint8 or floating point of any range.
        scale: output side over input side, any positive number; 2, 3, 4, 1/2, 1/3 and 1/4 give MATLAB's bits.

    Returns:
        (..., ceil(H * scale), ceil(W * scale)) with the same type and device. uint8 is rounded half up and clipped after
        each of the two passes, as MATLAB does; floats are neither rounded nor clipped and follow basicsr's `imresize`,
        whose coordinates are float32.

    Raises:
        TypeError: if the images are neither uint8 nor floating point.
        ValueError: if the scale is not positive, or there are no pixels.
    """
    if not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise TypeError(f"bicubic_resize takes uint8 or floating-point images, not {images.dtype}")
    if not (scale > 0 and math.isfinite(scale)):
        raise ValueError(f"scale must be a positive number, not {scale}")
    if images.ndim < 2 or 0 in images.shape[-2:]:
        raise ValueError(f"expected images of shape (..., H, W) with at least one pixel, got {tuple(images.shape)}")
    height, width = images.shape[-2:]
    with without_autocast(images.device.type):
        if images.dtype == torch.uint8:
            dtype, denominator = _exact_arithmetic(scale)
            rows = _integer_weights(height, scale, dtype, images.device)
            columns = _integer_weights(width, scale, dtype, images.device)
            return _resize_rounded(images, rows, columns, denominator)
        dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
        product_dtype = dtype if _float32_products_are_exact() else torch.float64
        rows = _float_weights(height, scale, dtype, product_dtype, images.device)
        columns = _float_weights(width, scale, dtype, product_dtype, images.device)
        return _resize(images, rows, columns)


def without_autocast(device_type: str) -> AbstractContextManager:
    """Full precision, also on devices that know no autocast (`meta`, on which operations are only counted)."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def _resize(images: Tensor, rows: list[Block], columns: list[Block]) -> Tensor:
    """Height, then width, of floats."""
    dtype = images.dtype
    bands = [
        torch.matmul(weights, images[..., start:stop, :].to(weights.dtype)).to(dtype) for start, stop, weights in rows
    ]
    images = bands[0] if len(bands) == 1 else torch.cat(bands, dim=-2)
    bands = [
        torch.matmul(images[..., start:stop].to(weights.dtype), weights.T).to(dtype) for start, stop, weights in columns
    ]
    return bands[0] if len(bands) == 1 else torch.cat(bands, dim=-1)


def _resize_rounded(images: Tensor, rows: list[Block], columns: list[Block], denominator: int) -> Tensor:
    """Height, then width, of uint8, rounded after each.

    Only a band of a few images is held as floats at a time: it stays in the processor's cache for both passes, and large images
    need little memory.
    """
    height, width = (sum(len(block.weights) for block in blocks) for blocks in (rows, columns))
    flat = images.reshape(-1, *images.shape[-2:])
    result = images.new_empty(len(flat), height, width)
    block_values = BLOCK * flat.shape[-1]
    group = max(1, BAND_VALUES // block_values)
    for first in range(0, len(flat), group):
        some, top = flat[first : first + group].transpose(0, 1), 0  # (H, N, W): one matrix to the product over rows
        together = max(1, BAND_VALUES // (block_values * some.shape[1]))
        for blocks in (rows[at : at + together] for at in range(0, len(rows), together)):
            pixels = _band(some, blocks, columns, width, denominator)
            result[first : first + group, top : top + len(pixels)] = pixels.transpose(0, 1)
            top += len(pixels)
    return result.view(*images.shape[:-2], height, width)


def _band(images: Tensor, rows: list[Block], columns: list[Block], width: int, denominator: int) -> Tensor:
    """Some output rows of images (H, N, W): whole numbers as int16, (rows, N, width)."""
    count, in_width = images.shape[1:]
    size = sum(len(block.weights) for block in rows)
    floats = partial(torch.empty, dtype=rows[0].weights.dtype, device=images.device)
    band, done = floats(size, count * in_width), 0
    for start, stop, weights in rows:
        pixels = floats(stop - start, count, in_width).copy_(images[start:stop]).view(stop - start, count * in_width)
        torch.mm(weights, pixels, out=band[done : done + len(weights)])
        done += len(weights)
    band = _round_half_up(band, denominator).floor_().view(size * count, in_width)
    sums, done = floats(size * count, width), 0
    for start, stop, weights in columns:
        torch.mm(band[:, start:stop], weights.T, out=sums[:, done : done + len(weights)])
        done += len(weights)
    # Truncates like a direct conversion to uint8, which takes three times as long.
    return _round_half_up(sums, denominator).to(torch.int16).view(size, count, width)


def _round_half_up(sums: Tensor, denominator: int) -> Tensor:
    """Values whose integer part is the rounded pixel. In place."""
    if denominator > 1:
        return sums.add_(denominator // 2).div_(denominator).clamp_(0, 255)
    return sums.add_(0.5).clamp_(0, 255)


def _float32_products_are_exact() -> bool:
    """Whether float32 products run in float32, not in TF32 or bfloat16. With mixed settings torch raises an error."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:
        return False


def _common_denominator(scale: float) -> int:
    """The number by which the weights of a whole factor s (or 1/s) become whole numbers; 1 for other factors.

    Distances are multiples of 1/(2s), so cubes of them times 1/2 are multiples of 1/(16 s³); shrinking multiplies by
    another 1/s. The sum of each row is then exactly 1 before any normalisation.
    """
    factor = Fraction(max(scale, 1 / scale)).limit_denominator(10_000)
    if factor.denominator != 1:
        return 1
    s = int(factor)
    return 16 * s**4 if scale < 1 else 16 * s**3


def _exact_arithmetic(scale: float) -> tuple[torch.dtype, int]:
    """Type of the products and denominator of the weights for which halves are detected without rounding errors."""
    denominator = _common_denominator(scale)
    # |weights| of a row sum to less than 1.5
    fits = denominator > 1 and 255 * 1.5 * denominator + denominator // 2 < FLOAT32_EXACT
    return (torch.float32 if fits and _float32_products_are_exact() else torch.float64), denominator


@lru_cache(maxsize=512)
@torch.inference_mode(False)  # the cache serves inference and training
def _integer_weights(length: int, scale: float, dtype: torch.dtype, device: torch.device) -> list[Block]:
    denominator = _common_denominator(scale)
    blocks = _blocks(length, scale, torch.float64)
    if denominator > 1:
        blocks = [block._replace(weights=(block.weights * denominator).round()) for block in blocks]
    return [block._replace(weights=block.weights.to(device, dtype)) for block in blocks]


@lru_cache(maxsize=512)
@torch.inference_mode(False)
def _float_weights(
    length: int, scale: float, dtype: torch.dtype, product_dtype: torch.dtype, device: torch.device
) -> list[Block]:
    blocks = _blocks(length, scale, dtype)
    return [block._replace(weights=block.weights.to(device, product_dtype)) for block in blocks]


def _blocks(length: int, scale: float, dtype: torch.dtype) -> list[Block]:
    """The banded matrix from `length` input to ceil(length * scale) output positions, cut into dense blocks."""
    out_length = math.ceil(length * Fraction(scale).limit_denominator(10_000))
    return [
        _block(length, scale, first, min(first + BLOCK, out_length), dtype) for first in range(0, out_length, BLOCK)
    ]


def _block(length: int, scale: float, first: int, last: int, dtype: torch.dtype) -> Block:
    """Weights of output positions `first` to `last`, symmetric edges folded in."""
    shrink = min(scale, 1.0)
    kernel_width = SUPPORT / shrink
    positions = torch.arange(first + 1, last + 1, dtype=dtype)  # MATLAB counts from 1
    centres = positions / scale + 0.5 * (1 - 1 / scale)
    taps = math.ceil(kernel_width) + 2
    indices = torch.floor(centres - kernel_width / 2)[:, None] + torch.arange(taps, dtype=dtype)
    weights = shrink * _cubic((centres[:, None] - indices) * shrink)
    weights = weights / weights.sum(dim=1, keepdim=True)

    indices = (indices.long() - 1) % (2 * length)
    indices = torch.where(indices < length, indices, 2 * length - 1 - indices)
    start, stop = int(indices.min()), int(indices.max()) + 1
    matrix = torch.zeros(last - first, stop - start, dtype=dtype)
    matrix.scatter_add_(1, indices - start, weights)
    return Block(start, stop, matrix)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel, a = -0.5."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))
