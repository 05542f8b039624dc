"""Trained models as files, for both model packages. Importing it imports no torch.

A `model.safetensors` says in its header how to build the network again (`variant`, `kwargs`, `tasks`) and its origin
(`experiment`, `run`, `model`, `fraction`, `seed`, …), so that a checkpoint alone is enough to score it.
"""

import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.own import is_own
from baselines.registry import NETWORKS, network_of
from baselines.registry import VARIANTS as BASELINES
from ipt_models import weights_file
from ipt_models.files import replacing
from ipt_models.suggestions import nearest
from ipt_models.variants import VARIANTS as IPTS
from workflows import provenance
from workflows.provenance import sha256

if TYPE_CHECKING:
    import torch

ModelFileError = weights_file.ModelFileError
weights_sha256 = weights_file.weights_sha256


def build(variant: str, tasks: Sequence[str], **kwargs: Any) -> "torch.nn.Module":
    """A network with fresh weights, called as `model(x, task)` on float RGB in [0, 1], (B, 3, H, W).

    Args:
        variant: a name in `ipt_models.VARIANTS` or `baselines.VARIANTS`, or a user's class (`baselines.own`).
        tasks: the tasks it restores; exactly one for the baselines.
        kwargs: arguments that override the variant's.

    Raises:
        ValueError: for an unknown variant, or several tasks for a network with one head.
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


def check(variant: str, tasks: Sequence[str], kwargs: Mapping[str, Any], patch_size: int = 48) -> int:
    """Check that a network can be built and, if it is a user's class, run: on the meta device if possible.

    Args:
        patch_size: side of the training's input patches.

    Returns:
        Its number of parameters; 0 for a user's class.

    Raises:
        ValueError: in one message.
    """
    if is_own(variant):
        from baselines.factory import resolve
        from baselines.own_network import check

        if len(tasks) == 1:
            check(tasks[0], variant, patch_size, **resolve(variant, tasks[0], dict(kwargs)))
            return 0
    from_weights = network_of(variant).from_weights if variant in BASELINES else {}
    import torch

    try:
        with torch.device("meta"):
            network = build(variant, tasks, **{**kwargs, **from_weights})
    except (RuntimeError, TypeError):  # other projects' networks may read values while they are built
        network = build(variant, tasks, **{**kwargs, **from_weights})
    return sum(parameter.numel() for parameter in network.parameters())


def source(variant: str) -> dict[str, str]:
    """`{"source_sha256": …}` of a user's class, computed without running it; empty for this project's networks."""
    if not is_own(variant):
        return {}
    from baselines.own import source_sha256

    return {"source_sha256": source_sha256(variant)}


def is_ipt(variant: str) -> bool:
    """Whether a variant is an IPT, which has patch features and restores windows of one size."""
    return variant in IPTS


def code(stage: str, variant: str | None = None, kwargs: Mapping[str, Any] | None = None) -> str:
    """Hash of the code that a stage's numbers depend on: the stage and this network, but no other network.

    Args:
        stage: name of its main module, for example `workflows.training.loop`.
        variant: the network; None if no network computes. For a user's class see `source`.
        kwargs: its arguments; `match` makes it depend on another network as well.
    """
    homes = {name: network.class_path.partition(":")[0] for network in NETWORKS for name in network.variants}
    homes |= dict.fromkeys(IPTS, "ipt_models.network")
    needed = {homes[name] for name in (variant, *(kwargs or {}).get("match", {}).values()) if name in homes}
    factory = set() if variant is None or is_ipt(variant) else {"baselines.factory"}
    roots = (stage, *sorted(needed | factory))
    return provenance.code(roots, without=tuple(sorted({*homes.values()} - needed)))


def matched(network: "torch.nn.Module", kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that `match` chose for a network that `build` made with `kwargs`; None without `match`."""
    if "match" not in kwargs:
        return None
    from baselines.matching import sizing_of

    sizing = sizing_of(network.built_from["variant"], kwargs["match"])
    return {key: network.config[key] for key in (sizing.width, sizing.depth, sizing.follows) if key}


def macs_per_output_pixel(variant: str, tasks: Sequence[str], **kwargs: Any) -> dict[str, float]:
    """Multiply-adds per output pixel of each task, counted on a 48×48 input (see `baselines.cost`)."""
    from baselines.cost import INPUT_SIZE, cost
    from ipt_models.tasks import parse_task

    return {task: cost(variant, task, "macs", **kwargs) / (INPUT_SIZE * parse_task(task).scale) ** 2 for task in tasks}


def save(model: "torch.nn.Module", path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write a network that `build` made. The file appears whole or not at all; equal weights give equal bytes.

    Args:
        metadata: where the weights come from; `variant`, `kwargs` and `tasks` are added.
    """
    weights_file.write(model.state_dict(), path, {**metadata, **model.built_from})


def copy(source: Path | str, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Copy a checkpoint with some of its header's entries replaced, without torch. It appears whole or not at all.

    The bytes are those that `save` writes for the same weights and entries.
    """
    with replacing(path) as temporary, open(source, "rb") as old, open(temporary, "wb") as new:
        (length,) = struct.unpack("<Q", old.read(8))
        header = json.loads(old.read(length))
        header["__metadata__"] |= weights_file.as_text(metadata)
        new.write(weights_file.encode(header))
        shutil.copyfileobj(old, new)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """A checkpoint's header, without its weights and without torch.

    Raises:
        FileNotFoundError, ModelFileError: naming the file.
    """
    header = weights_file.read_header(path)
    return {key: json.loads(value) if key in ("fraction", "seed") else value for key, value in header.items()}


def is_native(path: Path | str) -> bool:
    """Whether a file is one of this project: safetensors with a header that says how to build its network.

    Raises:
        FileNotFoundError, ModelFileError: if it is missing, or has a safetensors suffix but is not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            return bool(set(weights_file.BUILT_FROM) & set(file.metadata() or {}))
    except SafetensorError as error:
        if path.suffix == ".safetensors":
            raise ModelFileError(f"{path} is damaged or not a safetensors file ({error})") from None
        return False


def load(
    path: Path | str,
    device: str = "cpu",
    tasks: Sequence[str] | None = None,
    own: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> tuple["torch.nn.Module", dict[str, Any]]:
    """A trained network in evaluation mode, and its header.

    Args:
        path: a file of this project, or another project's checkpoint (see `workflows.foreign`).
        tasks: the tasks of another project's network, if its weights do not show them.
        own: the user's class that the weights are for; in a file of this project it takes the place of the recorded one, which
            may have changed or moved since.
        kwargs: its arguments; None: those that a file of this project records.

    Raises:
        FileNotFoundError, ModelFileError: naming the file, and each missing, unknown or misshapen weight.
    """
    if not is_native(path):
        from workflows import foreign

        try:
            network, metadata = foreign.load(path, tasks, own, kwargs)
        except ValueError as error:
            raise ModelFileError(str(error)) from None
        return network.to(device), metadata | (source(own) if own else {})
    import torch
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    variant, recorded, heads = (metadata[key] for key in weights_file.BUILT_FROM)
    if own is not None and not is_own(variant):
        raise ModelFileError(f"{path} holds {variant}, a network of this project; leave out {own}")
    try:
        if own is None:
            _check_unchanged(variant, metadata)
        variant, kwargs = own or variant, recorded if kwargs is None else kwargs
        if not is_own(variant):  # sizes first, without allocating anything
            with torch.device("meta"):
                weights_file.check_shapes(path, build(variant, heads, **kwargs).state_dict())
        model = build(variant, heads, **kwargs)
    except ModelFileError:
        raise
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise ModelFileError(f"{path} holds no network that can be built here: {error}") from None
    weights_file.check_shapes(path, model.state_dict(), f"{own} with kwargs {dict(kwargs)} has" if own else None)
    weights_file.check_intact(path, metadata)
    model.load_state_dict(load_file(path), strict=True)
    return model.to(device).eval(), metadata | (model.built_from if own else {})


def _check_unchanged(variant: str, metadata: Mapping[str, Any]) -> None:
    """Refuse a user's class whose file is gone or is not the one that the weights were trained with."""
    try:
        if source(variant) == {key: metadata[key] for key in ("source_sha256",) if key in metadata}:
            return
        reason, place = f"it was trained with another version of {variant}, which has changed since", variant
    except ValueError as error:
        reason, place = str(error), f"path/to/{Path(variant).name}" if ".py:" in variant else variant
    raise ValueError(f"{reason}. To load the weights into a class as it is now, name it: --network {place}")


def origin(path: Path | str) -> dict[str, str]:
    """The provenance entry of a checkpoint that a run starts from: `path`, `sha256`, `weights_sha256`."""
    return {"path": str(path), "sha256": sha256(path), "weights_sha256": weights_sha256(path)}


def initialise(network: "torch.nn.Module", path: Path | str) -> None:
    """Load a checkpoint's weights into a network that `build` made, to continue training from there.

    The checkpoint may have more tasks: heads, tails and embeddings that the network lacks are ignored.

    Raises:
        FileNotFoundError, ModelFileError: naming the file, and each missing, unknown or misshapen weight.
    """
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    weights_file.check_intact(path, metadata)
    others = set(metadata["tasks"]) - set(network.built_from["tasks"])
    tensors = {name: tensor for name, tensor in load_file(path).items() if not others & set(name.split("."))}
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelFileError(f"{path} does not fit {network.built_from['variant']}: {error}") from None
