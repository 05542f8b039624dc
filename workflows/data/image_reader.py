"""The images that a table lists, read from a folder or from containers."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflows.data import containers
from workflows.data.decoding import decode

if TYPE_CHECKING:
    import pandas as pd


class ImageReader:
    """Random access to the images of a table (a manifest or a fraction of one).

    Everything is held in flat arrays, whose pages worker processes share. Reference counting would copy Python objects into
    each worker.

    Args:
        table: columns path, width, height; sha256, against which content is checked; for images in containers also archive,
            offset and bytes; for pairs also input and input_sha256.
        root: the folder that all paths are relative to.
    """

    def __init__(self, table: "pd.DataFrame", root: Path) -> None:
        self.sizes = table[["height", "width"]].to_numpy(dtype=np.int64)
        self.paired = "input" in table
        self._root = Path(root)
        self._paths = _encoded(table, "path")
        self._hashes = _encoded(table, "sha256") if "sha256" in table else None
        self._inputs = (_encoded(table, "input"), _encoded(table, "input_sha256")) if self.paired else None
        self._archives: list[str] = []
        if "archive" in table:
            codes, names = table["archive"].factorize()
            self._archives = list(names)
            self._codes = codes.astype(np.int32)
            self._spans = table[["offset", "bytes"]].to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        """An image's name in messages: its path, with its container if it has one."""
        path, archive = self._path(index)
        return f"{self._root / archive}:{path}" if archive else str(self._root / path)

    def identity(self, index: int) -> str:
        """The sha256 of an image's file, which identifies it in any location."""
        return self._hashes[index].decode("ascii")

    def read(self, index: int) -> bytes:
        """The content of an image's file.

        Raises:
            OSError: if it cannot be read, or is not the file that the table lists."""
        path, archive = self._path(index)
        if archive:
            data = containers.read(self._root / archive, archive, path, *map(int, self._spans[index]))
        else:
            data = Path(self._root, path).read_bytes()
        return self._checked(data, self._hashes, index, self.name(index))

    def decode(self, index: int) -> np.ndarray:
        """An image's pixels, uint8 RGB (height, width, 3). Raises: OSError: if it cannot be read or decoded, or is not the
        image that the table lists.
        """
        image = _decoded(self.read(index), self.name(index))
        if image.shape[:2] != tuple(self.sizes[index]):
            height, width = self.sizes[index]
            raise OSError(
                f"{self.name(index)} is {image.shape[1]}x{image.shape[0]} but the manifest says {width}x{height}: "
                "the file has changed since; make the manifest again"
            )
        return image

    def decode_input(self, index: int) -> np.ndarray:
        """The degraded image that belongs to an image of a pair, uint8 RGB; see `decode`."""
        paths, hashes = self._inputs
        path = self._root / paths[index].decode("utf-8")
        return _decoded(self._checked(path.read_bytes(), hashes, index, str(path)), str(path))

    def _path(self, index: int) -> tuple[str, str]:
        return self._paths[index].decode("utf-8"), self._archives[self._codes[index]] if self._archives else ""

    def _checked(self, data: bytes, hashes: np.ndarray | None, index: int, name: str) -> bytes:
        if hashes is not None and hashlib.sha256(data).hexdigest() != hashes[index].decode("ascii"):
            raise OSError(
                f"{name} is not the file that the manifest lists (its sha256 differs): the file has changed since; make "
                "the manifest again"
            )
        return data


def _decoded(data: bytes, name: str) -> np.ndarray:
    try:
        return decode(data, name)
    except ValueError as error:
        raise OSError(f"{error}; it could be when the manifest was made") from None


def _encoded(table: "pd.DataFrame", column: str) -> np.ndarray:
    return np.char.encode(table[column].to_numpy(dtype=str), "utf-8")
