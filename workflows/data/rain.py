"""Synthetic rain streaks for the task `dr`.

Rain is added light, as in the synthetic pairs that the deraining literature trains on (Yang et al., "Deep Joint Rain
Detection and Removal from a Single Image", CVPR 2017, whose Rain100L has one streak direction per image): convolution with an
oriented line turns sparse drops of random brightness into streaks. Every image of a batch has its own direction, length,
width, density and brightness.
"""

import math

import torch

# Uniform ranges, drawn per image: degrees from the vertical; pixels; drops per pixel; on the 0-1 scale.
ANGLE = (-40.0, 40.0)
LENGTH = (7.0, 31.0)
WIDTH = (0.4, 0.9)
DENSITY = (0.001, 0.005)
BRIGHTNESS = (0.1, 0.7)

_REACH = 20  # pixels from a streak's centre to the end of the longest, with its soft edge


def rain_streaks(
    batch: int, height: int, width: int, generator: torch.Generator, rows: slice = slice(None)
) -> torch.Tensor:
    """Draw the light that rain adds to a batch of images.

    Args:
        batch: number of images.
        height: of the images, in pixels.
        width: of the images, in pixels.
        generator: source of all random numbers; its device is the result's. What it draws depends only on the three sizes.
        rows: which of the images to return.

    Returns:
        float32 (len(rows), 1, height, width) >= 0, to be added to images on the 0-1 scale and clipped.
    """
    device = generator.device
    ranges = torch.tensor([ANGLE, LENGTH, WIDTH, DENSITY, BRIGHTNESS], device=device)
    position = torch.rand((batch, 5), generator=generator, device=device)  # in each range
    # One number per pixel decides whether a drop starts there and how bright it is.
    chance = torch.rand((batch, height + 2 * _REACH, width + 2 * _REACH), generator=generator, device=device)
    parameters = ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * position[rows]
    angle, length, thickness, density, brightness = parameters[:, :, None, None].unbind(1)
    chance = chance[rows]
    drops = torch.where(chance < density, brightness * (0.5 + chance / density), 0.0)

    kernel = _lines(angle, length, thickness)
    size = drops.shape[1:]
    streaks = torch.fft.irfft2(torch.fft.rfft2(drops) * torch.fft.rfft2(kernel, s=size), s=size)
    # The kernel's centre and the image's corner among the drops are both at (_REACH, _REACH), so the circular convolution
    # wraps around only outside the part that is kept.
    return streaks[:, None, 2 * _REACH :, 2 * _REACH :].clamp_min(0)


def _lines(angle: torch.Tensor, length: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """One oriented line per image, with Gaussian sides and tapered ends, 1 at its centre: (B, 2 reach + 1, 2 reach + 1).

    Arguments have shape (B, 1, 1)."""
    axis = torch.arange(-_REACH, _REACH + 1, device=angle.device, dtype=torch.float32)
    down, right = axis[:, None], axis[None, :]
    sine, cosine = torch.sin(angle * (math.pi / 180)), torch.cos(angle * (math.pi / 180))
    along, across = cosine * down + sine * right, cosine * right - sine * down
    taper = torch.exp(-2 * (2 * along / length) ** 4)  # flat in the middle, 0.14 of its height at half the length
    return torch.exp(-0.5 * (across / width) ** 2) * taper
