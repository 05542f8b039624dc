"""From a variant's name to a network. Each network's module is imported only when it is asked for: basicsr is slow."""

import difflib
import importlib
import inspect
from typing import TYPE_CHECKING, Any

from baselines.variants import ARGUMENTS, VARIANTS
from ipt_models.tasks import parse_task

if TYPE_CHECKING:
    from torch import nn

NETWORKS = {
    "edsr": ("baselines.edsr", "EDSR"),
    "rdn": ("baselines.rdn", "RDN"),
    "ignn": ("baselines.ignn", "IGNN"),
    "swinir": ("baselines.swinir", "SwinIR"),
    "bicubic": ("baselines.interpolation", "Bicubic"),
    "identity": ("baselines.interpolation", "Identity"),
}


def build(name: str, task: str, **kwargs: Any) -> "nn.Module":
    """Build a baseline for one task.

    Args:
        name: a key of `VARIANTS`.
        task: a task name, for example `sr2`, `dn30` or `dr`.
        **kwargs: changes to the variant's arguments. `match={"params": "ipt_small"}` or `{"macs": …}` changes width and
            depth so that the network costs as much as another one, within 5 % (see `baselines.matching`).

    Returns:
        A module called as `model(x, task)`: x is RGB in [0, 1], (B, 3, H, W) of any size; the result is on the same
        scale, (B, 3, s*H, s*W), not clipped. `task` may be left out. `model.tasks` is `(task,)`; `model.config` are all
        arguments that build a network for these weights again, `match` resolved.

    Raises:
        ValueError: for an unknown name or task, or arguments that the network does not have.
    """
    if name not in VARIANTS:
        near = difflib.get_close_matches(name, VARIANTS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown baseline {name!r}: {hint}known are {', '.join(VARIANTS)}")
    parse_task(task)
    arguments = dict(VARIANTS[name])
    network = arguments.pop("network")
    if unknown := sorted(set(kwargs) - {*ARGUMENTS[network], "match"}):
        raise ValueError(
            f"baseline {name!r} has no argument {', '.join(unknown)}; {network} takes {ARGUMENTS[network]}"
        )
    if budget := kwargs.pop("match", None):
        from baselines.matching import match

        arguments = match(name, task, budget)
    arguments |= kwargs
    module, class_name = NETWORKS[network]
    network_class = getattr(importlib.import_module(module), class_name)
    model = network_class(task, **arguments)
    complete = inspect.signature(network_class).bind(task, **arguments)
    complete.apply_defaults()
    config = {key: value for key, value in complete.arguments.items() if key not in ("task", "gradient_checkpointing")}
    if "vgg_weights" in config:
        config["vgg_weights"] = "from_checkpoint"  # they are part of the weights from here on
    model.config = config
    return model
