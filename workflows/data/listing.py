"""Whether a source's files are still those in its manifest, at the cost of a listing.

Paths and sizes show added, removed and replaced files, and stay the same when a folder is moved or copied. Only files with a
new modification time are read, and their hashes compared with the manifest.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ipt_models.files import replacing
from workflows.data import containers
from workflows.data.image_reader import ImageReader
from workflows.data.manifest import DUPLICATE, TOO_SMALL
from workflows.data.sources import source_files
from workflows.files import write_text

TABLES = ("manifest.csv", "rejected.csv")


class Limits(NamedTuple):
    """What the manifest leaves out, and when it gives up."""

    min_side: int
    max_undecodable: float


def limits(folder: Path, wanted: Limits, content: str, note: bool = True) -> Limits:
    """The limits that a source's tables were first made with, if they leave out the same images as `wanted`; else `wanted`.

    Args:
        folder: holds manifest.csv and rejected.csv, if they exist, and the record of this function.
        content: names the source's present content; tables of other content are made anew.
        note: False writes no record.
    """
    record = folder / ".limits.json"
    try:
        *known, of_content = json.loads(record.read_text(encoding="utf-8"))
        first = Limits(*known) if of_content == content else None
    except (OSError, ValueError, TypeError):
        first = None
    if first == wanted:
        return wanted
    try:
        images, rejected = (pd.read_csv(folder / name, keep_default_na=False) for name in TABLES)
        shortest = images[["width", "height"]].min(axis=None)
        small = rejected["reason"].str.extract(rf"^{TOO_SMALL}: (\d+)x(\d+)").dropna().astype(int).min(axis=1)
        undecodable = (~rejected["reason"].str.startswith((TOO_SMALL, DUPLICATE))).sum()
    except (OSError, ValueError, KeyError):  # not made yet
        shortest = None

    def leave_out_the_same(other: Limits) -> bool:
        return shortest >= other.min_side and not (small >= other.min_side).any()

    if shortest is not None:
        allowed = wanted.max_undecodable * (len(images) + len(rejected))
        if not leave_out_the_same(wanted) or undecodable > allowed:
            return wanted  # which the record follows once the tables do
        if first is not None and leave_out_the_same(first):
            return first
    if note:
        write_text(json.dumps([*wanted, content]), record)
    return wanted


def state(root: Path, manifest: Path, record: Path, walk: bool = True, paired: bool = False, note: bool = True) -> str:
    """A name for a source's content: it changes when a file is added, removed or gets other content.

    Args:
        root: of the source.
        manifest: its manifest.csv, in one folder with rejected.csv, if they exist.
        record: a file with the last listing, which this function keeps up to date.
        walk: False returns the last name without listing.
        paired: whether its images come in pairs, which may be in any of its folders.
        note: False starts no record.
    """
    names, times, name = _read(record)
    if not walk:
        return name
    paths, stats = _files(root, paired)
    now = hashlib.sha256("".join(f"{p}\0{s.st_size}\n" for p, s in zip(paths, stats, strict=True)).encode()).hexdigest()
    modified = np.array([status.st_mtime_ns for status in stats], np.int64)
    if now == names and len(changed := np.flatnonzero(modified != times)) == 0:
        return name
    if not names:
        name = now[:16]
    elif now != names or not _same_contents(root, manifest, [paths[i] for i in changed]):
        name = hashlib.sha256(now.encode() + modified.tobytes()).hexdigest()[:16]
    if note or names:
        with replacing(record) as temporary:
            np.savez(temporary, names=now, times=modified, name=name)
    return name


def _read(record: Path) -> tuple[str, np.ndarray, str]:
    try:
        with np.load(record) as known:
            return str(known["names"]), known["times"], str(known["name"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return "", np.empty(0, np.int64), ""


def _files(root: Path, everything: bool) -> tuple[list[str], list[os.stat_result]]:
    files = []
    for path, status in source_files(root, everything)[1]:
        database = root / path / "data.mdb"
        if containers.kind(path) == "lmdb":
            status = database.stat() if database.is_file() else None
        if status is not None:
            files.append((os.fsencode(path).decode("utf-8", "backslashreplace"), status))
    files.sort(key=lambda pair: pair[0])
    return [path for path, _ in files], [status for _, status in files]


def _same_contents(root: Path, manifest: Path, paths: Iterable[str]) -> bool:
    """Whether files, and the images in containers, have the hashes in the manifest and in the list of rejections."""
    try:
        tables = [pd.read_csv(manifest.with_name(name), dtype=str, keep_default_na=False) for name in TABLES]
    except (OSError, ValueError):
        return False
    hashes: dict[str, str] = {}
    for table in tables:
        hashes |= dict(zip(table["path"], table["sha256"], strict=True))
        if "input" in table:
            hashes |= dict(zip(table["input"], table["input_sha256"], strict=True))
    images = tables[0]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in paths:
            if containers.kind(path):
                if "archive" not in images:
                    return False
                inside = images[images["archive"] == path]
                reader = ImageReader(inside.astype({"width": int, "height": int, "offset": int, "bytes": int}), root)
                try:
                    for index in range(len(reader)):
                        reader.read(index)
                except OSError:
                    return False

        def is_same(path: str) -> bool:  # or was left out
            return not hashes.get(path) or hashlib.sha256((root / path).read_bytes()).hexdigest() == hashes[path]

        return all(pool.map(is_same, [path for path in paths if not containers.kind(path)]))
