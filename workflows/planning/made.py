"""Which command made each table, so that it is made again when the config asks for another one."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from workflows import provenance
from workflows.files import write_text

RECORD = Path("logs", "pieces", "made.json")  # in the experiment's folder
MOVABLE = ("--data-root", "--gpus")  # benchmark sets may move, and `auto` may find a GPU or none


class Made:
    """The commands that made an experiment's tables, by path, and the tables' hashes.

    A table without a record was made by Snakemake, and is taken as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.records: dict[str, list[str | None]] = {}
        if self.path.is_file():
            self.records = json.loads(self.path.read_text(encoding="utf-8"))

    def holds(self, path: Path, command: Sequence[str]) -> bool:
        """Whether a table or folder is there, and no other command made it."""
        record = self.records.get(str(path))
        if not path.exists() or record is None:
            return path.exists()
        made_by, digest = record
        return made_by is not None and (_text(shlex.split(made_by)), digest) == (_plain(command), _hash(path))

    def note(self, path: Path, command: Sequence[str]) -> None:
        """Record what made a table or folder."""
        self._write(path, [_plain(command), _hash(path)])

    def forget(self, path: Path) -> None:
        """Record that nothing made it, so that it is made again even if it is there."""
        self._write(path, [None, None])

    def _write(self, path: Path, record: list[str | None]) -> None:
        self.records[str(path)] = record
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(self.records, indent=1), self.path)


def _plain(command: Sequence[str]) -> str:
    """A command without the path of Python and without what is `MOVABLE`."""
    return _text([word for word in command if word != command[0]])


def _text(command: Sequence[str]) -> str:
    words = iter(command)
    return shlex.join([word for word in words if word not in MOVABLE or next(words) is None])


def _hash(path: Path) -> str | None:
    return provenance.sha256(path) if path.is_file() else None
