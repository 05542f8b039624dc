"""Finished runs of a grid in archives of limited size, for a machine whose uploads or downloads are limited."""

import re
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from ipt_models.files import replacing
from workflows.command_line import InputError
from workflows.config.experiment import Experiment
from workflows.training import reuse

WEIGHTS = "model.safetensors"
PACKED = (WEIGHTS, "train.csv", "provenance.json", "metrics*.csv", "metrics*.json", "images/**/*.png")


def pack(
    experiment: Experiment, folder: Path, largest: float, without_weights: Collection[str] = ()
) -> Iterator[tuple[Path, list[str]]]:
    """Archive what is finished and in no archive of `folder` yet; returns each new archive with the names of its runs.

    Args:
        experiment: the experiment.
        folder: for `<experiment>-001.tar`, …; paths in them are relative to the results folder. A file that has changed is
            packed again: unpack archives in order.
        largest: bytes per archive. A larger run gets a separate archive.
        without_weights: names of runs whose weights are left out.

    Raises:
        InputError: if an archive of `folder` cannot be read.
    """
    written = sorted(folder.glob(f"{experiment.name}-*.tar"))
    held = {entry for archive in written for entry in _entries(archive)}
    results = experiment.folder.parent
    # The tables of images come along: trainings follow from them, and would be older than tables that are made anew.
    groups = {"tables of images": sorted(experiment.folder.glob("data/**/*.csv"))}
    for name, run in experiment.trainings().items():
        out = experiment.folder / "runs" / name
        if reuse.is_finished(out, run):
            files = [path for pattern in PACKED for path in sorted(out.glob(pattern))]
            groups[name] = [path for path in files if path.name != WEIGHTS or name not in without_weights]
    parts: list[dict[str, list[Path]]] = []
    size = largest + 1
    for name, files in groups.items():
        missing = [path for path in files if _entry(path, results) not in held]
        takes = sum(path.stat().st_size for path in missing)
        if missing and (not parts or size + takes > largest):
            parts.append({})
            size = 0.0
        if missing:
            parts[-1][name] = missing
            size += takes
    last = max((int(match[1]) for path in written if (match := re.search(r"-(\d+)\.tar$", path.name))), default=0)
    for number, part in enumerate(parts, start=last + 1):
        path = folder / f"{experiment.name}-{number:03d}.tar"
        with replacing(path) as temporary, tarfile.open(temporary, "w") as archive:
            for file in (file for files in part.values() for file in files):
                archive.add(file, file.relative_to(results))
        yield path, list(part)


def _entry(path: Path, results: Path) -> tuple[str, int, int]:
    """What identifies a file in an archive: name, size, and time of change in seconds."""
    status = path.stat()
    return path.relative_to(results).as_posix(), status.st_size, int(status.st_mtime)


def _entries(archive: Path) -> Iterator[tuple[str, int, int]]:
    try:
        with tarfile.open(archive, "r:") as opened:
            yield from ((member.name, member.size, int(member.mtime)) for member in opened.getmembers())
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"{archive}: cannot be read as an archive ({error}); remove it to have it written again"
        ) from None
