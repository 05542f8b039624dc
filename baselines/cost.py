"""What a network costs: parameters, and multiply-adds for a 48×48 input. The same measure for IPT and the baselines."""

from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import baselines
import ipt_models
from baselines.own import is_own
from baselines.registry import network_of
from ipt_models.variants import VARIANTS as IPT_VARIANTS

INPUT_SIZE = 48  # the LR patches of IPT's paper


def count_parameters(model: nn.Module) -> int:
    """All parameters, frozen ones too. VGG19's weights in IGNN are buffers and do not count, as in the field's tables."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, task: str) -> int:
    """Multiply-adds of all convolutions and matrix products for a 48×48 input.

    IPT takes patches of one size; if that is not 48, its count is scaled by area. IGNN's includes VGG19 and the
    search. Additions, activations, norms and interpolation do not count, as is the custom.

    Args:
        model: from `build_shape`; it is frozen here, and in evaluation mode afterwards.
        task: one of the model's tasks.
    """
    size = getattr(model, "patch_size", INPUT_SIZE)
    device = next(model.parameters()).device
    # the counter's module hooks fail on slices of parameters that require gradients; batch norms refuse one value a channel
    model.requires_grad_(False).eval()
    # the counter does not know fused attention, only the matrix products of the plain one
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 3, size, size, device=device), task)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return round(counter.get_total_flops() / 2 * (INPUT_SIZE / size) ** 2)


def build_shape(variant: str, task: str, **kwargs: Any) -> nn.Module:
    """A network of either package, for counting: where possible on the meta device, which holds shapes without values.

    Networks that read values while they are built or run are built on the CPU. Weights that a network would load from elsewhere
    are not needed here.

    Raises:
        ValueError: for an unknown variant, or arguments that the network refuses.
    """
    if variant in IPT_VARIANTS:
        with torch.device("meta"):
            return ipt_models.build(variant, (task,), **kwargs)
    kwargs |= network_of(variant).from_weights
    try:
        with torch.device("meta"), torch.no_grad():
            model = baselines.build(variant, task, **kwargs)
            if is_own(variant):
                model.eval()(torch.empty(1, 3, INPUT_SIZE, INPUT_SIZE))
            return model
    except Exception:  # SwinIR reads values, and a user's class may raise anything
        model = baselines.build(variant, task, **kwargs)
        return model if is_own(variant) else model.to("meta")


def cost(variant: str, task: str, measure: str, **kwargs: Any) -> int:
    """`params` or `macs` of a variant of either package."""
    model = build_shape(variant, task, **kwargs)
    return count_parameters(model) if measure == "params" else count_macs(model, task)
