"""From an image of a set to the model's input and its target."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ipt_models.tasks import Task
from workflows.data.degradations import degrade_image
from workflows.evaluation.image_files import Picture, read
from workflows.evaluation.protocol import Protocol, cropped
from workflows.evaluation.sets import Request, Sample, check_sizes


class Files(NamedTuple):
    """A sample's decoded files."""

    target: Picture
    input: Picture | None


def decode(sample: Sample, task: Task) -> Files:
    """Read a sample's files and check that it can be scored.

    Raises:
        ImageError: naming the file.
    """
    target = read(sample.target)
    given = read(sample.input) if sample.input else None
    check_sizes(sample, task, target.pixels.shape[:2], given.pixels.shape[:2] if given else None)
    return Files(target, given)


def target_pixels(files: Files, task: Task) -> np.ndarray:
    """The pixels that the output is compared with: the target cut to a multiple of the scale, uint8 (H, W, 3)."""
    height, width = cropped(*files.target.pixels.shape[:2], task)
    return files.target.pixels[:height, :width]


def degraded_pixels(files: Files, request: Request, sample: Sample, task: Task, protocol: Protocol) -> np.ndarray:
    """A model's input: the sample's own input, or its target degraded by the protocol.

    Noise and synthetic rain are seeded by set, image and task, so that every model on every machine sees the same
    pixels.

    Returns:
        (h, w, 3), uint8 for files and reduced images, float32 on the 0-255 scale, not rounded, for noise and rain.
    """
    if files.input is not None:
        return files.input.pixels
    clean = torch.from_numpy(files.target.pixels).permute(2, 0, 1)
    key = f"{request.name}/{sample.image}"
    low, _ = degrade_image(clean, task, key, protocol.bicubic, clip=protocol.noise == "clipped")
    if files.target.gray and protocol.gray == "matlab":
        low = low[:1].expand(3, -1, -1)  # one channel, one noise map
    return low.permute(1, 2, 0).contiguous().numpy()


def as_batch(pixels: np.ndarray) -> Tensor:
    """(h, w, 3) on the 0-255 scale -> float32 (1, 3, h, w) in [0, 1]."""
    return (
        torch.from_numpy(pixels).permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format) / 255
    )


def as_pixels(batch: Tensor) -> np.ndarray:
    """Float (1, 3, H, W) in [0, 1] -> uint8 (H, W, 3), clipped and rounded half up."""
    return batch[0].mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
