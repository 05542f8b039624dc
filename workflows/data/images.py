"""The images that a table lists, read from a folder or out of tar archives."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflows.data.decoding import decode

if TYPE_CHECKING:
    import pandas as pd


def read_span(path: Path, offset: int, length: int) -> bytes:
    """Read `length` bytes of a file from `offset` on: a member of an archive, or a whole file from 0.

    Raises:
        OSError: if the file cannot be read or is shorter."""
    with open(path, "rb", buffering=0) as file:
        data = os.pread(file.fileno(), length, offset)
    if len(data) < length:
        raise OSError(f"{path} ends {length - len(data)} bytes too early")
    return data


class Images:
    """Random access to the images of a table (a manifest or a fraction of one).

    Everything is held in flat arrays: worker processes share their pages, where Python objects would be copied into
    each of them by reference counting.

    Args:
        table: columns path, width, height; sha256 for `identity`; where images lie in archives also archive, offset and bytes.
        root: the folder that paths and archives are relative to.
    """

    def __init__(self, table: "pd.DataFrame", root: Path) -> None:
        self.sizes = table[["height", "width"]].to_numpy(dtype=np.int64)
        self._root = Path(root)
        self._paths = np.char.encode(table["path"].to_numpy(dtype=str), "utf-8")
        self._identities = np.char.encode(table["sha256"].to_numpy(dtype=str), "ascii") if "sha256" in table else None
        self._archives: list[Path] = []
        if "archive" in table:
            codes, names = table["archive"].factorize()
            self._archives = [self._root / name for name in names]
            self._codes = codes.astype(np.int32)
            self._spans = table[["offset", "bytes"]].to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        """How messages call an image: its path, with its archive where it lies in one."""
        path = self._paths[index].decode("utf-8")
        return f"{self._archives[self._codes[index]]}:{path}" if self._archives else str(self._root / path)

    def identity(self, index: int) -> str:
        """What an image is, wherever it lies: the sha256 of its file."""
        return self._identities[index].decode("ascii")

    def read(self, index: int) -> bytes:
        """The content of an image's file.

        Raises:
            OSError: if the file or archive cannot be read."""
        if not self._archives:
            return Path(self._root, self._paths[index].decode("utf-8")).read_bytes()
        offset, length = self._spans[index]
        return read_span(self._archives[self._codes[index]], int(offset), int(length))

    def decode(self, index: int) -> np.ndarray:
        """An image's pixels, uint8 RGB (height, width, 3).

        Raises:
            OSError: if it cannot be read or decoded, or has not the size that the table gives.
        """
        try:
            image = decode(self.read(index), self.name(index))
        except ValueError as error:
            raise OSError(f"{error}; it could be when the manifest was made") from None
        if image.shape[:2] != tuple(self.sizes[index]):
            height, width = self.sizes[index]
            raise OSError(
                f"{self.name(index)} is {image.shape[1]}x{image.shape[0]} but the manifest says {width}x{height}: "
                "the file has changed since; make the manifest again"
            )
        return image
