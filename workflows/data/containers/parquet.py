"""Hugging Face's parquet files: images as bytes in a struct column {bytes, path} or in a binary column.

One image is read by decoding its row group, a few rows at a time, up to its row: memory is bounded by a page of the file and
a few images. Rows read in order cost one pass; a random row costs half a row group on average (of 100 rows in files that
`datasets` wrote).
"""

import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workflows.data.containers import Entry

LABELS = ("label", "labels", "class", "cls")
_ROWS = 16  # decoded at a time


def entries(root: Path, name: str) -> Iterator[Entry]:
    """The images in a parquet file; see `containers.entries`."""
    path = root / name
    status = path.stat()
    try:
        file = pq.ParquetFile(path, memory_map=True)
        column = _image_column(file, path)
        fields = [field for field in LABELS if field in file.schema_arrow.names][:1]
        named = column.endswith(".bytes") and _has(file, f"{column.removesuffix('bytes')}path")
        columns = fields + [f"{column.removesuffix('bytes')}path"] * named
        prefix, width = name.removesuffix(".parquet"), len(str(file.metadata.num_rows))
        row = 0
        for batch in file.iter_batches(columns=columns, use_threads=False) if columns else ():
            labels = batch.column(fields[0]).to_pylist() if fields else [""] * len(batch)
            paths = [None] * len(batch)
            if named:
                paths = batch.column(column.partition(".")[0]).field("path").to_pylist()
            for label, inside in zip(labels, paths, strict=True):
                inside = f"-{os.path.basename(inside)}" if inside else ""
                yield Entry(f"{prefix}/{row:0{width}d}{inside}", str(label), name, row, -1, status.st_mtime_ns)
                row += 1
        for other in range(row, file.metadata.num_rows):  # without labels and names
            yield Entry(f"{prefix}/{other:0{width}d}", "", name, other, -1, status.st_mtime_ns)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {error}") from error


def read(container: Path, name: str, path: str, offset: int, length: int) -> bytes:
    """A row's image; see `containers.read`."""
    try:
        return _open(container).get(offset)
    except (pa.ArrowException, StopIteration, ValueError) as error:
        raise OSError(f"{container}: row {offset} cannot be read: {error}") from error


class _Rows:
    """Reads rows of a file; consecutive rows are decoded once."""

    def __init__(self, path: Path) -> None:
        self.file = pq.ParquetFile(path, memory_map=True)
        self.column = _image_column(self.file, path)
        groups = range(self.file.num_row_groups)
        self.starts = list(accumulate((self.file.metadata.row_group(g).num_rows for g in groups), initial=0))
        self.rewind()

    def rewind(self) -> None:
        self.group, self.first, self.batches, self.images = -1, 0, iter(()), ()

    def get(self, row: int) -> bytes:
        group = bisect_right(self.starts, row) - 1
        if group != self.group or row < self.first:
            self.batches = self.file.iter_batches(_ROWS, row_groups=[group], columns=[self.column], use_threads=False)
            self.group, self.first, self.images = group, self.starts[group], ()
        while row >= self.first + len(self.images):
            self.first += len(self.images)
            images = next(self.batches).column(0)
            self.images = images.field("bytes") if pa.types.is_struct(images.type) else images
        return self.images[row - self.first].as_py() or b""


_opened: dict[tuple[int, Path], _Rows] = {}  # per process: a forked one opens its own
_last: list[_Rows] = []


def _open(path: Path) -> _Rows:
    """A file's reader. Only one reader at a time holds decoded rows."""
    key = (os.getpid(), path)
    if key not in _opened:
        _opened[key] = _Rows(path)
    rows = _opened[key]
    if _last != [rows]:
        for other in _last:
            other.rewind()
        _last[:] = [rows]
    return rows


def _image_column(file: pq.ParquetFile, path: Path) -> str:
    """The dotted name of the column of image bytes."""
    fields = list(file.schema_arrow)
    structs = [f"{f.name}.bytes" for f in fields if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    plain = [f.name for f in fields if pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)]
    candidates = structs or plain
    if len(candidates) > 1:
        candidates = [name for name in candidates if name.partition(".")[0] == "image"] or candidates
    if len(candidates) != 1:
        raise ValueError(
            f"{path}: expected one column of images, a struct with `bytes` or a binary column, and found "
            f"{', '.join(candidates) or 'none'}; its columns: {', '.join(file.schema_arrow.names)}"
        )
    return candidates[0]


def _has(file: pq.ParquetFile, column: str) -> bool:
    name, _, child = column.partition(".")
    return file.schema_arrow.field(name).type.get_field_index(child) >= 0
