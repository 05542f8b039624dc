"""Restores whole images by a network for square patches of one size.

An image is cut into overlapping windows of `patch_size`; at the image's right and bottom border the last window is shifted
inwards. The settings differ in the distance between windows (`stride`) and in the part of each that is kept:

| setting        | stride            | each output pixel is                                                    |
|----------------|-------------------|-------------------------------------------------------------------------|
| `centre`       | half a window     | one prediction, by the window whose middle is nearest                   |
| `averaged`     | a quarter         | the mean of the windows whose middle half contains it, four in general: |
|                |                   | the IPT authors' PyTorch release                                        |
| `side-by-side` | a whole window    | one prediction, without context at the windows' borders                 |
| `blended`      | about a half      | a mean weighted by a raised cosine, which leaves no seams               |

`benchmarks/stride.py` measures their quality and cost.
"""

from itertools import pairwise, product

import torch
from torch import Tensor
from tqdm import tqdm

from ipt_models.network import IPT
from ipt_models.tasks import parse_task
from ipt_models.variants import WINDOWS, Windows

DEFAULT: Windows = "centre"

BAR_DELAY = 2  # seconds before a progress bar appears


@torch.no_grad()
def restore(
    model: IPT,
    x: Tensor,
    task: str | None = None,
    windows: Windows = DEFAULT,
    stride: int | None = None,
    batch_size: int = 16,
    progress: bool = False,
) -> Tensor:
    """Restore a whole image.

    The network gets at most `batch_size` windows at a time, so memory besides the image and its output does not grow with the
    image. The image may be on another device than the network: windows are copied to the network's device.

    Args:
        model: a trained network; its mode (train or eval) does not change.
        x: RGB in [0, 1], (1, 3, H, W), H and W at least 1. Sides shorter than the network's `patch_size` are extended by
            reflection.
        task: name of the task; optional if the network has only one.
        windows: the setting, see the table above.
        stride: distance between windows in input pixels, from 1 to `patch_size`; None: the setting's own.
        batch_size: windows at a time.
        progress: show a progress bar after two seconds.

    Returns:
        RGB on the [0, 1] scale, not clipped, (1, 3, s·H, s·W), float32, on the image's device.

    Raises:
        ValueError: for a wrong shape, setting, stride, batch size or task.
    """
    if x.ndim != 4 or x.shape[:2] != (1, 3) or 0 in x.shape or not x.is_floating_point():
        raise ValueError(
            f"image of shape {tuple(x.shape)}, {x.dtype}: expected (1, 3, H, W), floating point, H and W at least 1"
        )
    if windows not in WINDOWS:
        raise ValueError(f"windows={windows!r}: expected one of {', '.join(WINDOWS)}")
    size = model.patch_size
    stride = default_stride(model, windows) if stride is None else stride
    largest = size - 2 * (size // 4) if windows == "averaged" else size
    if not 1 <= stride <= largest:
        raise ValueError(f"stride={stride}: expected 1 to {largest} with {windows} windows of {size}")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1")
    task = model.resolve(task)

    scale, (height, width) = parse_task(task).scale, x.shape[2:]
    x = extend(extend(x, 2, size), 3, size)
    tops, lefts = (starts(side, size, stride) for side in x.shape[2:])
    rows, columns = (window_weights(side, size, stride, scale, windows) for side in x.shape[2:])
    device = next(model.parameters()).device

    y = torch.zeros(1, 3, scale * x.shape[2], scale * x.shape[3], device=x.device)
    places = list(product(range(len(tops)), range(len(lefts))))
    with tqdm(total=len(places), unit="window", desc=task, delay=BAR_DELAY, disable=not progress) as bar:
        for first in range(0, len(places), batch_size):
            batch = places[first : first + batch_size]
            cut = [x[:, :, tops[i] : tops[i] + size, lefts[j] : lefts[j] + size] for i, j in batch]
            restored = model(torch.cat(cut).to(device, torch.float32), task).to(x.device, torch.float32)
            for (i, j), window in zip(batch, restored, strict=True):
                (top, down), (left, across) = rows[i], columns[j]
                kept = window[:, top : top + len(down), left : left + len(across)]
                top, left = scale * tops[i] + top, scale * lefts[j] + left
                area = y[0, :, top : top + len(down), left : left + len(across)]
                area.addcmul_(kept, down.to(x.device)[:, None] * across.to(x.device))
            bar.update(len(batch))
    return y[:, :, : scale * height, : scale * width]


def default_stride(model: IPT, windows: Windows) -> int:
    """Distance between windows, in input pixels.

    `blended` takes one pixel more than half a window where `patch_dim` divides the half: neighbouring windows then cut the
    image into different tokens, and the mean also smooths the tokens' borders.
    """
    size = model.patch_size
    half = max(1, size // 2)
    if windows == "blended":
        return half + 1 if model.patch_dim > 1 and half % model.patch_dim == 0 else half
    return {"centre": half, "averaged": max(1, size // 4), "side-by-side": size}[windows]


def starts(length: int, size: int, stride: int) -> list[int]:
    """First pixels of the windows along a side: `stride` apart, the last window ending with the side."""
    if length <= size:
        return [0]
    return [*range(0, length - size, stride), length - size]


def window_weights(length: int, size: int, stride: int, scale: int, windows: Windows) -> list[tuple[int, Tensor]]:
    """Each window's weights in the output along one side; at each pixel they add up to one.

    Args:
        length, size, stride: of the side, of a window and between windows, in input pixels.
        scale: output pixels per input pixel.

    Returns:
        For each window of `starts`: the first of its scale·size output pixels that is used, and their weights from there on.
    """
    begins, size, stride = [scale * begin for begin in starts(length, size, stride)], scale * size, scale * stride
    if windows == "blended":
        weights = [torch.sin(torch.pi * (torch.arange(size) + 0.5) / size).square()] * len(begins)
    elif windows == "averaged":
        weights = _middle_halves(begins, size, stride, scale * (size // scale // 4))
    else:
        weights = _nearest(begins, size)
    total = torch.zeros(begins[-1] + size)
    for begin, weight in zip(begins, weights, strict=True):
        total[begin : begin + size] += weight
    kept = []
    for begin, weight in zip(begins, weights, strict=True):
        used = weight.nonzero().flatten().tolist() or [0]
        part = slice(used[0], used[-1] + 1)
        kept.append((used[0], weight[part] / total[begin : begin + size][part]))
    return kept


def _nearest(begins: list[int], size: int) -> list[Tensor]:
    """Neighbours meet in the middle of their overlap; the outermost windows reach to the image's border."""
    meet = [(left + size + right) // 2 for left, right in pairwise(begins)]
    ends = zip(begins, [begins[0], *meet], [*meet, begins[-1] + size], strict=True)
    return [_ones(size, low - begin, high - begin) for begin, low, high in ends]


def _middle_halves(begins: list[int], size: int, stride: int, quarter: int) -> list[Tensor]:
    """The middle half of each window, all with the same weight; the outermost windows reach to the image's border.

    As in the authors' code, a last window that is shifted inwards is not averaged with the others: it takes over in the
    middle of its overlap with its neighbour.
    """
    weights = [_ones(size, quarter, size - quarter) for _ in begins]
    weights[0][:quarter] = 1
    weights[-1][size - quarter :] = 1
    if len(begins) > 1 and begins[-1] - begins[-2] < stride:
        meet = (begins[-2] + size + begins[-1] + 1) // 2
        for begin, weight in zip(begins, weights, strict=True):
            weight[max(0, meet - begin) :] = 0
        weights[-1] = _ones(size, meet - begins[-1], size)
    return weights


def _ones(size: int, first: int, last: int) -> Tensor:
    place = torch.arange(size)
    return ((place >= first) & (place < last)).float()


def extend(x: Tensor, dim: int, size: int) -> Tensor:
    """Extend a side to `size` pixels by repeated reflection, edge pixels included."""
    length = x.shape[dim]
    if length >= size:
        return x
    index = torch.arange(size, device=x.device) % (2 * length)
    return x.index_select(dim, torch.minimum(index, 2 * length - 1 - index))
