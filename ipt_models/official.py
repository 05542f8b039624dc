"""Converts the IPT authors' PyTorch checkpoints, in both directions.

Their files hold a plain state dict. Only this module translates names; sizes follow from names and shapes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from ipt_models.network import IPT, Position
from ipt_models.tasks import parse_task
from ipt_models.tensors import check_fit, read_tensors, unwrap

TASK_EMBED = "body.query_embed.weight"  # one row of N·D numbers per task
POSITION_IDS = "body.position_encoding.position_ids"  # 0 … N-1, a constant that our network does not need

# Our names -> theirs, without heads and tails.
NAMES = [
    (r"pos_embed", r"body.position_encoding.pe.weight"),
    (r"embed\.(weight|bias)", r"body.linear_encoding.\1"),
    (r"mlp\.fc1\.(weight|bias)", r"body.mlp_head.0.\1"),
    (r"mlp\.fc2\.(weight|bias)", r"body.mlp_head.3.\1"),
    (r"(encoder|decoder)\.(\d+)\.(norm\d\..*)", r"body.\1.layers.\2.\3"),
    (r"(encoder|decoder)\.(\d+)\.mlp\.fc(\d\..*)", r"body.\1.layers.\2.linear\3"),
    (r"(encoder|decoder)\.(\d+)\.(?:self_)?attn\.in_proj\.weight", r"body.\1.layers.\2.self_attn.in_proj_weight"),
    (r"(encoder|decoder)\.(\d+)\.(?:self_)?attn\.out_proj\.weight", r"body.\1.layers.\2.self_attn.out_proj.weight"),
    (r"decoder\.(\d+)\.cross_attn\.in_proj\.weight", r"body.decoder.layers.\1.multihead_attn.in_proj_weight"),
    (r"decoder\.(\d+)\.cross_attn\.out_proj\.weight", r"body.decoder.layers.\1.multihead_attn.out_proj.weight"),
    (r"((?:sub|add)_mean\..*)", r"\1"),
]


def load_official(
    checkpoint: str | PathLike[str] | Mapping[str, Tensor],
    tasks: Sequence[str] | None = None,
    position: Position | None = None,
    num_heads: int = 12,
    patch_size: int | None = None,
) -> IPT:
    """Make an IPT from one of the authors' checkpoints, or from one with their names and shapes.

    Loading runs no code from the file: only tensors are read (`weights_only`).

    Args:
        checkpoint: a file of PyTorch or a safetensors file, or a state dict; names may begin with `module.`.
        tasks: names of the tasks in the order of the heads. Optional if the shapes determine them: a head with a scale of 2,
            3 or 4 is super-resolution; one with scale 1 denoises or derains, and only the user knows which.
        position: `learned` (the default if there is an embedding) or `learned_every_layer`, which have the same shapes.
        num_heads: attention heads, which shapes do not show either; 12 in the authors' code.
        patch_size: needed only without an embedding; default 48, as in the authors' code.

    Raises:
        FileNotFoundError: no such file.
        ValueError: for a file that holds more than tensors, sizes that do not fit together, tasks that do not fit the
            heads; or naming the first keys that are missing, unknown or misshapen.
    """
    state = unwrap(checkpoint) if isinstance(checkpoint, Mapping) else read_tensors(checkpoint)
    sizes = infer_sizes(state)
    if patch_size is not None:
        sizes["patch_size"] = patch_size
    tasks = infer_tasks(state, tasks)
    if position is None:
        position = "learned" if any(".pe." in key for key in state) else "none"
    if position not in ("none", "learned", "learned_every_layer"):
        raise ValueError(f"position={position!r}: the authors have none, learned and learned_every_layer")
    model = IPT(tasks=tasks, position=position, num_heads=num_heads, **sizes)

    check_fit(state, to_official(model), f"the weights do not match an IPT of sizes {sizes}")

    weights = {name: state[official_name(name, tasks)] for name in model.state_dict() if "task_embed" not in name}
    if model.task_embed is not None:
        for task, row in zip(tasks, state[TASK_EMBED], strict=True):
            weights[f"task_embed.{task}"] = row.view_as(model.task_embed[task])
    model.load_state_dict(weights)
    return model


def to_official(model: IPT) -> dict[str, Tensor]:
    """The state dict that the authors' code would load, with their names and shapes.

    Raises:
        ValueError: for a position encoding that their code lacks.
    """
    if model.position not in ("none", "learned", "learned_every_layer"):
        raise ValueError(f"the authors' network has no position encoding {model.position!r}")
    weights = model.state_dict()
    state = {official_name(name, model.tasks): weights[name] for name in weights if "task_embed" not in name}
    if model.task_embed is not None:
        state[TASK_EMBED] = torch.stack([weights[f"task_embed.{task}"].flatten() for task in model.tasks])
    if model.pos_embed is not None:
        state[POSITION_IDS] = torch.arange(len(model.pos_embed)).unsqueeze(0)
    return state


def official_name(name: str, tasks: Sequence[str]) -> str:
    """The authors' name of one of our parameters."""
    if match := re.fullmatch(r"heads\.(\w+)\.(\d)\.(?:conv(\d)\.)?(weight|bias)", name):
        task, layer, conv, kind = match.groups()
        body = f".body.{2 * (int(conv) - 1)}" if conv else ""  # conv, ReLU, conv
        return f"head.{tasks.index(task)}.{layer}{body}.{kind}"
    if match := re.fullmatch(r"tails\.(\w+)\.(\d)\.(weight|bias)", name):
        task, layer, kind = match.groups()
        last = int(layer) == {1: 0, 2: 2, 3: 2, 4: 4}[parse_task(task).scale]  # after alternating convs and shuffles
        return f"tail.{tasks.index(task)}.{'1' if last else f'0.{layer}'}.{kind}"
    for ours, theirs in NAMES:
        if match := re.fullmatch(ours, name):
            return match.expand(theirs)
    raise ValueError(f"the authors' network has no {name}")


def infer_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of `IPT` that follow from names and shapes."""
    needed = {"head.0.0.weight": 4, "body.encoder.layers.0.linear1.weight": 2}
    for key, ndim in needed.items():
        if key not in state or state[key].ndim != ndim:
            actual = f"shape {tuple(state[key].shape)}" if key in state else "missing"
            raise ValueError(f"not an IPT checkpoint: {key} is {actual}, expected an array with {ndim} axes")
    num_feat = state["head.0.0.weight"].shape[0]
    embed_dim = state["body.encoder.layers.0.linear1.weight"].shape[1]
    patch_dim = math.isqrt(embed_dim // num_feat)
    if num_feat * patch_dim**2 != embed_dim:
        raise ValueError(f"not an IPT checkpoint: {embed_dim} numbers per token are not squares of {num_feat} features")

    tokens = (48 // patch_dim) ** 2  # without an embedding the weights fit all patch sizes
    for key, axis, divisor in ((POSITION_IDS, -1, 1), (TASK_EMBED, -1, embed_dim)):
        if key in state:
            tokens = state[key].shape[axis] // divisor
    grid = math.isqrt(tokens)
    if grid**2 != tokens or not tokens:
        raise ValueError(f"not an IPT checkpoint: {tokens} tokens are not a square grid")
    layers = [int(match[1]) for key in state if (match := re.match(r"body\.encoder\.layers\.(\d+)\.", key))]
    return {
        "num_feat": num_feat,
        "patch_dim": patch_dim,
        "patch_size": grid * patch_dim,
        "depth": max(layers) + 1,
        "norm": any(".norm" in key for key in state),
        "mlp": any(key.startswith(("body.linear_encoding", "body.mlp_head", "body.query_embed")) for key in state),
    }


def infer_scales(state: Mapping[str, Tensor]) -> list[int]:
    """The scale of each head, in their order."""
    scales: list[int] = []
    while f"head.{len(scales)}.0.weight" in state:
        tail = f"tail.{len(scales)}.0."
        if f"{tail}2.weight" in state:
            scales.append(4)
        elif f"{tail}0.weight" in state:
            num_feat = state[f"head.{len(scales)}.0.weight"].shape[0]
            scales.append(3 if state[f"{tail}0.weight"].shape[0] == 9 * num_feat else 2)
        else:
            scales.append(1)
    return scales


def infer_tasks(state: Mapping[str, Tensor], tasks: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks in the order of the heads, checked against the scales of the tails."""
    scales = infer_scales(state)
    if tasks is None:
        tasks = tuple(f"sr{scale}" for scale in scales)
        if 1 in scales or len(set(tasks)) < len(tasks):
            raise ValueError(
                f"heads of scales {scales}: shapes cannot tell their tasks, name them in this order, "
                "for example tasks=('sr2', 'sr3', 'sr4', 'dn30', 'dn50', 'dr')"
            )
    named = [parse_task(task).scale for task in tasks]
    if named != scales:
        raise ValueError(f"tasks={list(tasks)} have scales {named}, but the checkpoint's heads have {scales}")
    return tuple(tasks)
