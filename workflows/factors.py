"""The settings that decide a run's weights, and models that differ in exactly one of them. Imports no pandas."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from baselines.registry import NETWORK_OF
from ipt_models.variants import VARIANTS as IPTS
from workflows.config.schema import DIVIDING, FEEDING, PLACING, WATCHING

# These identify a run; the rest of its config describes the training.
IDENTITY = ("experiment", "name", "model", "label", "digest", "fraction", "seed")

IPT = "ipt"
CONTRASTIVE = "contrastive."
WEIGHT = CONTRASTIVE + "weight"
PRETRAINED = "pretrained"
DEFAULT = "default"


def family(variant: str) -> str:
    """`ipt`, or the name of a baseline's entry; any other variant is its own family."""
    if variant in IPTS:
        return IPT
    return NETWORK_OF[variant].name if variant in NETWORK_OF else variant


def training_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that affect a run's weights besides fraction and seed, with dotted names: `contrastive.weight`.

    For a fine-tuned run: its own settings and, as `pretrained.…`, those of the first stage that differ. The contrastive loss,
    which only the first stage has, keeps its name.
    """
    kept = {key: value for key, value in config.items() if key not in (*IDENTITY, PRETRAINED)}
    for section, harmless in (("training", (*WATCHING, *DIVIDING)), ("data", (*FEEDING, *PLACING))):
        kept[section] = {key: value for key, value in kept.get(section, {}).items() if key not in harmless}
    if kept.get("contrastive"):  # by default it follows the batch size, so that two settings would differ
        group_size = kept["contrastive"].get("group_size") or kept["training"].get("batch_size")
        kept["contrastive"] = {**kept["contrastive"], "group_size": group_size}
    own = dict(_flatten(kept, ""))
    before = training_settings(config[PRETRAINED]) if config.get(PRETRAINED) else {}
    for key, value in before.items():
        if key.startswith(CONTRASTIVE):
            own[key] = value
        elif own.get(key) != value:
            own[f"{PRETRAINED}.{key}"] = value
    return own


def _flatten(section: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def pair_key(config: dict[str, Any]) -> str:
    """Equal for runs that differ in nothing but fraction, seed and the contrastive loss."""
    rest = {key: value for key, value in training_settings(config).items() if not key.startswith(CONTRASTIVE)}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:12]


def start_key(settings: dict[str, Any]) -> str:
    """Equal for trainings of the same network, tasks, data, patch and batch size: with each seed they start from the same
    weights and draw the same crops.

    Args:
        settings: `training_settings`.
    """
    later = ("training.", CONTRASTIVE)
    batches = ("training.batch_size", "training.patch_size")
    kept = {key: value for key, value in settings.items() if key in batches or not key.startswith(later)}
    return json.dumps(kept, sort_keys=True)


class Group(NamedTuple):
    """Models that differ in `factor` alone: each one's value, the baseline first."""

    factor: str
    members: dict[str, Any]


def groups(settings: dict[str, dict[str, Any]]) -> list[Group]:
    """Groups of two models or more that differ in one factor alone.

    A model without the contrastive loss has λ = 0 and belongs to every group over λ with equal other settings. The
    baseline is λ = 0, else the model that leaves the factor at its default, else the experiment's first. Different
    architectures are not ablations of one another.

    Args:
        settings: each model's `training_settings`, in the experiment's order.
    """
    names = [key for key in dict.fromkeys(key for one in settings.values() for key in one) if key != "variant"]
    grouped = []
    for factor in ["variant", *names]:
        members: dict[str, dict[str, Any]] = {}
        for model, mine in settings.items():
            for rest in _rests(mine, factor, settings):
                members.setdefault(rest, {})[model] = _value(mine, factor)
        for values in members.values():
            if len({json.dumps(value) for value in values.values()}) > 1:
                grouped.append(Group(factor, _baseline_first(values)))
    return [group for group in grouped if not any(_within(group, other) for other in grouped)]


def _value(settings: dict[str, Any], factor: str) -> Any:
    return settings.get(factor, 0 if factor == WEIGHT else DEFAULT)


def _rests(settings: dict[str, Any], factor: str, known: dict[str, dict[str, Any]]) -> Iterator[str]:
    """All other settings, as keys. For the factor λ, a model without the contrastive loss has one key per kind of loss."""
    rest = {key: value for key, value in settings.items() if key != factor}
    if factor == "variant":
        rest["family"] = family(settings["variant"])
    yield json.dumps(rest, sort_keys=True)
    if factor == WEIGHT and WEIGHT not in settings:
        kinds = [
            {k: v for k, v in other.items() if k.startswith(CONTRASTIVE) and k != WEIGHT} for other in known.values()
        ]
        for kind in kinds:
            if kind:
                yield json.dumps({**rest, **kind}, sort_keys=True)


def _baseline_first(values: dict[str, Any]) -> dict[str, Any]:
    if all(isinstance(value, int | float) for value in values.values()):
        return dict(sorted(values.items(), key=lambda item: item[1]))
    return dict(sorted(values.items(), key=lambda item: item[1] != DEFAULT))


def _within(group: Group, other: Group) -> bool:
    """Whether a larger group over the same factor contains it."""
    return group.factor == other.factor and group.members.keys() < other.members.keys()
