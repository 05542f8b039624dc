"""Networks that are compared start alike: a first loss and gradient of one order, by one learning rate and one clipping."""

import torch
from torch.nn.functional import interpolate, l1_loss

from workflows import models

# SwinIR is left out: its own scale is [0, 1], as in its authors' checkpoints, which makes its gradient ten times as large.
NETWORKS = ("ipt_tiny", "edsr_tiny", "rdn_tiny", "ignn_tiny")


def first_step(variant: str, **kwargs) -> tuple[float, float]:
    """L1 on the 0-255 scale of the first step, and the gradient's norm, on smooth random patches."""
    torch.manual_seed(0)
    coarse = torch.rand(4, 3, 6, 6)
    y = interpolate(coarse, size=(48, 48), mode="bicubic").clamp(0, 1)
    x = interpolate(y, size=(24, 24), mode="area")
    model = models.build(variant, ["sr2"], **kwargs)
    loss = 255 * l1_loss(model(x), y)
    loss.backward()
    gradients = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    return loss.item(), torch.stack(gradients).norm().item()


def test_first_loss_and_gradient_are_of_one_order():
    found = {variant: first_step(variant) for variant in NETWORKS}
    losses, norms = zip(*found.values(), strict=True)
    assert max(losses) < 1.5 * min(losses), found
    assert max(norms) < 4 * min(norms), found


def test_rdn_without_the_mean_starts_far_off():
    with_mean, without = first_step("rdn_tiny"), first_step("rdn_tiny", subtract_mean=False)
    assert without[0] > 1.5 * with_mean[0]
