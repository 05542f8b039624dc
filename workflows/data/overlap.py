"""Benchmark images among the training images: scores on images that a network has seen say nothing about its quality.

Only files with the same bytes are found; an image that was saved again is not.
"""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflows.data import containers
from workflows.data.pairs import find_pairs
from workflows.data.sources import source_files
from workflows.provenance import sha256


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
    of_size: dict[int, list[Path]] = {}
    for file in files:
        of_size.setdefault(file.stat().st_size, []).append(file)
    found: dict[Path, str] = {}
    for path, size, digest in _recorded(manifest) if manifest.is_file() else _listed(root, pairs):
        for file in of_size.get(size, ()):
            if file not in found and (digest or sha256(root / path)) == sha256(file):
                found[file] = path
    return found


def _recorded(manifest: Path) -> Iterator[tuple[str, int, str]]:
    from workflows.data.manifest import read_table  # loads pandas

    table = read_table(manifest)
    yield from zip(table["path"], table["bytes"], table["sha256"], strict=True)


def _listed(root: Path, pairs: tuple[str, str] | None) -> Iterator[tuple[str, int, None]]:
    if pairs is not None:
        yield from ((target, (root / target).stat().st_size, None) for target, _ in find_pairs(root, *pairs))
        return
    for path, status in source_files(root)[1]:
        if status is not None and stat.S_ISREG(status.st_mode) and not containers.kind(path):
            yield path, status.st_size, None
