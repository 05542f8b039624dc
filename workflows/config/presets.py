"""One config, several presets: `presets` holds named changes of an experiment, and `preset` says which one runs."""

import copy
from collections.abc import Mapping
from typing import Any

from ipt_models.suggestions import nearest
from workflows.config.messages import ConfigError

# Sections that are replaced, not merged: most allow only one of their keys, and seeds belong to their fractions.
REPLACED = ("training.budget", "finetune.training.budget", "finetune.alone.budget", "kwargs.match", "more_seeds")
# Sections of training images, their default `source`, and the keys that belong to each.
IMAGES, DRAWN = ("data", "finetune.data"), "dead_leaves"
OF_SOURCE = {DRAWN: {"count", "size"}, "image_folder": {"root"}, "paired_folders": {"root", "inputs", "targets"}}
MODELS = "models"


def presets(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every preset of a config by its name, without `preset` and `presets`; empty where it has none.

    A preset changes the rest of the config: sections are merged key by key, other values replaced. `models` takes the
    changes by the model's name, and an empty one leaves the model out; so does an empty argument in `kwargs` with the
    inherited one. The experiment is called `<name>-<preset>`.

    Raises:
        ConfigError: a preset that is not a section, changes an unknown model, or takes an argument away that is not there.
    """
    given = config.get("presets") or {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            [f"presets: {given!r}: is not a section; write a name for each preset, and under it the keys that differ"]
        )
    names = [str(name) for name in given]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError([f"presets: {', '.join(repeated)} is given more than once"])
    common = without_presets(config)
    return {str(name): _changed(common, str(name), changes) for name, changes in given.items()}


def without_presets(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config that are common to all its presets."""
    return {key: value for key, value in config.items() if key not in ("preset", "presets")}


def chosen(config: Mapping[str, Any]) -> str | None:
    """The name of the preset that a config chooses, None if it has no presets.

    Raises:
        ConfigError: `preset` is missing, or none of `presets`.
    """
    given, preset = config.get("presets") or {}, config.get("preset")
    if not given:
        if preset is not None:
            raise ConfigError([f"preset: {preset!r}: this config has no `presets` to choose from"])
        return None
    allowed = f"allowed: {', '.join(map(str, given))}"
    if preset is None:
        raise ConfigError([f"preset: is missing; {allowed}"])
    if str(preset) not in map(str, given):
        raise ConfigError([f"preset: {preset!r}: unknown preset{nearest(preset, given)}; {allowed}"])
    return str(preset)


def _changed(common: dict[str, Any], name: str, changes: Any) -> dict[str, Any]:
    changes = {} if changes is None else changes
    if not isinstance(changes, Mapping):
        raise ConfigError([f"presets.{name}: {changes!r}: is not a section of keys to change"])
    for key in ("name", "preset", "presets"):
        if key in changes:
            raise ConfigError([f"presets.{name}.{key}: cannot be changed; the experiment is called `<name>-{name}`"])
    changes = dict(changes)
    by_name = changes.pop(MODELS, {})
    merged = _merged(common, changes)
    if MODELS in merged:
        merged[MODELS] = _models(merged[MODELS], by_name, f"presets.{name}.{MODELS}")
    if isinstance(merged.get("name"), str):
        merged["name"] += f"-{name}"
    return merged


def _models(models: Any, by_name: Any, where: str) -> Any:
    if not isinstance(by_name, Mapping):
        raise ConfigError(
            [f"{where}: takes what differs by the model's name, for example `{{edsr: {{variant: edsr}}}}`"]
        )
    if not isinstance(models, list) or not all(isinstance(model, Mapping) for model in models):
        return models  # the schema reports the problem
    names = [model.get("name") for model in models]
    if not all(isinstance(name, str) for name in names):
        return models
    for name, changes in by_name.items():
        if changes is not None and not isinstance(changes, Mapping):
            raise ConfigError([f"{where}.{name}: {changes!r}: is not a section of keys to change"])
        if name not in names:
            allowed = ", ".join(map(str, names))
            raise ConfigError([f"{where}.{name}: no model has this name{nearest(name, names)}; allowed: {allowed}"])
    changed = [(model, by_name.get(model["name"], {}), f"{where}.{model['name']}") for model in models]
    return [_model(model, changes, place) for model, changes, place in changed if changes is not None]


def _model(model: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A model with its changes; an empty argument in `kwargs` takes the inherited one away."""
    given, inherited = changes.get("kwargs"), model.get("kwargs") or {}
    if not isinstance(given, Mapping) or not isinstance(inherited, Mapping):
        return _merged(model, changes)  # the schema reports a wrong kind
    taken = [key for key, value in given.items() if value is None]
    for key in taken:
        if key not in inherited:
            names = ", ".join(map(str, inherited))
            there = f"none has this name{nearest(key, inherited)}; inherited: {names}" if names else "none is inherited"
            raise ConfigError([f"{where}.kwargs.{key}: is empty, which removes an inherited argument, but {there}"])
    kept = {key: value for key, value in inherited.items() if key not in taken}
    return _merged(
        {**model, "kwargs": kept},
        {**changes, "kwargs": {key: value for key, value in given.items() if key not in taken}},
    )


def _merged(base: Any, changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and isinstance(inherited := merged.get(key), Mapping) and path not in REPLACED:
            if path in IMAGES:
                before, now = (
                    OF_SOURCE.get(one.get("source", DRAWN), set()) for one in (inherited, {**inherited, **value})
                )
                inherited = {name: kept for name, kept in inherited.items() if name not in before - now}
            merged[key] = _merged(inherited, value, f"{path}.")
        else:
            merged[key] = copy.deepcopy(value)
    return merged
