"""Hashes of the scored images, one per set and task, so that changed images are scored again.

Hashes cover contents and image names, so a moved or copied folder keeps them.
"""

import functools
import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path

from workflows import provenance
from workflows.config.benchmark_sets import SETS, parse_set
from workflows.evaluation.sets import Sample, fetched_folder, find_jobs


def set_digests(
    names: Iterable[str],
    tasks: Iterable[str],
    data_root: Path | str | None,
    fetched: Collection[str] = (),
    receipts: Path | str = "",
) -> dict[str, str]:
    """The hash of each set for each of its tasks, by `<set> <task>`.

    Args:
        fetched: names of sets that the workflow fetches. Their hash is the archive's, before the download and afterwards
            while their folder is unchanged.
        receipts: folder of their receipts.

    Raises:
        SetError: as `find_jobs`.
    """
    names, tasks = list(names), list(tasks)
    digests = {}
    wanted = {parse_set(name).name for name in names}.intersection(fetched)
    archives = {name: _archive(name, Path(data_root), Path(receipts, f"{name}.json")) for name in sorted(wanted)}
    unpacked = {name: digest for name, digest in archives.items() if digest}
    for job in find_jobs(names, tasks, data_root, unpacked):
        digests[f"{job.request.label} {job.task.name}"] = sha256_of(job.samples)
    return digests | unpacked


def sha256_of(samples: Iterable[Sample]) -> str:
    """One hash of a set's files: of each image's name and of its files' hashes, in order."""
    digest = hashlib.sha256()
    for sample in samples:
        hashes = [_sha256(path) for path in (sample.target, sample.input) if path]
        digest.update("\t".join([sample.image, *hashes]).encode() + b"\n")
    return digest.hexdigest()


def sha256_of_folder(folder: Path) -> str:
    """One hash of all files below a folder, by their names in it; of a file, that of its bytes."""
    if folder.is_file():
        return _sha256(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = "".join(f"{path.relative_to(folder).as_posix()}\t{_sha256(path)}\n" for path in files)
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()


def _archive(name: str, data_root: Path, receipt: Path) -> str | None:
    """The archive's hash if a fetched set is missing or unchanged since it was unpacked; None if it has changed."""
    folder = fetched_folder(SETS[name], data_root)
    if folder.exists() and receipt.is_file():
        recorded = json.loads(receipt.read_text(encoding="utf-8")).get("images_sha256")
        if recorded != sha256_of_folder(folder):
            return None
    return SETS[name].download["sha256"]


def _sha256(path: Path) -> str:
    stat = path.stat()
    return _sha256_of_state(path, stat.st_size, stat.st_mtime_ns)


@functools.cache
def _sha256_of_state(path: Path, size: int, mtime_ns: int) -> str:
    return provenance.sha256(path)
