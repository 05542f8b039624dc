"""Baselines by budget: the width and depth at which a network costs as much as another one.

Used through `build(..., match={"params": "ipt_small"})` or `{"macs": "ipt_small"}`, so that an ablation can compare at
equal cost.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from baselines.variants import UNTRAINED, VARIANTS
from ipt_models.variants import VARIANTS as IPT_VARIANTS


class Sizing(NamedTuple):
    """Which arguments of a network are its width and its depth.

    Attributes:
        width: the argument that holds the features, in multiples of `unit`.
        depth: the argument that holds the number of blocks, or a tuple with a length for each.
        follows: an argument that keeps its proportion to the width.
    """

    width: str
    depth: str
    unit: int
    follows: str | None = None

    def depth_of(self, arguments: Mapping[str, Any]) -> int:
        """Number of blocks."""
        depth = arguments[self.depth]
        return depth if isinstance(depth, int) else len(depth)

    def resized(self, arguments: Mapping[str, Any], width: int, depth: int) -> dict[str, Any]:
        """The arguments with another width and depth."""
        blocks = arguments[self.depth]
        changed = {self.width: width, self.depth: depth if isinstance(blocks, int) else blocks[:1] * depth}
        if self.follows:
            changed[self.follows] = width * arguments[self.follows] // arguments[self.width]
        return {**arguments, **changed}


SIZINGS = {
    "edsr": Sizing("num_feat", "num_block", unit=2),
    "ignn": Sizing("num_feat", "num_block", unit=2),
    "rdn": Sizing("growth", "num_block", unit=1, follows="num_feat"),
    "swinir": Sizing("embed_dim", "depths", unit=6),  # six heads
}
TOLERANCE = 0.05
CLOSE = 0.01  # a shape like the variant's own is taken at once if it is this near
MEASURES = ("params", "macs")


def match(name: str, task: str, budget: Mapping[str, str | int]) -> dict[str, Any]:
    """The variant's arguments, with width and depth changed so that it costs what `budget` says.

    Width and depth grow or shrink together, as nearly as whole numbers allow: of all depths from a third to three times
    the one that keeps the variant's proportions, the first within 1 % is taken, beginning with the best proportions,
    or else the one that comes nearest.

    Args:
        name: a trained baseline.
        task: what it restores; the other network is counted for the same task.
        budget: one of `params` and `macs`, with the name of a variant of either package, or a number.

    Returns:
        Arguments for `build(name, task, **arguments)`.

    Raises:
        ValueError: for an unknown name or measure, or where no width and depth come within 5 %.
    """
    if name in UNTRAINED or name not in VARIANTS:
        raise ValueError(f"match: {name!r} has no width and depth; trained baselines do")
    if len(budget) != 1 or not set(budget) <= set(MEASURES):
        raise ValueError(f"match: expected one of params and macs with a variant or a number, got {dict(budget)}")
    ((measure, target),) = budget.items()
    if isinstance(target, str) and target not in VARIANTS | IPT_VARIANTS:
        raise ValueError(f"match: unknown variant {target!r}; known are {', '.join([*VARIANTS, *IPT_VARIANTS])}")
    return dict(_match(name, task, measure, target))


@lru_cache
def _match(name: str, task: str, measure: str, target: str | int) -> dict[str, Any]:
    from baselines.cost import cost

    target = cost(target, task, measure) if isinstance(target, str) else target
    arguments = {key: value for key, value in VARIANTS[name].items() if key != "network"}
    sizing = SIZINGS[VARIANTS[name]["network"]]
    width, depth = arguments[sizing.width], sizing.depth_of(arguments)
    factor = (target / cost(name, task, measure)) ** (1 / 3)  # both cost about width² · depth

    @cache
    def first_and_next(width: int) -> tuple[int, int]:
        one, two = (cost(name, task, measure, **sizing.resized(arguments, width, blocks)) for blocks in (1, 2))
        return one, two - one  # each further block costs the same

    found = []
    depths = range(max(1, round(depth * factor / 3)), round(depth * factor * 3) + 2)
    for candidate in sorted(depths, key=lambda d: abs(math.log(d / (depth * factor)))):

        def cost_at(steps: int, blocks: int = candidate) -> int:
            one, further = first_and_next(steps * sizing.unit)
            return one + (blocks - 1) * further

        steps = _nearest(cost_at, target, round(width * factor / sizing.unit))
        error = abs(cost_at(steps) / target - 1)
        found.append((error, sizing.resized(arguments, steps * sizing.unit, candidate)))
        if error < CLOSE:
            break
    error, matched = min(found, key=lambda pair: pair[0])
    if error > TOLERANCE:
        raise ValueError(f"match: no width and depth of {name} come within 5 % of {target:,} {measure} for {task}")
    return matched


def _nearest(cost_at: Callable[[int], int], target: int, guess: int) -> int:
    """The number from 1 up whose cost is nearest to the target; cost grows with the number."""
    low = high = max(1, guess)
    while low > 1 and cost_at(low) > target:
        low = max(1, low * 3 // 4)
    while cost_at(high) < target:
        high = high * 4 // 3 + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost_at(middle) < target else (low, middle)
    return min(low, high, key=lambda steps: abs(cost_at(steps) - target))
