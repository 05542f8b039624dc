"""Pydantic's errors as readable lines: key, value, and what is allowed."""

import re
from typing import Any

from pydantic import ValidationError

from ipt_models.suggestions import nearest
from workflows.command_line import InputError
from workflows.config.schema import Section, sections


class ConfigError(InputError):
    """The problems of a config, in one readable message."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("The config is not valid:\n" + "\n".join(f"  {line}" for line in lines))


def lines_of(error: ValidationError, schema: type[Section], prefix: str = "", also: tuple[str, ...] = ()) -> list[str]:
    """One line per problem.

    Args:
        schema: the section that was validated.
        prefix: its own key, empty for the whole config.
        also: keys of the whole config that are read before the schema.
    """
    lines = []
    for problem in error.errors():
        location = [part for part in problem["loc"] if isinstance(part, int | str) and part != "[key]"]
        key = prefix
        for part in location:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
        value, kind, message = problem["input"], problem["type"], problem["msg"]
        if kind == "extra_forbidden":
            allowed = [*_keys(schema, location[:-1]), *(also if len(location) == 1 else ())]
            lines.append(f"{key}: unknown key{nearest(location[-1], allowed)}; allowed: {', '.join(allowed)}")
        elif kind == "missing":
            lines.append(f"{key}: is missing")
        elif kind == "value_error":
            message = message.removeprefix("Value error, ")
            named = f"{_short(value)}: "
            lines.append(message if not key else f"{key}: {named}{message.removeprefix(named)}")
        else:
            lines.append(f"{key}: {_short(value)}: {_plain(message)}")
    return lines


WORDS = (
    (r"^Input should be ", "expected "),
    (r"a valid integer", "a whole number"),
    (r"a valid number.*", "a number"),
    (r"a valid string", "text"),
    (r"a valid boolean", "true or false"),
    (r"False, True", "false, true"),
    (r"a valid (list|tuple)", "a list"),
    (r"a valid dictionary.*", "a section of keys"),
    (r"^Input is not a valid path.*", "expected a path"),
    (r"^\w+ should have at least 1 item.*", "expected at least one"),
    (
        r"^String should match pattern '\^\[A-Za-z.*",
        "expected letters, digits and _ . + -, beginning with a letter or digit",
    ),
    (r"^String should match pattern .*", "expected one line without control characters"),
)


def _plain(message: str) -> str:
    """Pydantic's messages in terms of YAML."""
    for pattern, words in WORDS:
        message = re.sub(pattern, words, message)
    return message[0].lower() + message[1:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _keys(schema: type[Section], location: list[int | str]) -> list[str]:
    """The keys of the section at `location`."""
    for part in location:
        if not isinstance(part, int):
            schema = next(iter(sections(schema.model_fields[part].annotation)))
    return list(schema.model_fields)
