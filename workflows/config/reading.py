"""Reads a config's file: UTF-8, one section of keys, each key once, and nothing that Snakemake would execute."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from workflows.config.messages import ConfigError

TEMPLATE = "__use_yte__"


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: by itself, the last one would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[Hashable, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise ConfigError([f"line {key_node.start_mark.line + 1}: {key!r} cannot be a key"])
            if key in first:
                lines = f"lines {first[key].start_mark.line + 1} and {key_node.start_mark.line + 1}"
                raise ConfigError([f"{key}: is given twice ({lines}); keep one"])
            first[key] = key_node
        return super().construct_mapping(node, deep)


def _explained(error: yaml.MarkedYAMLError) -> str:
    """The parser's reason, with the line where it noticed the mistake, and the line where what it was reading begins."""
    at, begun = error.problem_mark, error.context_mark
    where = f"line {at.line + 1}, column {at.column + 1}: " if at else ""
    context = f", {error.context}" if error.context else ""
    context += f" that begins on line {begun.line + 1}" if begun and at and begun.line != at.line else ""
    return f"{where}{error.problem}{context}"


def load(path: Path | str) -> dict[str, Any]:
    """The keys of a config's file, as YAML gives them.

    Raises:
        ConfigError: if the file is not UTF-8, not YAML or not a section of keys, gives a key twice, or holds a template.
        OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        config = yaml.load(data.decode("utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 (byte {error.start + 1}); save it as UTF-8"]) from None
    except ConfigError as error:
        raise ConfigError([f"{path}: {line}" for line in error.lines]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([f"{path}: is not YAML: {_explained(error)}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: is not YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(config, dict):
        raise ConfigError([f"{path}: holds no keys; the first is `name`, see config/README.md"])
    if TEMPLATE in config:
        raise ConfigError([f"{path}: {TEMPLATE}: would run the config as a program; write its values out"])
    return config
