"""A lock: only one training at a time in a run's folder.

After `kill -9` of Snakemake its trainings keep running, and the same call would start a second one that deletes the first one's
checkpoints. The lock is the kernel's (flock), so it is released when the process ends, however it ends. Imports no torch.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".training"


class FolderLocked(RuntimeError):
    """Another process trains in the folder; the message says which one and what to do."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made if it is missing.

    The processes of one run share it: the first one holds it, and those that Fabric, `torchrun` or Slurm starts with it do
    not lock.

    Raises:
        FolderLocked: when another process holds it.
    """
    if any(os.environ.get(rank, "0") != "0" for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        yield
        return
    path = folder / NAME
    file = _acquire(path)
    try:
        os.truncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\t{socket.gethostname()}\t{time.strftime('%F %T')}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held, so that no other process's lock is removed
        os.close(file)


def _acquire(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 1000, 0).decode(errors="replace")
            os.close(file)
            raise FolderLocked(_advice(path.parent, *[*holder.split("\t"), "", "", ""][:3])) from None
        # The previous holder may have removed the file after it was opened here.
        with suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)


def _advice(folder: Path, process: str, host: str, since: str) -> str:
    return (
        f"{folder} is being trained by process {process or '(starting)'} on {host or 'an unknown host'} since {since}. "
        "It runs on without the Snakemake that started it. Wait until it has ended, or stop it: "
        f"`kill {process}` on {host} makes it save a checkpoint and end. Then run again: a finished training is "
        "reused, an unfinished one continues from its checkpoint"
    )
