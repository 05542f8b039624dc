"""Which images a training source holds, in whichever form it is stored.

An image's path is its name in every table and decides which fractions it belongs to. It does not depend on the form:
ImageNet as a folder, as the official tar of tars and as one tar a class gives the same paths and so the same fractions.
"""

import itertools
import os
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from workflows.data.decoding import IMAGE_SUFFIXES

# Where a dataset brings several parts, these alone are for training.
TRAINING_FOLDERS = ("train", "DIV2K_train_HR")


class Entry(NamedTuple):
    """One image file of a source.

    Attributes:
        path: its name, posix and relative; the last part of a name in the archive where it lies in one.
        category: its class, '' where there is none.
        archive: the archive that holds it, relative to the root, or ''.
        offset: where its content begins in the archive; 0 without an archive.
        bytes: the content's length.
        modified: modification time in nanoseconds, of the file or of the archive.
    """

    path: str
    category: str
    archive: str
    offset: int
    bytes: int
    modified: int


def list_images(root: Path) -> list[Entry]:
    """List a source's images, sorted by path, whatever order the file system lists them in.

    Understood are, in this order: a folder `train/` (classes are the folders in it) or `DIV2K_train_HR/` that holds images;
    tar archives (the official ImageNet archive of archives, one archive a class, webdataset shards with the class in
    `.cls`), of which those with `train` in their path count where there are any; any other folder of images (classes are
    its folders).

    Raises:
        FileNotFoundError: if root is missing or holds no image.
        ValueError: naming an archive that is compressed, or an image that is listed twice.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder of images at {root}")
    folder = next((name for name in TRAINING_FOLDERS if (root / name).is_dir()), None)
    entries = _counted(_folder(root, root / folder)) if folder else []
    if not entries and (archives := _archives(root)):
        entries = _counted(entry for archive in archives for entry in _archive(root, archive))
    elif not folder:
        entries = _counted(_folder(root, root))
    if not entries:
        raise FileNotFoundError(
            f"no images under {root / (folder or '')}: expected train/<class>/*.JPEG, tar archives, or files that end in "
            + ", ".join(sorted(IMAGE_SUFFIXES))
        )
    entries.sort(key=lambda entry: entry.path)
    for first, second in itertools.pairwise(entries):
        if first.path == second.path:
            raise ValueError(f"{first.path} is in {root} twice ({first.archive} and {second.archive})")
    return entries


def _counted(entries: Iterable[Entry]) -> list[Entry]:
    """A list of them, with their number shown as it grows: listing a million files may take minutes."""
    interval = 0.5 if sys.stderr.isatty() else 30
    return list(tqdm(entries, unit="image", desc="list", mininterval=interval, leave=False))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _folder(root: Path, start: Path) -> Iterator[Entry]:
    for folder, _, names in os.walk(start, followlinks=True):
        inside = Path(folder).relative_to(start).parts
        category = inside[0] if inside and start.name == "train" else "/".join(inside)
        prefix = Path(folder).relative_to(root).as_posix()
        for name in filter(_is_image, names):
            status = os.stat(os.path.join(folder, name))
            path = name if prefix == "." else f"{prefix}/{name}"
            yield Entry(path, category, "", 0, status.st_size, status.st_mtime_ns)


def _archives(root: Path) -> list[Path]:
    found = sorted(path for path in root.rglob("*.tar*") if path.is_file() and re.search(r"\.tar(\.\w+)?$", path.name))
    training = [path for path in found if "train" in path.relative_to(root).as_posix().lower()]
    archives = training or found
    if compressed := [path for path in archives if path.suffix != ".tar"]:
        raise ValueError(
            f"{compressed[0]} is compressed: images cannot be read from its middle; unpack it to a plain .tar"
        )
    return archives


def _archive(root: Path, path: Path) -> Iterator[Entry]:
    modified = path.stat().st_mtime_ns
    name = path.relative_to(root).as_posix()
    try:
        with tarfile.open(path, "r:") as archive:
            members = [member for member in archive if member.isfile()]
            inner = [member for member in members if member.name.endswith(".tar")]
            for member in inner:  # the archive of archives: one a class
                category = Path(member.name).stem
                with tarfile.open(fileobj=archive.extractfile(member), mode="r:") as nested:
                    for image in nested:
                        if image.isfile() and _is_image(Path(image.name).name):
                            offset = member.offset_data + image.offset_data
                            yield _member(category, image, name, offset, modified)
            if not inner:
                yield from _flat_archive(archive, members, path, name, modified)
    except tarfile.TarError as error:
        raise ValueError(f"{path} is not a readable tar archive: {error}") from error


def _flat_archive(
    archive: tarfile.TarFile, members: list[tarfile.TarInfo], path: Path, name: str, modified: int
) -> Iterator[Entry]:
    images = [member for member in members if _is_image(Path(member.name).name)]
    if re.fullmatch(r"n\d{8}", path.stem):  # one archive a class
        yield from (_member(path.stem, image, name, image.offset_data, modified) for image in images)
        return
    # A webdataset shard: files of one sample share their name up to the first dot.
    classes = {
        _sample(member.name): archive.extractfile(member).read().decode().strip()
        for member in members
        if member.name.endswith(".cls")
    }
    for image in images:
        inside = image.name.removeprefix("./")
        category = classes.get(_sample(image.name), Path(inside).parent.as_posix().strip("."))
        entry = f"{name.removesuffix('.tar')}/{inside}"
        yield Entry(entry, category, name, image.offset_data, image.size, modified)


def _member(category: str, image: tarfile.TarInfo, archive: str, offset: int, modified: int) -> Entry:
    return Entry(f"train/{category}/{Path(image.name).name}", category, archive, offset, image.size, modified)


def _sample(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.split('.')[0]}"
