"""What an entry of the registry says about a network. Imports neither torch nor basicsr."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from baselines.single_task import SingleTask


@dataclass(frozen=True)
class Sizing:
    """Which arguments of a network are its width and its depth, for `baselines.matching`.

    Attributes:
        width: the argument that holds the features, a multiple of `unit`.
        depth: the argument that holds the number of blocks, or a sequence with an item for each; None where the depth is
            not an argument.
        follows: an argument that keeps its proportion to the width.
        heads: an argument that holds the number of attention heads, or a sequence of them, which must divide the width.
    """

    width: str
    depth: str | None
    unit: int = 1
    follows: str | None = None
    heads: str | None = None

    def unit_of(self, arguments: Mapping[str, Any]) -> int:
        """The number that every width is a multiple of: the heads that are given, or else `unit`."""
        heads = arguments.get(self.heads) if self.heads else None
        given = [
            number for number in (heads if isinstance(heads, list | tuple) else [heads]) if isinstance(number, int)
        ]
        return math.lcm(*given) or self.unit if given else self.unit

    def depth_of(self, arguments: Mapping[str, Any]) -> int:
        """Number of blocks; 1 if it is not an argument."""
        depth = 1 if self.depth is None else arguments[self.depth]
        return depth if isinstance(depth, int) else len(depth)

    def resized(self, arguments: Mapping[str, Any], width: int, depth: int) -> dict[str, Any]:
        """The arguments with width and depth replaced."""
        changed: dict[str, Any] = {self.width: width}
        if self.depth is not None:
            blocks = arguments[self.depth]
            changed[self.depth] = depth if isinstance(blocks, int) else blocks[:1] * depth
            if self.heads and not isinstance(blocks, int):
                heads = arguments.get(self.heads)
                if isinstance(heads, list | tuple):  # an item for each block, too
                    changed[self.heads] = heads[:1] * depth
        if self.follows:
            changed[self.follows] = width * arguments[self.follows] // arguments[self.width]
        return {**arguments, **changed}


@dataclass(frozen=True)
class Network:
    """What the project knows about a network.

    Attributes:
        name: of the architecture.
        class_path: `module:Class`; the class is called as `Class(task, **arguments)` and is a `SingleTask`.
        arguments: names of all arguments except the task, so that a config is checked without importing torch.
        variants: arguments by the variant's name. `*_tiny` ones train within half a minute on a CPU.
        published: what papers say of parameters, by variant and task.
        sizing: its width and depth; None if it cannot be matched by cost.
        trained: False for references such as bicubic.
        from_weights: arguments that build it when the weights come from a file or only shapes are needed.
    """

    name: str
    class_path: str
    arguments: tuple[str, ...]
    variants: Mapping[str, Mapping[str, Any]]
    published: Mapping[tuple[str, str], str] = field(default_factory=dict)
    sizing: Sizing | None = None
    trained: bool = True
    from_weights: Mapping[str, Any] = field(default_factory=dict)

    def load_class(self) -> "type[SingleTask]":
        """Import the class."""
        module, _, name = self.class_path.partition(":")
        return getattr(importlib.import_module(module), name)
