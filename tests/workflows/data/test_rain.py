"""Rain against a convolution drop by drop."""

import torch
from torch.nn.functional import conv2d

from workflows.data import rain


def test_streaks_are_drops_drawn_out_by_a_line_without_wrapping_around():
    generator = torch.Generator().manual_seed(0)
    streaks = rain.rain_streaks(2, 30, 24, generator)
    generator.manual_seed(0)
    ranges = torch.tensor([rain.ANGLE, rain.LENGTH, rain.WIDTH, rain.DENSITY, rain.BRIGHTNESS])
    share = torch.rand((2, 5), generator=generator)
    chance = torch.rand((2, 70, 64), generator=generator)
    for image in range(2):
        angle, length, width, density, brightness = ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * share[image]
        drops = torch.where(chance[image] < density, brightness * (0.5 + chance[image] / density), 0.0)
        line = rain._lines(*(value.view(1, 1, 1) for value in (angle, length, width)))
        expected = conv2d(drops[None, None], line.flip(-1, -2)[None])[0]
        assert (streaks[image] - expected).abs().max() < 1e-5
    assert streaks.max() > 0.05
