"""Which command made each table, so that it is made again when the config asks for another one."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from workflows.files import write_text

RECORD = Path("logs", "pieces", "made.json")  # in the experiment's folder
MOVABLE = "--data-root"  # benchmark sets may move


class Made:
    """The commands that made an experiment's tables, by path. Tables that Snakemake made have none, and are taken as they are."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.commands: dict[str, str] = {}
        if self.path.is_file():
            self.commands = json.loads(self.path.read_text(encoding="utf-8"))

    def holds(self, path: Path, command: Sequence[str]) -> bool:
        """Whether a file is there, and no other command made it."""
        return path.exists() and self.commands.get(str(path)) in (None, _text(command))

    def note(self, path: Path, command: Sequence[str]) -> None:
        """Record what made a file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.commands[str(path)] = _text(command)
        write_text(json.dumps(self.commands, indent=1), self.path)


def _text(command: Sequence[str]) -> str:
    """A command without its program and without where benchmark sets are."""
    words = iter(command[1:])
    return shlex.join([word for word in words if word != MOVABLE or next(words) is None])
