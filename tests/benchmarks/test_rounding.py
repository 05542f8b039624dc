"""Simulated rounding against torch's own bfloat16."""

import torch
import torch.nn.functional as F

from benchmarks.rounding import BITS, round_mantissa, rounded_products


def test_seven_bits_are_bfloat16():
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-20, 20, 10_000)
    assert torch.equal(round_mantissa(values, BITS["bf16"]), values.bfloat16().float())
    assert not torch.equal(round_mantissa(values, BITS["tf32"]), values.bfloat16().float())


def test_products_round_their_inputs_forward_and_backward_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(8, 8, generator=generator).requires_grad_() for _ in range(2))
    with rounded_products(BITS["bf16"]):
        y = F.linear(x, weight) + x
        y.square().sum().backward()
    low_x, low_weight = (value.detach().bfloat16().float() for value in (x, weight))
    torch.testing.assert_close(y, low_x @ low_weight.T + x)
    gradient = 2 * y.detach()
    torch.testing.assert_close(x.grad, gradient.bfloat16().float() @ low_weight + gradient)
