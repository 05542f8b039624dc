"""How clean images become the network's input: reduced (`sr`), noisy (`dn`) or rainy (`dr`).

Super-resolution reduces uint8 images by MATLAB's bicubic with its rounding, like the files that the field shares. Noise and
rain are added on the 0-255 scale and clipped to it, but not rounded.
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from baselines.bicubic import bicubic_resize
from ipt_models.dihedral import COUNT
from ipt_models.dihedral import dihedral as symmetry
from ipt_models.tasks import Task, parse_task
from workflows.data.crops import REACH
from workflows.data.rain import rain_streaks

if TYPE_CHECKING:
    from workflows.data.batches import Batch
from workflows.data.schedule import NOISE, RAIN, integer_seed

__all__ = ["bicubic_resize", "degrade_image", "dihedral", "make_pairs"]


def make_pairs(
    batch: "Batch", patch_size: int, seed: int, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Degrade and augment a batch of crops on the training device; crops of pairs bring their own inputs.

    The low-resolution patch of a crop equals, bit for bit, the same cut from the whole image reduced. Noise and rain are a
    function of (seed, step): they are drawn for the whole global batch, whichever of its rows the batch holds.

    Args:
        batch: of the crops, in host memory or already on the device.
        patch_size: side p of the network's input, the one that the batch was cut for.
        seed: of the run.
        device: where to compute.

    Returns:
        (x, y): network input (B, 3, p, p) and target (B, 3, s*p, s*p), float32 RGB in [0, 1].
    """
    task = parse_task(batch.task)
    crops = batch.hr.to(device, non_blocking=True)
    transforms = batch.transforms.to(device, non_blocking=True)
    if batch.paired:
        side = task.scale * patch_size
        clean, low = crops[..., :side, :], crops[..., side:, :patch_size]
        return tuple(_to_unit(dihedral(patches, transforms)) for patches in (low, clean))
    if task.kind == "sr":
        margin = REACH * task.scale
        low = bicubic_resize(crops, 1 / task.scale)[..., REACH:-REACH, REACH:-REACH]
        clean = dihedral(crops[..., margin:-margin, margin:-margin], transforms)
        return _to_unit(dihedral(low, transforms)), _to_unit(clean)

    clean = _to_unit(dihedral(crops, transforms))
    rows = slice(batch.first_row, batch.first_row + len(batch))  # of the global batch
    generator = torch.Generator(device)
    if task.kind == "dn":
        generator.manual_seed(integer_seed(seed, NOISE, batch.step))
        shape = (batch.global_size, 3, patch_size, patch_size)
        noise = torch.randn(shape, generator=generator, device=device)[rows]
        return torch.add(clean, noise, alpha=task.sigma / 255).clamp_(0, 1), clean
    generator.manual_seed(integer_seed(seed, RAIN, batch.step))
    streaks = rain_streaks(batch.global_size, patch_size, patch_size, generator, rows)
    return (clean + streaks).clamp_(0, 1), clean


def _to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels of 0 to 255 as float32 in [0, 1], the same bits on every device."""
    # CUDA multiplies by the reciprocal of a Python number, which rounds differently; it divides by a tensor of its own.
    return pixels.float().div_(torch.full((), 255.0, device=pixels.device))


def dihedral(images: torch.Tensor, transforms: torch.Tensor) -> torch.Tensor:
    """Flip and rotate each image of a batch by its own transform.

    Args:
        images: (B, C, side, side), square.
        transforms: (B,) integers in 0..7: bit 0 flips left and right, bit 1 up and down, bit 2 transposes (last).

    Returns:
        Same shape and type.
    """
    count, channels, side, _ = images.shape
    sources = _dihedral_sources(side, images.device)[transforms]  # one look-up per pixel costs less than masked flips
    sources = sources[:, None].expand(count, channels, side * side)
    return images.reshape(count, channels, side * side).gather(2, sources).view(images.shape)


@lru_cache(maxsize=16)
def _dihedral_sources(side: int, device: torch.device) -> torch.Tensor:
    """(8, side * side): for each transform, which pixel of the image each pixel of the result is."""
    pixels = torch.arange(side * side, device=device).view(side, side)
    return torch.stack([symmetry(pixels, transform).flatten() for transform in range(COUNT)])


def degrade_image(
    hr: torch.Tensor, task: str | Task, noise_key: str, bicubic: Literal["uint8", "float"] = "uint8", clip: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Degrade a whole image for scoring.

    Args:
        hr: uint8 RGB, (3, H, W).
        task: the task.
        noise_key: seeds noise and rain, for example "Set5/baby"; the same key gives the same noise on every machine.
        bicubic: `uint8` rounds after each of the two axes, as MATLAB does on uint8 images; `float` rounds once at the
            end, as files made with a floating-point resize are.
        clip: whether noisy values are clipped to [0, 255]; some papers do not.

    Returns:
        (lr, hr): for `sr`, uint8 (3, H // s, W // s) and hr cropped to a multiple of the scale s; for `dn` and `dr`, float32
        (3, H, W) on the 0-255 scale, not rounded, and hr unchanged.

    Raises:
        ValueError: if hr is not uint8 of shape (3, H, W), or smaller than the scale.
    """
    task = parse_task(task) if isinstance(task, str) else task
    if hr.dtype != torch.uint8 or hr.ndim != 3 or hr.shape[0] != 3 or min(hr.shape[1:]) < task.scale:
        raise ValueError(
            f"expected a uint8 image (3, H, W) of at least {task.scale} pixels a side, got {hr.dtype} {tuple(hr.shape)}"
        )
    if task.kind == "sr":
        hr = hr[:, : hr.shape[1] // task.scale * task.scale, : hr.shape[2] // task.scale * task.scale]
        if bicubic == "uint8":
            return bicubic_resize(hr, 1 / task.scale), hr
        low = bicubic_resize(hr.double(), 1 / task.scale)
        return (low + 0.5).floor().clamp(0, 255).to(torch.uint8), hr

    seed = int.from_bytes(hashlib.sha256(f"{task.name}:{noise_key}".encode()).digest()[:7], "big")
    if task.kind == "dn":
        # numpy's Philox gives the same numbers on every machine; torch's depend on the device.
        noise = np.random.Generator(np.random.Philox(seed)).standard_normal(hr.shape)
        noisy = hr.float() + torch.from_numpy(noise).float() * task.sigma
        return (noisy.clamp(0, 255) if clip else noisy), hr
    streaks = rain_streaks(1, hr.shape[1], hr.shape[2], torch.Generator().manual_seed(seed))[0]
    return (hr.float() + 255 * streaks).clamp(0, 255), hr
