"""Downloads an archive of images: with retries, checked by SHA-256, unpacked completely or not at all. Imports no torch."""

import os
import shutil
import stat
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import pooch
from tqdm import tqdm

from workflows.files import is_image

TRIES = 4
TIMEOUT = 60  # seconds without an answer
HEADERS = {"User-Agent": "ipt-benchmark"}
MAX_UNPACKED = 64 << 30  # bytes; every benchmark set is far smaller


class DownloadError(OSError):
    """What went wrong with a download, as one message that names the address."""


def fetch(
    url: str,
    sha256: str,
    folders: Mapping[str, Path],
    tries: int = TRIES,
    pause: float = 2.0,
    progress: bool = True,
) -> None:
    """Download a zip or tar archive and unpack its images into new folders.

    The archive is used only if its hash is right, and a folder appears only when it is complete.

    Args:
        url: http or https.
        sha256: of the archive, in hexadecimal.
        folders: where the images of each part of the archive go. A part is a folder in it, or '' for all of it without the
            leading folders that its members share. Existing folders stay as they are; if all exist, nothing is fetched.
        tries: attempts before giving up; an answer such as 404 is not tried again.
        pause: seconds before the second attempt, doubled for each further one.

    Raises:
        DownloadError: unreachable, another checksum, not an archive, or a member that points outside its folder.
    """
    folders = {part: Path(folder) for part, folder in folders.items() if not Path(folder).exists()}
    if not folders:
        return
    for folder in folders.values():
        folder.parent.mkdir(parents=True, exist_ok=True)
    first = next(iter(folders.values()))
    with tempfile.TemporaryDirectory(prefix=f".{first.name}.", dir=first.parent) as scratch:
        archive = Path(scratch, "archive")
        download = pooch.HTTPDownloader(progressbar=progress and sys.stderr.isatty(), timeout=TIMEOUT, headers=HEADERS)
        for attempt in range(1, tries + 1):
            try:
                download(url, str(archive), None)
                break
            except OSError as error:  # as are all exceptions of requests, some of them with the server's answer
                answer = getattr(error, "response", None)
                if answer is not None and answer.status_code < 500 and answer.status_code not in (408, 429):
                    raise DownloadError(f"{url}: answered {answer.status_code} {answer.reason}") from None
                problem = error
            if attempt == tries:
                raise DownloadError(f"{url}: failed after {tries} attempts; last error: {problem}") from None
            time.sleep(pause * 2 ** (attempt - 1))
        digest = pooch.file_hash(str(archive), "sha256")
        if digest != sha256:
            raise DownloadError(f"{url}: its sha256 is {digest}, expected {sha256}; nothing was unpacked")
        unpacked = Path(scratch, "unpacked")
        unpacked.mkdir()
        _unpack(archive, unpacked, folders, url)
        for part, folder in folders.items():
            os.replace(unpacked / part if part else _innermost(unpacked), folder)


def _unpack(archive: Path, folder: Path, parts: Collection[str], url: str) -> None:
    """Write the images of an archive's parts, after all of its members have been checked."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                members = [(m.filename, m.file_size, stat.S_ISLNK(m.external_attr >> 16), m) for m in file.infolist()]
                _write(members, file.open, folder, parts, url)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as file:
                members = [(m.name, m.size, not (m.isfile() or m.isdir()), m) for m in file]
                _write(members, file.extractfile, folder, parts, url)
        else:
            raise DownloadError(f"{url}: is neither a zip nor a tar archive")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DownloadError(f"{url}: its archive is damaged ({error})") from None


def _write(members: list, opener, folder: Path, parts: Collection[str], url: str) -> None:
    """Members are (name, size, whether neither file nor folder, the library's own description)."""
    for name, _, special, _ in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if special or path.is_absolute() or ".." in path.parts or ":" in name:
            raise DownloadError(
                f"{url}: its member {name!r} would land outside its folder or is a link; nothing was unpacked"
            )
    images = [m for m in members if is_image(m[0])]
    inside = {part: [m for m in images if PurePosixPath(m[0]).is_relative_to(part)] for part in parts}
    wanted = list({m[0]: m for members in inside.values() for m in members}.values())
    if sum(size for _, size, _, _ in wanted) > MAX_UNPACKED:
        raise DownloadError(f"{url}: would unpack to more than {MAX_UNPACKED >> 30} GB")
    for part in (part for part, members in inside.items() if not members):
        raise DownloadError(f"{url}: holds no images" + (f" in {part}" if part else ""))
    for name, _, _, member in tqdm(wanted, unit="image", disable=None):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with opener(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)


def _innermost(folder: Path) -> Path:
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder
