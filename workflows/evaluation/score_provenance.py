"""Provenance of a table of scores: weights, images, machine. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflows import provenance
from workflows.evaluation.set_digests import sha256_of
from workflows.evaluation.sets import Job


def beside(metrics: Path) -> Path:
    """`metrics.csv` → `metrics.json`."""
    return metrics.with_suffix(".json")


def write(metrics: Path, code: str, weights: Path | None, jobs: Iterable[Job], **facts: Any) -> None:
    """Write the provenance of a complete table into the same folder.

    Args:
        metrics: the table.
        code: hash of the code that scored it, see `workflows.models.code`.
        weights: the checkpoint that was scored; None for references and for other programs' images.
        jobs: what was scored.
        facts: further entries.
    """
    record = provenance.record(
        code,
        **facts,
        metrics_sha256=provenance.sha256(metrics),
        weights_sha256=provenance.sha256(weights) if weights else None,
        sets={f"{job.request.label} {job.task.name}": sha256_of(job.samples) for job in jobs},
    )
    del record["data"]  # images have one hash per set
    provenance.write_json(record, beside(metrics))
