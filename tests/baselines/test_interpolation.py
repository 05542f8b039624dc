"""The references that learn nothing."""

import torch

import baselines
from baselines.bicubic import bicubic_resize


def test_bicubic_enlarges_by_the_uint8_rule():
    pixels = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    restored = baselines.build("bicubic", "sr3")(pixels / 255, "sr3")
    assert restored.dtype == torch.float32
    assert torch.equal((restored * 255).round().byte(), bicubic_resize(pixels, 3))
    assert (restored * 255 - (restored * 255).round()).abs().max() < 1e-4


def test_bicubic_rounds_an_input_between_grey_levels_first():
    between = torch.full((1, 3, 4, 4), 100.4 / 255)
    assert torch.equal(baselines.build("bicubic", "sr2")(between), torch.full((1, 3, 8, 8), 100 / 255))


def test_identity_returns_its_input():
    x = torch.rand(1, 3, 5, 6)
    assert torch.equal(baselines.build("identity", "dn50")(x, "dn50"), x)
