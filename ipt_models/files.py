"""Atomic writes: a file is complete or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary name in the folder of `path`, with its suffix; it becomes `path` if the block ends without an error.

    The folder is made if it is missing. The name begins with a dot, so that no listing takes a killed process's leftover for
    an image or a checkpoint.

    Raises:
        OSError: see `target`.
    """
    path = target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def target(path: Path | str) -> Path:
    """The file that a write to `path` creates or replaces; for a link, its target.

    Raises:
        FileExistsError: if it is a folder, a device or a pipe, which must not be replaced by a file.
        NotADirectoryError: if one of the folders above it is a file.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is not a regular file; name a file to write")
    for folder in path.parents:
        if folder.exists():
            if not folder.is_dir():
                raise NotADirectoryError(f"{folder} is a file; {path} cannot be written below it")
            break
    return path
