"""Reads state dicts from files: only tensors, never code."""

import pickle
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ipt_models.weights_file import misfits

# Keys under which training programs save a state dict; averaged weights first.
WRAPPERS = ("params_ema", "params-ema", "model_state_dict", "state_dict", "params", "model", "net", "netG")
PREFIXES = ("module.", "_orig_mod.", "netG.")  # of DataParallel, torch.compile and BasicSR's discriminators


def read_tensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """A checkpoint's state dict, without the wrapping and the prefixes of training programs.

    Args:
        path: a file of PyTorch or a safetensors file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: for a file that is damaged, holds objects other than tensors, or no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        return unwrap(load_file(path) if path.suffix == ".safetensors" else _load_pickle(path), str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error})") from None


def _load_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises loading the file unsafely
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({named[1]})" if named else ""
        raise ValueError(
            f"{path} is not a plain PyTorch state dict: it holds objects other than tensors{what}, which could run code when "
            "they are loaded, or it is damaged. Save only the state dict in the program that made the file"
        ) from None
    except Exception as error:  # other bytes that are not a pickle raise many kinds of errors
        raise ValueError(
            f"{path} is not a plain PyTorch state dict, or it is damaged ({type(error).__name__})"
        ) from None


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], otherwise: str) -> None:
    """Compare a state dict with a network's by name and shape.

    Raises:
        ValueError: `otherwise`, and the first of the missing, unknown and misshapen tensors.
    """
    if faults := misfits({name: tuple(tensor.shape) for name, tensor in state.items()}, expected):
        raise ValueError(f"{otherwise}:{faults}")


def unwrap(state: Any, name: str = "the checkpoint") -> dict[str, Tensor]:
    """The state dict inside a saved object; `name` is its name in messages.

    Raises:
        ValueError: if anything but tensors is left.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"{name} holds a {type(state).__name__}, not a state dict")
    for key in WRAPPERS:
        if isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if foreign := [str(key) for key, value in state.items() if not isinstance(value, Tensor)]:
        raise ValueError(f"{name} is not a state dict of tensors: {', '.join(foreign[:5])} hold something else")
    if not state:
        raise ValueError(f"{name} holds no tensors")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)
