"""BasicSR's LMDB folders: encoded images by key, and `meta_info.txt` with a line `name.png (height,width,channels) …` each."""

import os
from collections.abc import Iterator
from pathlib import Path

import lmdb

from workflows.data.containers import Entry


def entries(root: Path, name: str) -> Iterator[Entry]:
    """The images of an LMDB folder; see `containers.entries`."""
    path = root / name
    listed = path / "meta_info.txt"
    if not listed.is_file():
        raise ValueError(f"{path} lacks meta_info.txt, in which BasicSR lists the images of an LMDB")
    try:
        modified = (path / "data.mdb").stat().st_mtime_ns
        with _open(path).begin(buffers=True) as transaction:
            for line in listed.read_text(encoding="utf-8").splitlines():
                inside = line.rpartition(" (")[0]
                content = transaction.get(_key(inside)) if inside else None
                if content is None:
                    raise ValueError(f"{listed} lists {line!r}, which is not in the database")
                yield Entry(_prefix(name) + inside, os.path.dirname(inside), name, 0, len(content), modified)
    except (lmdb.Error, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable LMDB: {error}") from error


def read(container: Path, name: str, path: str, offset: int, length: int) -> bytes:
    """An image by its key; see `containers.read`."""
    try:
        with _open(container).begin() as transaction:
            content = transaction.get(_key(path.removeprefix(_prefix(name))))
    except lmdb.Error as error:
        raise OSError(f"{container}: {error}") from error
    if content is None:
        raise OSError(f"{container} does not hold {path}")
    return content


def _prefix(name: str) -> str:
    return "" if name == "." else name.removesuffix(".lmdb") + "/"


def _key(inside: str) -> bytes:
    return os.path.splitext(inside)[0].encode()


_opened: dict[Path, lmdb.Environment] = {}


def _open(path: Path) -> lmdb.Environment:
    if path not in _opened:
        _opened[path] = lmdb.open(os.fspath(path), readonly=True, lock=False, readahead=False, meminit=False)
    return _opened[path]


def _close() -> None:
    for environment in _opened.values():
        environment.close()
    _opened.clear()


# A forked process can neither use nor reopen its parent's environment.
os.register_at_fork(before=_close)
