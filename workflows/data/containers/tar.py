"""Plain tar archives: ImageNet's archive of archives, one archive per class, webdataset shards."""

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from workflows.data.containers import Entry
from workflows.files import is_image


def entries(root: Path, name: str) -> Iterator[Entry]:
    """The images in a tar archive; see `containers.entries`. Names that are not UTF-8 are written with backslashes."""
    path = root / name
    modified = path.stat().st_mtime_ns
    try:
        with tarfile.open(path, "r:", errors="backslashreplace") as archive:
            members = [member for member in archive if member.isfile() and not Path(member.name).name.startswith(".")]
            inner = [member for member in members if member.name.endswith(".tar")]
            for member in inner:  # the archive of archives: one per class
                category = Path(member.name).stem
                with tarfile.open(fileobj=archive.extractfile(member), mode="r:", errors="backslashreplace") as nested:
                    for image in nested:
                        if image.isfile() and is_image(image.name):
                            offset = member.offset_data + image.offset_data
                            yield _of_class(category, image, name, offset, modified)
            if not inner:
                yield from _flat(archive, members, path, name, modified)
    except tarfile.TarError as error:
        raise ValueError(f"{path} is not a readable tar archive: {error}; fetch it again, or move it away") from error


def read(container: Path, name: str, path: str, offset: int, length: int) -> bytes:
    """A member's content; see `containers.read`."""
    return read_span(container, offset, length)


def read_span(path: Path, offset: int, length: int) -> bytes:
    """Read `length` bytes of a file from `offset` on: a member of an archive, or a whole file from 0.

    Raises:
        OSError: if the file cannot be read or is shorter."""
    with open(path, "rb", buffering=0) as file:
        data = os.pread(file.fileno(), length, offset)
    if len(data) < length:
        raise OSError(f"{path} ends {length - len(data)} bytes too early")
    return data


def _flat(
    archive: tarfile.TarFile, members: list[tarfile.TarInfo], path: Path, name: str, modified: int
) -> Iterator[Entry]:
    images = [member for member in members if is_image(member.name)]
    if re.fullmatch(r"n\d{8}", path.stem):  # one archive per class
        yield from (_of_class(path.stem, image, name, image.offset_data, modified) for image in images)
        return
    # A webdataset shard: files of one sample share their name up to the first dot.
    classes = {
        _sample(member.name): archive.extractfile(member).read().decode("utf-8", "backslashreplace").strip()
        for member in members
        if member.name.endswith(".cls")
    }
    for image in images:
        inside = image.name.removeprefix("./")
        category = classes.get(_sample(image.name), Path(inside).parent.as_posix().strip("."))
        entry = f"{name.removesuffix('.tar')}/{inside}"
        yield Entry(entry, category, name, image.offset_data, image.size, modified)


def _of_class(category: str, image: tarfile.TarInfo, archive: str, offset: int, modified: int) -> Entry:
    return Entry(f"train/{category}/{Path(image.name).name}", category, archive, offset, image.size, modified)


def _sample(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.split('.')[0]}"
