"""Where a table of scores comes from: which weights, which images, which machine. Imports no torch."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflows import provenance
from workflows.evaluation.sets import Job, Sample


def beside(metrics: Path) -> Path:
    """`metrics.csv` → `metrics.json`."""
    return metrics.with_suffix(".json")


def write(metrics: Path, weights: Path | None, jobs: Iterable[Job], **facts: Any) -> None:
    """Write the origin of a table that is complete.

    Args:
        metrics: the table.
        weights: the checkpoint that was scored; None for references and for other programs' images.
        jobs: what was scored.
        facts: what else is worth keeping.
    """
    origin = provenance.record(
        **facts,
        metrics_sha256=provenance.sha256(metrics),
        weights_sha256=provenance.sha256(weights) if weights else None,
        sets={f"{job.request.label} {job.task.name}": sha256_of(job.samples) for job in jobs},
    )
    del origin["data"]  # images have hashes by set
    provenance.write_json(origin, beside(metrics))


def sha256_of(samples: Iterable[Sample]) -> str:
    """One hash of a set's files: of each image's name and of its files' hashes, in order."""
    found = hashlib.sha256()
    for sample in samples:
        hashes = [provenance.sha256(path) for path in (sample.target, sample.input) if path]
        found.update("\t".join([sample.image, *hashes]).encode() + b"\n")
    return found.hexdigest()
