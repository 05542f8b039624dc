"""Cost-matched baselines: the width and depth at which one network costs as much as another.

Used through `build(..., match={"params": "ipt_small"})` or `{"macs": "ipt_small"}`, so that an ablation can compare at
equal cost.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from baselines.entry import Sizing
from baselines.own import HEADS, is_own
from baselines.registry import VARIANTS, network_of
from ipt_models.suggestions import nearest
from ipt_models.variants import VARIANTS as IPT_VARIANTS

TOLERANCE = 0.05
CLOSE = 0.01  # a shape near the variant's proportions is taken at once if its cost is this near
MEASURES = ("params", "macs")
ROLES = ("width", "depth")
STEPS = (1, 2, 4, 8, 16)  # a user's class may refuse widths that are no multiple of such a number


class _OutOfReachError(ValueError):
    """No width and depth come near enough, though all that were tried can be built."""


def match(
    name: str, task: str, budget: Mapping[str, str | int], given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The variant's arguments, with width and depth changed so that it costs as much as `budget` states.

    Width and depth grow or shrink together, as nearly as whole numbers allow: of all depths from a third to three times
    the one that keeps the variant's proportions, the first within 1 % is taken, beginning with the best proportions,
    or else the one that comes nearest.

    Args:
        name: a trained baseline.
        task: the task of both networks.
        budget: one of `params` and `macs`, with the name of a variant of either package, or a number. For a user's class, `width`
            and `depth` may name its arguments if their names are unusual.
        given: arguments that replace the variant's own.

    Returns:
        Arguments for `build(name, task, **arguments)`.

    Raises:
        ValueError: for an unknown name or measure, or if no width and depth come within 5 %.
    """
    if not isinstance(budget, Mapping):
        raise ValueError(f"match={budget!r}: expected for example {{params: ipt_small}} or {{macs: ipt_small}}")
    measures = [key for key in budget if key not in ROLES]
    if len(measures) != 1 or measures[0] not in MEASURES:
        raise ValueError(f"match: expected one of params and macs with a variant or a number, got {dict(budget)}")
    target = budget[measures[0]]
    known = {**VARIANTS, **IPT_VARIANTS}
    if isinstance(target, str) and target not in known and not is_own(target):
        raise ValueError(f"match: unknown variant {target!r}{nearest(target, known)}; known are {', '.join(known)}")
    if not isinstance(target, str) and (not isinstance(target, int) or isinstance(target, bool) or target < 1):
        raise ValueError(f"match: {measures[0]}={target!r}: expected a variant or a whole number above 0")
    sizing = sizing_of(name, budget)
    arguments = {**network_of(name).variants[name], **(given or {})}
    for role in (sizing.width, sizing.depth):
        if role is not None and role not in arguments:
            raise ValueError(f"match: {name!r} has no default for {role!r}; give one as `kwargs`")
    return dict(_match(name, task, measures[0], target, sizing, json.dumps(arguments, default=str)))


def sizing_of(name: str, budget: Mapping[str, Any]) -> Sizing:
    """Which arguments `match` changes: those in the registry, or those that the budget names as `width` and `depth`.

    Raises:
        ValueError: for a network without any.
    """
    roles = {role: str(budget[role]) for role in ROLES if role in budget}
    network = network_of(name)
    sizing = network.sizing
    if sizing is None and "width" in roles:
        sizing = Sizing(roles["width"], None, heads=next((word for word in HEADS if word in network.arguments), None))
    if sizing is None:
        raise ValueError(f"match: {name!r} has no width and depth; trained baselines do")
    return replace(sizing, **roles)


@lru_cache
def _match(name: str, task: str, measure: str, target: str | int, sizing: Sizing, given: str) -> dict[str, Any]:
    from baselines.cost import cost

    target = cost(target, task, measure) if isinstance(target, str) else target
    arguments = json.loads(given)
    unit = sizing.unit_of(arguments)
    if not is_own(name):
        return _fit(name, task, measure, target, sizing, arguments, unit)
    reason = ""
    for step in STEPS:
        try:
            fitting = _fit(name, task, measure, target, sizing, arguments, unit * step)
            cost(name, task, "macs", **fitting)  # parameters are counted without running it
            return fitting
        except Exception as error:  # whatever a user's class raises
            if isinstance(error, _OutOfReachError) and not reason:
                raise
            reason = reason or " ".join(str(error).split()) or type(error).__name__
    raise ValueError(
        f"match: no {sizing.width!r} found at which {name!r} runs and costs {target:,} {measure}; multiples of "
        f"{', '.join(str(unit * step) for step in STEPS)} were tried. The first failed with: {reason}. Give its sizes as "
        "`kwargs` without `match`, or name another argument as `width` in `match`"
    )


def _fit(
    name: str, task: str, measure: str, target: int, sizing: Sizing, given: Mapping[str, Any], unit: int
) -> dict[str, Any]:
    """The arguments whose cost is nearest, with a width that is a multiple of `unit`."""
    from baselines.cost import cost

    arguments, depth = dict(given), sizing.depth_of(given)
    width = arguments[sizing.width] = -(-arguments[sizing.width] // unit) * unit
    power = 2 if sizing.depth is None else 3  # cost grows about as width² · depth
    factor = (target / cost(name, task, measure, **arguments)) ** (1 / power)

    @cache
    def first_and_next(width: int) -> tuple[int, int]:
        if sizing.depth is None:
            return cost(name, task, measure, **sizing.resized(arguments, width, 1)), 0
        one, two = (cost(name, task, measure, **sizing.resized(arguments, width, blocks)) for blocks in (1, 2))
        return one, two - one  # each further block costs the same

    candidates = []
    depths = [1] if sizing.depth is None else range(max(1, round(depth * factor / 3)), round(depth * factor * 3) + 2)
    for candidate in sorted(depths, key=lambda d: abs(math.log(d / (depth * factor)))):

        def cost_at(steps: int, blocks: int = candidate) -> int:
            one, further = first_and_next(steps * unit)
            return one + (blocks - 1) * further

        steps = _nearest(cost_at, target, round(width * factor / unit))
        error = abs(cost_at(steps) / target - 1)
        candidates.append((error, sizing.resized(arguments, steps * unit, candidate)))
        if error < CLOSE:
            break
    error, matched = min(candidates, key=lambda pair: pair[0])
    if error > TOLERANCE:
        raise _OutOfReachError(
            f"match: no width and depth of {name} come within 5 % of {target:,} {measure} for {task}"
        )
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
