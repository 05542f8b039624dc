"""Benchmark images among the training images: scores on images that a network has seen say nothing about its quality.

Only files with the same bytes are found; an image that was saved again is not.
"""

import contextlib
import filecmp
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflows.data import containers
from workflows.data.pairs import find_pairs
from workflows.data.sources import source_files
from workflows.provenance import sha256

BEGINNING = 4096  # bytes that are compared first: uncompressed images of one size have files of one size


def trained_on(
    files: Iterable[Path], root: Path, manifest: Path, pairs: tuple[str, str] | None = None
) -> dict[Path, str]:
    """The files that are training images too, with each one's path in the source.

    Args:
        files: benchmark images.
        root: of the source.
        manifest: the source's manifest.csv. Until it is made, images in archives are not compared.
        pairs: `inputs` and `targets` of a source of pairs.
    """
    files = list(files)
    return dict([*_packed(files, root, manifest), *_plain(files, root, pairs)])


def _plain(files: Iterable[Path], root: Path, pairs: tuple[str, str] | None) -> Iterator[tuple[Path, str]]:
    alike: dict[int, dict[bytes, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        alike[file.stat().st_size][_beginning(file)].append(file)
    for path, size in _listed(root, pairs):
        if size in alike:
            with contextlib.suppress(OSError):  # an unreadable image is not trained on either
                for file in alike[size].get(_beginning(root / path), ()):
                    if filecmp.cmp(root / path, file, shallow=False):
                        yield file, path


def _listed(root: Path, pairs: tuple[str, str] | None) -> Iterator[tuple[str, int]]:
    if pairs is not None:
        yield from ((target, (root / target).stat().st_size) for target, _ in find_pairs(root, *pairs))
        return
    for path, status in source_files(root)[1]:
        if status is not None and stat.S_ISREG(status.st_mode) and not containers.kind(path):
            yield path, status.st_size


def _packed(files: Iterable[Path], root: Path, manifest: Path) -> Iterator[tuple[Path, str]]:
    """Of the images in archives, which the manifest lists; those that are still there count."""
    if not manifest.is_file():
        return
    with open(manifest, encoding="utf-8") as file:
        if "archive" not in file.readline():
            return
    import pandas as pd

    from workflows.data.image_reader import ImageReader
    from workflows.data.manifest import read_table

    hashes = {sha256(file): file for file in files}
    if not pd.read_csv(manifest, usecols=["sha256"], dtype=str)["sha256"].isin(hashes).any():
        return  # reading all columns takes several times as long
    table = read_table(manifest)
    table = table[(table["archive"] != "") & table["sha256"].isin(hashes)]
    reader = ImageReader(table, root)
    for index, path in enumerate(table["path"]):
        try:
            reader.read(index)
        except (OSError, ValueError):
            continue
        yield hashes[reader.identity(index)], path


def _beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(BEGINNING)
