"""What a network costs: parameters, and multiply-adds for a 48×48 input. The same measure for IPT and the baselines."""

from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import baselines
import ipt_models
from baselines.registry import is_own, network_of
from ipt_models.variants import VARIANTS as IPT_VARIANTS

INPUT_SIZE = 48  # the LR patches of IPT's paper


def count_parameters(model: nn.Module) -> int:
    """All parameters, frozen ones too. VGG19's weights in IGNN are buffers and do not count, as in the field's tables."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, task: str) -> int:
    """Multiply-adds of all convolutions and matrix products for a 48×48 input.

    IPT takes one size of patch; where that is another, its count is scaled by the area. IGNN's includes VGG19 and the
    search. Additions, activations, norms and interpolation do not count, as is the custom.

    Args:
        model: from `build_shape`; it is frozen here.
        task: one that it has.
    """
    size = getattr(model, "patch_size", INPUT_SIZE)
    device = next(model.parameters()).device
    model.requires_grad_(False)  # the counter's module hooks stumble over slices of parameters that want gradients
    # the counter does not know a CPU's fused attention, but the products that it is made of
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, size, size, device=device), task)
    return round(counter.get_total_flops() / 2 * (INPUT_SIZE / size) ** 2)


def build_shape(variant: str, task: str, **kwargs: Any) -> nn.Module:
    """A network of either package, for counting: on the meta device, shapes without numbers or work, where it can be.

    Not IPT, which forbids autocast by name, while torch knows none on the meta device; nor networks that read numbers
    while they are built. Weights that a network would load from elsewhere are not needed here.

    Raises:
        ValueError: for an unknown variant, or arguments that the network refuses.
    """
    if variant in IPT_VARIANTS:
        return ipt_models.build(variant, (task,), **kwargs)
    kwargs |= network_of(variant).from_weights
    try:
        with torch.device("meta"):
            return baselines.build(variant, task, **kwargs)
    except (RuntimeError, NotImplementedError, ValueError):  # SwinIR reads numbers, and so may a user's class
        model = baselines.build(variant, task, **kwargs)
        return model if is_own(variant) else model.to("meta")


def cost(variant: str, task: str, measure: str, **kwargs: Any) -> int:
    """`params` or `macs` of a variant of either package."""
    model = build_shape(variant, task, **kwargs)
    return count_parameters(model) if measure == "params" else count_macs(model, task)
