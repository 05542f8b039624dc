"""Where a run computes and in which precision: Lightning Fabric, set up from the recipe."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import Precision
from lightning_fabric.utilities.apply_func import apply_to_collection
from torch import Tensor

from workflows.experiment import Training


class BFloat16Mixed(Precision):
    """bfloat16 autocast that leaves the network's input alone.

    Fabric's own rounds inputs to bfloat16, whose 8 significant bits put a bright pixel off by up to half a grey level
    before the network has subtracted the mean. Scoring in bfloat16 does not do that either.
    """

    precision = "bf16-mixed"

    def __init__(self, device_type: str) -> None:
        self._device_type = device_type

    def forward_context(self) -> AbstractContextManager:
        return torch.autocast(self._device_type, torch.bfloat16)

    def convert_output(self, data: Any) -> Any:
        return apply_to_collection(data, Tensor, lambda x: x.float() if x.is_floating_point() else x)


def make_fabric(recipe: Training) -> tuple[Fabric, str]:
    """Fabric on the recipe's device, and the precision that it computes in (`auto` resolved)."""
    precision = resolve_precision(recipe.precision, recipe.accelerator)
    cuda = recipe.accelerator == "cuda" or (recipe.accelerator == "auto" and torch.cuda.is_available())
    device = "cuda" if cuda else "cpu"
    options = {"plugins": [BFloat16Mixed(device)]} if precision == "bf16-mixed" else {"precision": precision}
    return Fabric(accelerator=device, devices=1, **options), precision


def resolve_precision(precision: str, accelerator: str) -> str:
    """`auto` becomes `bf16-mixed` where that is faster: on GPUs with bf16 and on CPUs with matrix units (AMX); else `32-true`.

    With AVX512-BF16 alone a training step took 1.2 to 1.8 times as long as in float32, for convolutions and transformers.
    """
    if precision != "auto":
        return precision
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if torch.cpu._is_amx_tile_supported() else "32-true"
