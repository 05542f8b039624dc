"""`python -m workflows.config.key_docs`: write the table of all keys in config/README.md from the schema."""

import argparse
import types
import typing
from pathlib import Path

from pydantic_core import PydanticUndefined

from workflows.config.experiment import Experiment
from workflows.config.schema import Presets, Section, sections
from workflows.files import write_text
from workflows.generated_docs import rewritten

PAGE = Path(__file__).parents[2] / "config" / "README.md"


def keys(schema: type[Section] = Experiment, prefix: str = "", described: set[type[Section]] | None = None) -> str:
    """A Markdown table of the section's own keys, followed by those of the sections inside it, each section once."""
    described = set() if described is None else described
    rows, inner = ["| key | type | default | meaning |", "|---|---|---|---|"], []
    for key, field in schema.model_fields.items():
        nested = next(iter(sections(field.annotation)), None)
        default = field.default
        if field.is_required():
            shown_default = "required"
        elif default is PydanticUndefined or isinstance(default, Section):
            shown_default = "" if default is PydanticUndefined else "see below"
        else:
            shown_default = "empty" if default is None else f"`{_yaml(default)}`"
        rows.append(f"| `{prefix}{key}` | {_type(field.annotation)} | {shown_default} | {field.description} |")
        if nested is not None and nested not in described:
            described.add(nested)
            marker = "[]" if typing.get_origin(field.annotation) is list else ""
            inner.append((f"{prefix}{key}{marker}.", nested))
    text = "\n".join(rows) + "\n"
    for name, section in inner:
        text += f"\n### `{name[:-1]}`\n\n{section.__doc__}\n\n" + keys(section, name, described)
    return text


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _type(annotation: object) -> str:
    """The type in readable words; further constraints are in the key's meaning or error message."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{str(a).lower() if isinstance(a, bool) else a}`" for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(a) for a in arguments if a is not type(None))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} × {_type(arguments[0])}"
    if origin is dict or annotation is dict:
        return "keys"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "section"
    return {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path"}[annotation]


def page() -> str:
    """The page as the code has it now."""
    return rewritten(
        PAGE.read_text(encoding="utf-8"), "keys", f"{keys()}\n### `presets`\n\n{Presets.__doc__}\n\n{keys(Presets)}"
    )


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m workflows.config.key_docs", description=__doc__).parse_args()
    write_text(page(), PAGE)
