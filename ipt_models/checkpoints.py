"""Saving and loading an IPT, without the workflow. Imports torch only when a network is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from ipt_models import weights_file
from ipt_models.variants import VARIANTS, build

if TYPE_CHECKING:
    from ipt_models.network import IPT

CONVERT = "for a checkpoint of the IPT authors see python -m ipt_models convert"


def save(model: IPT, path: str | PathLike[str], metadata: Mapping[str, Any] | None = None) -> None:
    """Write an IPT; the file appears whole or not at all.

    Args:
        metadata: further header entries; values that are not text become JSON.
    """
    sizes = {name: kwargs for name, kwargs in VARIANTS.items() if kwargs.items() <= model.config.items()}
    built_from = {
        "variant": next(iter(sizes), "ipt_base"),  # a label: kwargs are complete
        "kwargs": model.config,
        "tasks": list(model.tasks),
    }
    weights_file.write(model.state_dict(), path, {**(metadata or {}), **built_from})


def load(path: str | PathLike[str]) -> IPT:
    """Read an IPT, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ModelFileError: for a file that is not a whole safetensors file, does not say how to build an IPT, or does not
            hold exactly its weights.
    """
    import torch
    from safetensors.torch import load_file

    try:
        header = weights_file.read_header(path)
        with torch.device("meta"):
            shapes = build(header["variant"], header["tasks"], **header["kwargs"]).state_dict()
        weights_file.check_shapes(path, shapes)
        weights_file.check_intact(path, header)
    except weights_file.ModelFileError as error:
        raise weights_file.ModelFileError(f"{error}; {CONVERT}") from None
    except (TypeError, ValueError) as error:
        raise weights_file.ModelFileError(f"{path} holds no IPT of this project: {error}") from None
    model = build(header["variant"], header["tasks"], **header["kwargs"])
    model.load_state_dict(load_file(path))
    return model.eval()
