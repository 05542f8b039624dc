"""Inspection of image files: size and hash, or why a file cannot be used."""

import ctypes
import hashlib
import io
import itertools
import multiprocessing
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from workflows.data import containers
from workflows.data.containers import Entry
from workflows.data.decoding import check_decodes

_CHUNK = 32  # consecutive images that a process reads at a time
# libjpeg warns of a few stray bytes before a marker, as some encoders leave them. That is not damage.
_HARMLESS = re.compile(r"Corrupt JPEG data: \d{1,2} extraneous bytes before marker")


class Finding(NamedTuple):
    """The result for one file: its size and hash, or why it cannot be used; the same for the input of a pair."""

    width: int
    height: int
    bytes: int
    sha256: str
    reason: str
    input_width: int = 0
    input_height: int = 0
    input_sha256: str = ""


def inspect_all(root: Path, entries: list[Entry], processes: int) -> Iterator[tuple[list[Entry], list[Finding]]]:
    """Findings of chunks of entries, in order.

    In processes, because libjpeg and similar libraries write warnings without a file name to the process's standard error."""
    chunks = [entries[start : start + _CHUNK] for start in range(0, len(entries), _CHUNK)]
    if not chunks:
        return
    pool = ProcessPoolExecutor(
        min(processes, len(chunks)), multiprocessing.get_context("fork"), _start_inspecting, (os.getpid(),)
    )
    try:
        yield from zip(chunks, pool.map(_inspect_chunk, itertools.repeat(root), chunks), strict=True)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process that read images was killed; if memory ran out, use fewer threads"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_inspecting(parent: int) -> None:
    """Prepare a process: it ends with its parent, and its standard error goes to a file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, AttributeError):  # Linux has it
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)


def _inspect_chunk(root: Path, chunk: list[Entry]) -> list[Finding]:
    return [_inspect(root, entry) for entry in chunk]


def _inspect(root: Path, entry: Entry) -> Finding:
    """Read one image's file, or both of a pair. A file that cannot be read at all raises an error."""
    if entry.archive:
        finding = _examine(containers.read(root / entry.archive, entry.archive, entry.path, entry.offset, entry.bytes))
    else:
        finding = _examine(Path(root, entry.path).read_bytes())
    if not entry.input:
        return finding
    of_input = _examine(Path(root, entry.input).read_bytes())
    reason = finding.reason or (f"its input {entry.input}: {of_input.reason}" if of_input.reason else "")
    return finding._replace(
        reason=reason, input_width=of_input.width, input_height=of_input.height, input_sha256=of_input.sha256
    )


def _examine(data: bytes) -> Finding:
    """Decode a file's content once."""
    sha256 = hashlib.sha256(data).hexdigest()
    reason, width, height = "", 0, 0
    complaints = os.lseek(2, 0, os.SEEK_END)
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
        check_decodes(data)
    except UnidentifiedImageError:
        reason = "not an image" if data else "empty file"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = f"cannot be decoded: {error}"
    said = os.pread(2, 1000, complaints).decode("utf-8", "replace").strip().partition("\n")[0]
    if not reason and said and not _HARMLESS.match(said):
        reason = f"cannot be decoded: {said}"
    return Finding(width, height, len(data), sha256, reason)
