"""The images that a table lists, read from a folder or out of containers."""

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

    Everything is held in flat arrays: worker processes share their pages, where Python objects would be copied into
    each of them by reference counting.

    Args:
        table: columns path, width, height; sha256, which each content is checked against and `identity` gives; where images
            lie in containers also archive, offset and bytes; where they come in pairs also input and input_sha256.
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
        """How messages call an image: its path, with its container where it lies in one."""
        path, archive = self._path(index)
        return f"{self._root / archive}:{path}" if archive else str(self._root / path)

    def identity(self, index: int) -> str:
        """What an image is, wherever it lies: the sha256 of its file."""
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
        """An image's pixels, uint8 RGB (height, width, 3).

        Raises:
            OSError: if it cannot be read or decoded, or is not the one that the table lists.
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
