"""Images of any size through a network that takes square patches of one size.

An image is covered by windows of `patch_size`, `stride` apart, the last of each row and column shifted inwards. In the
output each window has a weight for every row and column, and the weights of all windows add up to one at each pixel:
`centre` gives a pixel to the window in whose middle it lies, without any averaging; `smooth` fades from window to window
with a raised cosine, which leaves little of a window's ends, where the network has seen no neighbours.
`benchmarks/stride.py` measures what they bring.
"""

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor
from tqdm import tqdm

from ipt_models.network import IPT
from ipt_models.tasks import parse_task

Blend = Literal["centre", "smooth"]

BAR_DELAY = 2  # seconds after which it is worth showing


@torch.no_grad()
def restore(
    model: IPT,
    x: Tensor,
    task: str | None = None,
    stride: int | None = None,
    batch_size: int = 16,
    progress: bool = False,
    blend: Blend | None = None,
    self_ensemble: bool = False,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> Tensor:
    """Restore a whole image.

    The network sees at most `batch_size` windows at a time: memory beyond the image and its output does not grow with
    the image. The image may lie on another device than the network; only windows travel.

    Args:
        model: a trained network; it stays in the mode (train or eval) in which it is.
        x: RGB in [0, 1], (1, 3, H, W), H and W from 1 up. Sides shorter than the network's `patch_size` are continued by
            reflection.
        task: name of the task; may be left out where the network has only one.
        stride: distance of windows, in pixels of the input, from 1 to `patch_size`. None is one whole window, the setting
            of the main tables: each pixel is predicted once.
        batch_size: windows at a time.
        progress: show a bar where it takes longer than two seconds.
        blend: `centre` or `smooth`, see above. By default `centre` without a stride and `smooth` with one.
        self_ensemble: average over the 8 flips and rotations of the image; 8 times the work.
        precision: `bf16` runs the network in bfloat16 autocast.

    Returns:
        RGB on the [0, 1] scale, not clipped, (1, 3, s·H, s·W), float32, on the image's device.

    Raises:
        ValueError: for a wrong shape, stride, batch size, blend, precision or task.
    """
    size = model.patch_size
    blend = blend or ("centre" if stride is None else "smooth")
    stride = size if stride is None else stride
    if x.ndim != 4 or x.shape[:2] != (1, 3) or 0 in x.shape or not x.is_floating_point():
        raise ValueError(
            f"image of shape {tuple(x.shape)}, {x.dtype}: expected (1, 3, H, W), floating, H and W from 1 up"
        )
    if not 1 <= stride <= size:
        raise ValueError(f"stride={stride}: expected 1 to {size}, the network's patch_size")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1")
    if blend not in get_args(Blend):
        raise ValueError(f"blend={blend!r}: expected one of {', '.join(get_args(Blend))}")
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision={precision!r}: expected fp32 or bf16")
    task = model.resolve(task)

    rounds = 8 if self_ensemble else 1
    windows = rounds * len(starts(x.shape[2], size, stride)) * len(starts(x.shape[3], size, stride))
    device = next(model.parameters()).device
    autocast = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    total = 0
    with autocast, tqdm(total=windows, unit="window", desc=task, delay=BAR_DELAY, disable=not progress) as bar:
        for turn in range(rounds):
            y = restore_once(model, dihedral(x, turn), task, stride, batch_size, blend, bar)
            total = total + dihedral(y, turn, inverse=True)
    return total / rounds


def restore_once(model: IPT, x: Tensor, task: str, stride: int, batch_size: int, blend: Blend, bar: tqdm) -> Tensor:
    size, scale = model.patch_size, parse_task(task).scale
    height, width = x.shape[2:]
    x = extend(extend(x, 2, size), 3, size)
    tops, lefts = starts(x.shape[2], size, stride), starts(x.shape[3], size, stride)
    rows = window_weights(tops, size, scale, blend).to(x.device)
    columns = window_weights(lefts, size, scale, blend).to(x.device)
    device = next(model.parameters()).device

    y = torch.zeros(1, 3, scale * x.shape[2], scale * x.shape[3], device=x.device)
    for batch in batches(len(tops) * len(lefts), batch_size):
        places = [divmod(index, len(lefts)) for index in batch]
        windows = torch.cat([x[:, :, tops[i] : tops[i] + size, lefts[j] : lefts[j] + size] for i, j in places])
        restored = model(windows.to(device, torch.float32), task).to(x.device, torch.float32)
        for (i, j), window in zip(places, restored, strict=True):
            top, left = scale * tops[i], scale * lefts[j]
            area = y[0, :, top : top + scale * size, left : left + scale * size]
            area.addcmul_(window, rows[i, :, None] * columns[j, None, :])
        bar.update(len(batch))
    return y[:, :, : scale * height, : scale * width]


def overlapping_stride(model: IPT) -> int:
    """A stride for good pictures at a moderate price: half a window, or one more where `patch_dim` divides it.

    Windows then cut the image into different tokens, and what `smooth` averages differs by more than its borders.
    """
    half = max(1, model.patch_size // 2)
    return half + 1 if model.patch_dim > 1 and half % model.patch_dim == 0 else half


def batches(count: int, size: int) -> Iterator[range]:
    for first in range(0, count, size):
        yield range(first, min(first + size, count))


def starts(length: int, size: int, stride: int) -> list[int]:
    """Where the windows of a side begin: `stride` apart, the last one ending with the side."""
    if length <= size:
        return [0]
    return [*range(0, length - size, stride), length - size]


def window_weights(begins: list[int], size: int, scale: int, blend: Blend) -> Tensor:
    """The weight of each window along one side of the output, (windows, scale·size); they add up to one at each pixel."""
    size, begins = scale * size, [scale * begin for begin in begins]
    place = torch.arange(size) + 0.5
    if blend == "centre":
        # Neighbours meet in the middle of what they share; the outermost reach to the image's border.
        meet = [(left + size + right) // 2 for left, right in pairwise(begins)]
        ends = zip(begins, [begins[0], *meet], [*meet, begins[-1] + size], strict=True)
        return torch.stack([((place > low - begin) & (place < high - begin)).float() for begin, low, high in ends])
    fade = torch.sin(torch.pi * place / size).square()
    total = torch.zeros(begins[-1] + size)
    for begin in begins:
        total[begin : begin + size] += fade
    return torch.stack([fade / total[begin : begin + size] for begin in begins])


def extend(x: Tensor, dim: int, size: int) -> Tensor:
    """Continue a side to `size` pixels by reflection, edge pixels included, as often as it takes."""
    length = x.shape[dim]
    if length >= size:
        return x
    index = torch.arange(size, device=x.device) % (2 * length)
    return x.index_select(dim, torch.minimum(index, 2 * length - 1 - index))


def dihedral(x: Tensor, turn: int, inverse: bool = False) -> Tensor:
    """One of the 8 symmetries of the square: quarter turns `turn % 4`, after a flip if `turn` ≥ 4."""
    if inverse:
        x = x.rot90(-(turn % 4), dims=(2, 3))
        return x.flip(3) if turn >= 4 else x
    x = x.flip(3) if turn >= 4 else x
    return x.rot90(turn % 4, dims=(2, 3))
