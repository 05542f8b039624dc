"""Files that hold many images: tar archives, Hugging Face's parquet files, BasicSR's LMDB folders. Nothing is unpacked."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One image file of a source.

    Attributes:
        path: its name, POSIX and relative; for a member of an archive the name includes the archive's.
        category: its class, '' where there is none.
        archive: the container that holds it, relative to the root, or ''.
        offset: position in the container: first byte in a tar archive, row in a parquet file, otherwise 0.
        bytes: the content's length; -1 if it is unknown before reading.
        modified: modification time in nanoseconds, of the file or of the container; of a pair the sum of both files'.
        input: for pairs, the path of the degraded image that belongs to it.
    """

    path: str
    category: str
    archive: str
    offset: int
    bytes: int
    modified: int
    input: str = ""


def kind(path: str) -> str:
    """`tar`, `parquet` or `lmdb` for the name of a container, '' for any other."""
    suffix = Path(path).suffix.lower()[1:]
    return suffix if suffix in ("tar", "parquet", "lmdb") else "lmdb" if path == "." else ""


def entries(root: Path, name: str) -> Iterator[Entry]:
    """The images in the container `name` of the source at `root`.

    Raises:
        ValueError: naming a container that cannot be read."""
    return _module(name).entries(root, name)


def read(container: Path, name: str, path: str, offset: int, length: int) -> bytes:
    """The content of one image's file.

    Args:
        container: where the container is.
        name: the container's name, as `Entry.archive`.
        path, offset, length: as in the image's `Entry`.

    Raises:
        OSError: if it cannot be read.
    """
    return _module(name).read(container, name, path, offset, length)


def _module(name: str):
    # Each needs its own library, which most sources do not need.
    match kind(name):
        case "tar":
            from workflows.data.containers import tar as module
        case "parquet":
            from workflows.data.containers import parquet as module
        case "lmdb":
            from workflows.data.containers import lmdb_folder as module
    return module
