"""The images of a training source, in whichever form it is stored.

An image's path is its name in every table and decides which fractions it belongs to. It does not depend on the form: ImageNet
as a folder, as the official tar of tars and as one tar per class gives the same paths and so the same fractions.
"""

import itertools
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from workflows.data import containers
from workflows.data.containers import Entry
from workflows.files import IMAGE_SUFFIXES, is_image

# If a dataset has several parts, only these are for training.
TRAINING_FOLDERS = ("train", "DIV2K_train_HR")

_TRAINING = re.compile(r"(?<![a-z])train", re.I)
_COMPRESSED = re.compile(r"\.(tar\.(gz|bz2|xz|zst|lz4|lzma|z)|tgz|tbz2?|txz|zip|7z|rar)$", re.I)
# `LR`, `Flickr2K_LR_bicubic`, `LRx2`, `train_LR.lmdb`, next to `HR` or `GT`.
_LOW = re.compile(r"(?:^|[\W_\d])lr(?=$|[\W_\d]|x\d|bic)", re.I)
_HIGH = re.compile(r"(?:^|[\W_\d])(?:hr|gt)(?=$|[\W_\d])", re.I)


class Listing(NamedTuple):
    """The images of a source.

    Attributes:
        entries: the image files, sorted by path, each path once.
        rejected: (path, bytes, reason) of files that cannot be images.
        notes: a sentence for everything that was left out or may surprise.
    """

    entries: list[Entry]
    rejected: list[tuple[str, int, str]]
    notes: list[str]


def list_images(root: Path) -> Listing:
    """List a source's images, in an order that does not depend on the file system.

    Where there is a folder `train/` (classes are the folders in it) or `DIV2K_train_HR/` that holds images, it alone is
    read, otherwise the whole folder (classes are its folders). It reads image files, tar archives (the
    official ImageNet archive of archives, one archive per class, webdataset shards with the class in `.cls`), Hugging Face's
    parquet files and BasicSR's LMDB folders. If there are several such containers, only those with `train` in their path are
    read.

    Raises:
        FileNotFoundError: if root is missing or holds no image.
        ValueError: naming a container that cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder of images at {root}")
    folder, files = source_files(root)
    listing = _list(root, folder, files)
    if not listing.entries:
        if listing.rejected:
            path, _, reason = listing.rejected[0]
            raise FileNotFoundError(f"no usable image under {root}; the first, {path}: {reason}")
        raise FileNotFoundError(
            f"no images under {root}: expected train/<class>/*.JPEG, tar archives, parquet files, LMDB folders, or files "
            f"that end in {', '.join(sorted(IMAGE_SUFFIXES))}" + "".join(f"\n{note}" for note in listing.notes)
        )
    if folder:
        listing.notes.insert(0, f"only {folder}/ is read")
    return listing


def holds_images(root: Path) -> bool:
    """Whether `list_images` has anything to read, at the cost of the first file."""
    return (root / "data.mdb").is_file() or next(_walk(root, root), None) is not None


def source_files(root: Path, everything: bool = False) -> tuple[str | None, list[tuple[str, os.stat_result | None]]]:
    """The files that a source consists of: images, archives, LMDB folders.

    Args:
        root: of the source.
        everything: whether to read all folders, not only those for training.

    Returns:
        The only folder of `TRAINING_FOLDERS` that is read, if there is one; and (path relative to root, status) of each file.
        The status of a broken link is None. If the root itself is a container, its path is `.`.
    """
    for folder in TRAINING_FOLDERS:
        if not everything and (root / folder).is_dir() and (files := _counted(_walk(root, root / folder))):
            return folder, files
    if (root / "data.mdb").is_file():
        return None, [(".", os.stat(root))]
    return None, _counted(_walk(root, root))


def _list(root: Path, folder: str | None, files: list[tuple[str, os.stat_result | None]]) -> Listing:
    entries, rejected, notes = [], [], []
    held, packed, siblings = [], [], defaultdict(set)
    for path, status in files:
        if not _is_utf8(path):
            if is_image(path):
                rejected.append((_printable(path), 0, "its name is not UTF-8; rename the file or its folder"))
            continue
        for parent, name in _steps(path):
            siblings[parent].add(name)
        if _COMPRESSED.search(path):
            packed.append(path)
        elif containers.kind(path):
            held.append(path)
        elif status is None:
            rejected.append((path, 0, "a link that leads nowhere"))
        elif not stat.S_ISREG(status.st_mode):
            rejected.append((path, 0, "not a regular file"))
        else:
            entries.append(Entry(path, _category(path, folder), "", 0, status.st_size, status.st_mtime_ns))

    if training := [path for path in held if _TRAINING.search(path)]:
        if len(training) < len(held):
            notes.append(
                f"left out because others have `train` in their path: {_few(sorted(set(held) - set(training)))}"
            )
        held = training
    count = len(entries)
    for path in sorted(held):
        before = len(entries)
        entries += _counted(containers.entries(root, path))
        if len(entries) == before:
            notes.append(f"{path} holds no images")
    if count and len(entries) > count:
        notes.append(f"{count:,} image files and {len(entries) - count:,} images in {_few(held)}: all are taken")
    if packed:
        if not entries:
            raise ValueError(
                f"{root / packed[0]} is compressed: images cannot be read from its middle; unpack it, for example to a "
                "plain .tar"
            )
        notes.append(f"compressed and not looked into: {_few(packed)}")

    entries = _without_reduced(entries, siblings, notes)
    entries.sort(key=lambda entry: (entry.path, entry.archive))
    repeated = [second for first, second in itertools.pairwise(entries) if first.path == second.path]
    rejected += [(e.path, e.bytes, f"listed already; this one is in {e.archive}") for e in repeated]
    doubled = set(map(id, repeated))
    return Listing([entry for entry in entries if id(entry) not in doubled], sorted(rejected), notes)


def _walk(root: Path, start: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Images, archives and LMDB folders as (path relative to root, status), each real folder once.

    Links are followed after all real folders have been listed, and never to a folder that holds the source itself. The status
    of a broken link is None."""
    seen = {_identity(parent) for parent in start.resolve().parents}
    folders, links = [os.fspath(start)], []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        if (identity := _identity(folder)) in seen:
            continue
        seen.add(identity)
        inside = Path(folder).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        with os.scandir(folder) as items:
            items = sorted((item for item in items if not item.name.startswith(".")), key=lambda item: item.name)
        for item in items:
            path = prefix + item.name
            try:
                status = item.stat()
            except OSError:
                status = None
            if status is not None and stat.S_ISDIR(status.st_mode):
                if item.name.endswith(".lmdb"):
                    yield path, status
                else:
                    (links if item.is_symlink() else folders).append(item.path)
            elif is_image(item.name) or _COMPRESSED.search(item.name) or (status and containers.kind(item.name)):
                yield path, status


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _category(path: str, folder: str | None) -> str:
    parents = path.split("/")[:-1]
    if folder is None:
        return "/".join(parents)
    inside = parents[1:]
    return (inside[0] if folder == "train" else "/".join(inside)) if inside else ""


def _without_reduced(entries: list[Entry], siblings: dict[str, set[str]], notes: list[str]) -> list[Entry]:
    """Leave out folders of low-resolution versions next to a folder of high-resolution ones."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    kept = []
    for entry in entries:
        low = next(((p, name) for p, name in _steps(entry.archive or entry.path) if _LOW.search(name)), None)
        if low is None:
            kept.append(entry)
            continue
        paired = any(_HIGH.search(name) for name in siblings[low[0]])
        counts["/".join(filter(None, low))][paired] += 1
        if not paired:
            kept.append(entry)
    for name, (taken, left_out) in sorted(counts.items()):
        if left_out:
            notes.append(f"{name}: {left_out:,} low-resolution versions of other images are left out")
        if taken:
            notes.append(f"{name}: {taken:,} images that look like low-resolution versions are trained on")
    return kept


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """Each folder or container on the way to a file, as (parent, name)."""
    parts = path.split("/")
    last = len(parts) if containers.kind(path) else len(parts) - 1
    return (("/".join(parts[:i]), parts[i]) for i in range(last))


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _few(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _counted(items: Iterable) -> list:
    """The items as a list. Their number is shown as it grows: listing a million files may take minutes."""
    interval = 0.5 if sys.stderr.isatty() else 30
    return list(tqdm(items, unit="file", desc="list", mininterval=interval, leave=False, delay=2))
