"""Fetches an archive of images: retried, checked by its sha256, unpacked whole or not at all. Imports no torch."""

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from workflows.evaluation.images import SUFFIXES

CHUNK = 1 << 20
TRIES = 4
TIMEOUT = 60  # seconds without an answer
MAX_UNPACKED = 64 << 30  # bytes; no benchmark set comes near


class DownloadError(OSError):
    """What went wrong with a download, as one message that names the address."""


def fetch(
    url: str, sha256: str, folder: Path | str, tries: int = TRIES, pause: float = 2.0, progress: bool = True
) -> None:
    """Download a zip or tar archive and unpack its images into a new folder.

    The archive is kept nowhere unless it is the right one, and the folder appears when all of it is there. Leading
    folders that all members share are left out.

    Args:
        url: http, https or file.
        sha256: of the archive, in hexadecimal.
        folder: where the images go; nothing happens if it exists.
        tries: attempts before giving up; an answer such as 404 is not tried again.
        pause: seconds before the second attempt, doubled for each further one.

    Raises:
        DownloadError: unreachable, another checksum, not an archive, or a member that points outside its folder.
    """
    folder = Path(folder)
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        archive = Path(scratch, "archive")
        for attempt in range(1, tries + 1):
            try:
                _download(url, archive, progress)
                break
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code not in (408, 429):
                    raise DownloadError(f"{url}: answered {error.code} {error.reason}") from None
                problem = error
            except (OSError, EOFError) as error:
                problem = error
            if attempt == tries:
                raise DownloadError(f"{url}: failed {tries} times, at last with: {problem}") from None
            time.sleep(pause * 2 ** (attempt - 1))
        found = _digest(archive)
        if found != sha256:
            raise DownloadError(f"{url}: its sha256 is {found}, expected {sha256}; nothing was unpacked")
        unpacked = Path(scratch, "unpacked")
        unpacked.mkdir()
        _unpack(archive, unpacked, url)
        os.replace(_innermost(unpacked), folder)


def _download(url: str, path: Path, progress: bool) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "ipt-benchmark"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, open(path, "wb") as file:
        length = int(answer.headers.get("Content-Length", 0))
        with tqdm(total=length or None, unit="B", unit_scale=True, disable=None if progress else True) as bar:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if length and file.tell() != length:
            raise EOFError(f"{file.tell()} of {length} bytes came")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(archive: Path, folder: Path, url: str) -> None:
    """Write an archive's images, after all of its members have been looked at."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                members = [(m.filename, m.file_size, stat.S_ISLNK(m.external_attr >> 16), m) for m in file.infolist()]
                _write(members, file.open, folder, url)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as file:
                members = [(m.name, m.size, not (m.isfile() or m.isdir()), m) for m in file]
                _write(members, file.extractfile, folder, url)
        else:
            raise DownloadError(f"{url}: is neither a zip nor a tar archive")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DownloadError(f"{url}: its archive is damaged ({error})") from None


def _write(members: list, opener, folder: Path, url: str) -> None:
    """Members are (name, size, whether neither file nor folder, the library's own description)."""
    for name, _, special, _ in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if special or path.is_absolute() or ".." in path.parts or ":" in name:
            raise DownloadError(
                f"{url}: its member {name!r} would land outside its folder or is a link; nothing was unpacked"
            )
    wanted = [m for m in members if not m[0].endswith("/") and PurePosixPath(m[0]).suffix.lower() in SUFFIXES]
    if sum(size for _, size, _, _ in wanted) > MAX_UNPACKED:
        raise DownloadError(f"{url}: would unpack to more than {MAX_UNPACKED >> 30} GB")
    if not wanted:
        raise DownloadError(f"{url}: holds no images")
    for name, _, _, member in tqdm(wanted, unit="image", disable=None):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with opener(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)


def _innermost(folder: Path) -> Path:
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder
