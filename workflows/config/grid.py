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
        config: as YAML gives it. Where it has several presets, all are checked and the one that `budget` names is returned.

    Raises:
        ConfigError: one message that names each key, its value and what is allowed.
    """
    expanded, budget = presets(config), chosen(config)
    valid, lines = {}, []
    for name, preset in expanded.items() if budget is not None else [(None, without_presets(config))]:
        try:
            valid[name] = Experiment.model_validate(preset)
            checks.across_sections(valid[name])
        except ValueError as error:
            keys = tuple(Presets.model_fields)
            problems = lines_of(error, Experiment, also=keys) if isinstance(error, ValidationError) else [str(error)]
            lines += [line if name is None else f"with budget {name}: {line}" for line in problems]
    if lines:
        raise ConfigError(lines)
    return valid[budget]


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
