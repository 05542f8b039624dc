"""Trained models as files: the one place that knows both model packages. Importing it imports no torch.

A `model.safetensors` says in its header how to build the network again (`variant`, `kwargs`, `tasks`) and where it
comes from (`experiment`, `run`, `model`, `fraction`, `seed`, …), so that a checkpoint alone is enough to score it.
"""

import difflib
import hashlib
import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.variants import VARIANTS as BASELINES
from ipt_models.files import replacing
from ipt_models.variants import VARIANTS as IPTS
from workflows.provenance import sha256

if TYPE_CHECKING:
    import torch

BUILT_FROM = ("variant", "kwargs", "tasks")
JSON_KEYS = ("kwargs", "tasks", "fraction", "seed")


class ModelFileError(ValueError):
    """A file that is not a model of this project, told in one message."""


def build(variant: str, tasks: Sequence[str], **kwargs: Any) -> "torch.nn.Module":
    """A network with fresh weights, called as `model(x, task)` on float RGB in [0, 1], (B, 3, H, W).

    Args:
        variant: a name in `ipt_models.VARIANTS` or `baselines.VARIANTS`.
        tasks: the tasks it restores; exactly one for the baselines.
        kwargs: arguments that override the variant's.

    Raises:
        ValueError: unknown variant, or several tasks for a network that has one head.
    """
    if variant in IPTS:
        import ipt_models

        model = ipt_models.build(variant, tuple(tasks), **kwargs)
    elif variant in BASELINES:
        import baselines

        if len(tasks) != 1:
            raise ValueError(
                f"{variant} restores one task, not {len(tasks)} ({', '.join(tasks)}): only IPT has several heads"
            )
        model = baselines.build(variant, tasks[0], **kwargs)
    else:
        known = (*IPTS, *BASELINES)
        near = difflib.get_close_matches(variant, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown model {variant!r}{hint} Allowed: {', '.join(known)}")
    model.built_from = {"variant": variant, "kwargs": kwargs, "tasks": list(tasks)}
    return model


def is_ipt(variant: str) -> bool:
    """Whether a variant is an IPT, which has patch features and takes windows of one size."""
    return variant in IPTS


def macs_per_output_pixel(variant: str, tasks: Sequence[str], **kwargs: Any) -> dict[str, float]:
    """Multiply-adds that a pixel of each task's output costs, counted on a 48×48 input (see `baselines.cost`)."""
    from baselines.cost import INPUT_SIZE, cost
    from ipt_models.tasks import parse_task

    return {task: cost(variant, task, "macs", **kwargs) / (INPUT_SIZE * parse_task(task).scale) ** 2 for task in tasks}


def save(model: "torch.nn.Module", path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write a network that `build` made. The file appears whole or not at all; equal weights give equal bytes.

    Args:
        metadata: where the weights come from; `variant`, `kwargs` and `tasks` are added.
    """
    from safetensors.torch import save as serialize

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header = {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in {**metadata, **model.built_from}.items()
    }
    with replacing(path) as temporary:
        temporary.write_bytes(_in_order(serialize(tensors, header)))


def copy(source: Path | str, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Copy a checkpoint with some of its header's entries replaced, without torch. It appears whole or not at all.

    The bytes are those that `save` writes for the same weights and entries.
    """
    changed = {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in metadata.items()
    }
    with replacing(path) as temporary, open(source, "rb") as old, open(temporary, "wb") as new:
        (length,) = struct.unpack("<Q", old.read(8))
        header = json.loads(old.read(length))
        header["__metadata__"] |= changed
        new.write(_encoded(header))
        shutil.copyfileobj(old, new)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """A checkpoint's header, without its weights and without torch.

    Raises:
        FileNotFoundError, ModelFileError: naming the file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ModelFileError(f"{path} is not a whole safetensors file ({error})") from None
    missing = [key for key in BUILT_FROM if key not in header]
    if missing:
        raise ModelFileError(f"{path} does not say how to build its network: no {', '.join(missing)} in its header")
    return {key: json.loads(value) if key in JSON_KEYS else value for key, value in header.items()}


def load(path: Path | str, device: str = "cpu") -> tuple["torch.nn.Module", dict[str, Any]]:
    """A trained network in evaluation mode, and its header.

    Raises:
        FileNotFoundError, ModelFileError: naming the file, and each missing, unknown or misshapen weight.
    """
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    model = build(metadata["variant"], metadata["tasks"], **metadata["kwargs"])
    try:
        model.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        raise ModelFileError(f"{path} does not hold the weights of {metadata['variant']}: {error}") from None
    return model.to(device).eval(), metadata


def origin(path: Path | str) -> dict[str, str]:
    """What provenance says of a checkpoint that a run starts from: `path`, `sha256`, `weights_sha256`."""
    return {"path": str(path), "sha256": sha256(path), "weights_sha256": weights_sha256(path)}


def weights_sha256(path: Path | str) -> str:
    """Hash of a checkpoint's weights without the header's entries: equal for equal weights under other names."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        digest = hashlib.sha256(_encoded({key: value for key, value in header.items() if key != "__metadata__"}))
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def initialise(network: "torch.nn.Module", path: Path | str) -> None:
    """Give a network that `build` made the weights of a checkpoint, to train on from there.

    The checkpoint may have more tasks: heads, tails and embeddings that the network lacks are left out.

    Raises:
        FileNotFoundError, ModelFileError: naming the file, and each missing, unknown or misshapen weight.
    """
    from safetensors.torch import load_file

    others = set(read_metadata(path)["tasks"]) - set(network.built_from["tasks"])
    tensors = {name: tensor for name, tensor in load_file(path).items() if not others & set(name.split("."))}
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelFileError(f"{path} does not fit {network.built_from['variant']}: {error}") from None


def _in_order(data: bytes) -> bytes:
    """Sort a safetensors header: the library writes metadata in an order that differs from process to process."""
    (length,) = struct.unpack("<Q", data[:8])
    return _encoded(json.loads(data[8 : 8 + length])) + data[8 + length :]


def _encoded(header: dict[str, Any]) -> bytes:
    encoded = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded
