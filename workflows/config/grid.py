"""From YAML to an experiment that has been checked, and back. Imports no torch and no stage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from workflows.config import checks, reading
from workflows.config.experiment import Experiment
from workflows.config.messages import ConfigError, lines_of
from workflows.config.presets import chosen, presets, without_presets
from workflows.config.schema import Presets
from workflows.files import write_text


def parse(config: Mapping[str, Any]) -> Experiment:
    """Check a config. The files that it names are checked by `workflows.preflight`.

    Args:
        config: as YAML gives it. Where it has several presets, all are checked and the one that `preset` names is returned.

    Raises:
        ConfigError: one message that names each key, its value and what is allowed.
    """
    expanded, preset = presets(config), chosen(config)
    variants = expanded or {None: without_presets(config)}
    valid, affected = {}, {}
    for name, changed in variants.items():
        try:
            valid[name] = Experiment.model_validate(changed)
            checks.across_sections(valid[name])
        except ValueError as error:
            keys = tuple(Presets.model_fields)
            problems = lines_of(error, Experiment, also=keys) if isinstance(error, ValidationError) else [str(error)]
            for line in problems:
                affected.setdefault(line, []).append(name)
    if affected:
        # A problem of all presets is one of the keys that they share.
        shared = [line for line, names in affected.items() if len(names) == len(variants)]
        own = [f"with preset {n}: {line}" for line, names in affected.items() if line not in shared for n in names]
        raise ConfigError([*shared, *own])
    return valid[preset]


def read(path: Path | str, preset: str | None = None) -> Experiment:
    """Read an experiment's YAML file; see `parse`.

    Args:
        preset: one of its presets, in place of the file's own choice.

    Raises:
        FileNotFoundError, ConfigError
    """
    return parse(reading.load(path) | ({} if preset is None else {"preset": preset}))


def write(experiment: Experiment, path: Path) -> None:
    """Write the resolved config, every default spelled out; leaves an equal file alone."""
    text = yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    write_text(text, path)
