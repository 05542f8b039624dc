"""Checkpoints that a killed run resumes from.

A checkpoint is whole or absent: it is written under a temporary name, flushed to disk and renamed. Its name ends in the first
16 digits of its SHA-256, so that a changed byte is noticed. torch does not notice: it loaded 59 of 60 checkpoints with one
flipped byte. The last two are kept, so that one survives if the other is damaged. One process writes them, all processes of a
run read them. They are not among the run's declared outputs, which Snakemake deletes when a job fails.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import torch

KEEP = 2
FORMAT = 3  # version of a checkpoint's content
HASH_DIGITS = 16


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says why and what to do."""


class _Hashing:
    """A file for writing that hashes its content and keeps the error that stopped it.

    torch's writer replaces a full disk's error by its own, "unexpected pos 64 vs 0".
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.error = file, hashlib.sha256(), None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        self._hash.update(rest)
        size = len(rest)
        while rest:  # the system may write less at a time: at most 2 GB, or what is free on the disk
            try:
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.error = error
                raise
        return size

    def flush(self) -> None:
        self._file.flush()

    @property
    def digits(self) -> str:
        return self._hash.hexdigest()[:HASH_DIGITS]


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` as the checkpoint after `step` steps and drop all but the last two.

    Raises:
        CheckpointError: if it cannot be written; earlier checkpoints stay as they are.
    """
    temporary = folder / f".step-{step:09d}.{os.getpid()}"
    hashing = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in folder.glob(".step-*"):  # left by a process that was killed while writing
            abandoned.unlink()
        # Unbuffered: buffered bytes would fail again when the file is closed.
        with open(temporary, "wb", buffering=0) as file:
            hashing = _Hashing(file)
            torch.save({"format": FORMAT, "step": step, **state}, hashing)
            os.fsync(file.fileno())
        path = folder / f"step-{step:09d}-{hashing.digits}.pt"
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        cause = (hashing and hashing.error) or error
        raise CheckpointError(
            f"could not write the checkpoint after step {step:,}: {cause}; earlier checkpoints in {folder} are intact"
        ) from error
    # A checkpoint of a later step was skipped because it is damaged.
    others = [other for other in _checkpoints(folder) if other != path]
    before = [other for other in others if other.name < f"step-{step + 1:09d}"]
    for old in {*others} - {*before[-(KEEP - 1) :]}:
        old.unlink()
    return path


def load_latest(folder: Path, digest: str) -> dict[str, Any] | None:
    """The newest intact checkpoint in `folder`, or None if there is none.

    Only tensors and plain values are loaded; no code of the file is run.

    Raises:
        CheckpointError: if the checkpoint belongs to another config, or none can be read.
    """
    damaged = []
    for path in reversed(_checkpoints(folder)):
        if damage := _damage(path):
            damaged.append(f"{path} ({damage})")
            continue
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged files make torch.load raise many kinds of errors
            damaged.append(f"{path} ({type(error).__name__})")
            continue
        if not isinstance(state, dict) or "digest" not in state:
            damaged.append(f"{path} (not a checkpoint of this program)")
            continue
        if state.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} was written by another version of this program (format {state.get('format')}, not {FORMAT}); "
                f"continue with that version, or delete {folder} to start afresh"
            )
        if state["digest"] != digest:
            raise CheckpointError(
                f"{path} belongs to another config, or to other images (digest {state['digest']}, this run has {digest}); "
                f"delete {folder} to start afresh, or restore the config that it was made with"
            )
        for one in damaged:
            print(f"checkpoint {one} cannot be used; resuming from {path}", flush=True)
        return state
    if damaged:
        raise CheckpointError(f"no checkpoint can be used: {', '.join(damaged)}; delete {folder} to start afresh")
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """By step, newest last."""
    return sorted(folder.glob("step-*.pt"))


def _damage(path: Path) -> str | None:
    """A description of the damage, or None."""
    try:
        with open(path, "rb") as file:
            digits = hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]
    except OSError as error:
        return str(error)
    named = path.stem.rpartition("-")[2]
    return None if digits == named else f"its bytes have changed: their SHA-256 begins {digits}, not {named}"
