"""Trained models as files: the one place that knows both model packages. Importing it imports no torch.

A `model.safetensors` says in its header how to build the network again (`variant`, `kwargs`, `tasks`) and where it
comes from (`experiment`, `run`, `model`, `fraction`, `seed`, …), so that a checkpoint alone is enough to score it.
"""

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.registry import VARIANTS as BASELINES
from baselines.registry import is_own, network_of
from ipt_models import checkpoints
from ipt_models.files import replacing
from ipt_models.suggestions import nearest
from ipt_models.variants import VARIANTS as IPTS
from workflows.provenance import sha256

if TYPE_CHECKING:
    import torch

ModelFileError = checkpoints.ModelFileError


def build(variant: str, tasks: Sequence[str], **kwargs: Any) -> "torch.nn.Module":
    """A network with fresh weights, called as `model(x, task)` on float RGB in [0, 1], (B, 3, H, W).

    Args:
        variant: a name in `ipt_models.VARIANTS` or `baselines.VARIANTS`, or a class of the user's (`baselines.own`).
        tasks: the tasks it restores; exactly one for the baselines.
        kwargs: arguments that override the variant's.

    Raises:
        ValueError: unknown variant, or several tasks for a network that has one head.
    """
    if variant in IPTS:
        import ipt_models

        model = ipt_models.build(variant, tuple(tasks), **kwargs)
    elif variant in BASELINES or is_own(variant):
        import baselines

        if len(tasks) != 1:
            raise ValueError(
                f"{variant} restores one task, not {len(tasks)} ({', '.join(tasks)}): only IPT has several heads"
            )
        model = baselines.build(variant, tasks[0], **kwargs)
    else:
        known = (*IPTS, *BASELINES)
        raise ValueError(f"unknown model {variant!r}{nearest(variant, known)}; allowed: {', '.join(known)}")
    model.built_from = {"variant": variant, "kwargs": model.config, "tasks": list(tasks)} | source(variant)
    return model


def check(variant: str, tasks: Sequence[str], kwargs: Mapping[str, Any]) -> None:
    """Whether a network can be built and, if it is a class of the user's, run: on the meta device where that is possible.

    Raises:
        ValueError: in one message.
    """
    if is_own(variant):
        from baselines.factory import resolve
        from baselines.own_network import check

        if len(tasks) == 1:
            return check(tasks[0], variant, **resolve(variant, tasks[0], dict(kwargs)))
    from_weights = network_of(variant).from_weights if variant in BASELINES else {}
    import torch

    try:
        with torch.device("meta"):
            build(variant, tasks, **{**kwargs, **from_weights})
    except (RuntimeError, TypeError):  # SwinIR reads numbers while it is built
        build(variant, tasks, **{**kwargs, **from_weights})
    return None


def source(variant: str) -> dict[str, str]:
    """`{"source_sha256": …}` of a user's class, found without running it; nothing for the networks of this project."""
    if not is_own(variant):
        return {}
    from baselines.own import source_sha256

    return {"source_sha256": source_sha256(variant)}


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
    checkpoints.write(model.state_dict(), path, {**metadata, **model.built_from})


def copy(source: Path | str, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Copy a checkpoint with some of its header's entries replaced, without torch. It appears whole or not at all.

    The bytes are those that `save` writes for the same weights and entries.
    """
    with replacing(path) as temporary, open(source, "rb") as old, open(temporary, "wb") as new:
        (length,) = struct.unpack("<Q", old.read(8))
        header = json.loads(old.read(length))
        header["__metadata__"] |= checkpoints.as_text(metadata)
        new.write(checkpoints.encode(header))
        shutil.copyfileobj(old, new)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """A checkpoint's header, without its weights and without torch.

    Raises:
        FileNotFoundError, ModelFileError: naming the file.
    """
    header = checkpoints.read_header(path)
    if "format" not in header and header["variant"].startswith("rdn"):
        header["kwargs"].setdefault("subtract_mean", False)  # RDN had no mean when this was written
    return {key: json.loads(value) if key in ("fraction", "seed") else value for key, value in header.items()}


def load(path: Path | str, device: str = "cpu") -> tuple["torch.nn.Module", dict[str, Any]]:
    """A trained network in evaluation mode, and its header.

    Raises:
        FileNotFoundError, ModelFileError: naming the file, and each missing, unknown or misshapen weight.
    """
    import torch
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    variant, kwargs, tasks = (metadata[key] for key in checkpoints.BUILT_FROM)
    try:
        if source(variant) != {key: metadata[key] for key in ("source_sha256",) if key in metadata}:
            raise ValueError(f"it was trained with another version of {variant}, which has changed since")
        if not is_own(variant):  # sizes first, without allocating anything
            with torch.device("meta"):
                checkpoints.check_shapes(path, build(variant, tasks, **kwargs).state_dict())
        model = build(variant, tasks, **kwargs)
    except ModelFileError:
        raise
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise ModelFileError(f"{path} holds no network that can be built here: {error}") from None
    checkpoints.check_shapes(path, model.state_dict())
    model.load_state_dict(load_file(path), strict=True)
    return model.to(device).eval(), metadata


def origin(path: Path | str) -> dict[str, str]:
    """What provenance says of a checkpoint that a run starts from: `path`, `sha256`, `weights_sha256`."""
    return {"path": str(path), "sha256": sha256(path), "weights_sha256": weights_sha256(path)}


def weights_sha256(path: Path | str) -> str:
    """Hash of a checkpoint's weights without the header's entries: equal for equal weights under other names."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        digest = hashlib.sha256(
            checkpoints.encode({key: value for key, value in header.items() if key != "__metadata__"})
        )
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
