"""Checkpoints that a killed run resumes from.

A checkpoint is whole or absent: it is written under a temporary name, flushed to disk and renamed. The last two are
kept, so that one survives whatever happens to the other. One process writes them, all of a run read them. They live
outside of the run's declared outputs, which Snakemake deletes when a job fails.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

KEEP = 2
FORMAT = 2  # of what the loop puts into a checkpoint


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says why and what to do."""


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` as the checkpoint after `step` steps and drop all but the last two.

    Raises:
        CheckpointError: when the disk does not take it; earlier checkpoints stay as they are.
    """
    path = folder / f"step-{step:09d}.pt"
    temporary = folder / f".{path.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".step-*"):  # by a process that was killed while it wrote
            left.unlink()
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, "step": step, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch's writer has its own error for a short write
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"could not write {path}: {error}; earlier checkpoints in {folder} are intact") from error
    for old in _checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


def load_latest(folder: Path, digest: str) -> dict[str, Any] | None:
    """The newest whole checkpoint in `folder`, or None if there is none.

    Only tensors and plain values are loaded; no code of the file is run.

    Raises:
        CheckpointError: when the checkpoint belongs to another config, or none of several can be read.
    """
    unreadable = []
    for path in reversed(_checkpoints(folder)):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises whatever the broken file provokes
            unreadable.append(f"{path} ({type(error).__name__})")
            continue
        if not isinstance(state, dict) or "digest" not in state:
            unreadable.append(f"{path} (not a checkpoint of this program)")
            continue
        if state.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} was written by another version of this program (format {state.get('format')}, not {FORMAT}); "
                f"go on with that version, or delete {folder} to start afresh"
            )
        if state["digest"] != digest:
            raise CheckpointError(
                f"{path} belongs to another config, or to other images (digest {state['digest']}, this run has {digest}); "
                f"delete {folder} to start afresh, or restore the config that it was made with"
            )
        for broken in unreadable:
            print(f"checkpoint {broken} cannot be read; going on from {path}", flush=True)
        return state
    if unreadable:
        raise CheckpointError(f"no checkpoint can be read: {', '.join(unreadable)}; delete {folder} to start afresh")
    return None


def remove(folder: Path) -> None:
    """Remove a finished run's checkpoints."""
    shutil.rmtree(folder, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))
