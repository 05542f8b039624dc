"""From a variant's name to a network. A network's module is imported only when needed, because basicsr is slow to import."""

import inspect
from typing import TYPE_CHECKING, Any

from baselines.own import is_own
from baselines.registry import NETWORK_OF, network_of
from ipt_models.arguments import check_names
from ipt_models.tasks import parse_task

if TYPE_CHECKING:
    from baselines.single_task import SingleTask


def build(name: str, task: str, **kwargs: Any) -> "SingleTask":
    """Build a baseline for one task.

    Args:
        name: a variant, `path/to/net.py:Class` or `package.module:Class` (see `baselines.own`).
        task: a task name, for example `sr2`, `dn30` or `dr`.
        **kwargs: changes to the variant's arguments. `match={"params": "ipt_small"}` or `{"macs": …}` changes width and depth so
        that the network costs as much as another, within 5 % (see `baselines.matching`).

    Returns:
        A module called as `model(x, task)`: x is RGB in [0, 1], (B, 3, H, W) of any size; the result is on the same
        scale, (B, 3, s*H, s*W), not clipped. `task` is optional. `model.tasks` is `(task,)`; `model.config` holds the arguments
        that build the network again, with `match` resolved.

    Raises:
        ValueError: for an unknown name or task, or arguments that the network does not take.
    """
    parse_task(task)
    arguments = resolve(name, task, kwargs)
    if is_own(name):
        from baselines.own_network import OwnNetwork

        model = OwnNetwork(task, name, **arguments)
        model.config = arguments  # the file's own defaults apply; its hash is saved with the weights
        return model
    network = NETWORK_OF[name]
    network_class = network.load_class()
    model = network_class(task, **arguments)
    complete = inspect.signature(network_class).bind(task, **arguments)
    complete.apply_defaults()
    config = {**complete.arguments, **network.from_weights}
    model.config = {key: config[key] for key in network.arguments if key in config and key != "gradient_checkpointing"}
    return model


def resolve(name: str, task: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments that a variant's class is called with; `match` is replaced by the arguments that it chooses.

    Raises:
        ValueError: as `build`.
    """
    network = network_of(name)
    given = {key: value for key, value in kwargs.items() if key != "match"}
    if not is_own(name):
        check_names((*network.arguments, "match"), [*kwargs], repr(name))
    if "match" in kwargs:
        from baselines.matching import match

        return match(name, task, kwargs["match"], given)
    return given if is_own(name) else {**network.variants[name], **given}
