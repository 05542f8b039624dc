"""Scores of whole sets, kept so that a job that was killed, or that gets another set, computes only what is missing.

Scores are used again only where everything that determines them is the same. The record of their machine and commit comes along.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workflows import provenance
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.set_digests import sha256_of
from workflows.evaluation.sets import Job

Row = dict[str, Any]


class KeptScores:
    """A folder with one file for each set and task that a network was scored on.

    Attributes:
        records: by set and task, the origin of the scores that `find` has returned.
    """

    def __init__(
        self, folder: Path, protocol: Protocol, weights: Path, code: str, network: Mapping[str, Any], **determines: Any
    ) -> None:
        """Open the folder, which need not exist.

        Args:
            weights: the network's checkpoint.
            code: hash of the code that scores, see `workflows.models.code`.
            network: the checkpoint's header, which says how the network is built.
            determines: what else the scores depend on besides images and protocol: setting, device, threads.
        """
        self.records: dict[str, dict[str, Any]] = {}
        self._folder = folder
        self._protocol = protocol
        self._code = code
        self._determines = {
            **determines,
            **{key: network.get(key) for key in ("variant", "kwargs", "tasks", "source_sha256")},
            "weights_sha256": provenance.sha256(weights),
            "code": code,
            "versions": provenance.versions(),
        }

    def find(self, job: Job) -> list[Row] | None:
        """The rows of a set, or None if it has to be scored."""
        path, key = self._file(job)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if kept["of"] != key:
            return None
        self.records[f"{job.request.label} {job.task.name}"] = kept["record"]
        return kept["rows"]

    def keep(self, job: Job, rows: Sequence[Row]) -> None:
        """Keep the rows of a set of which every image was scored."""
        path, key = self._file(job)
        record = provenance.record(self._code)
        del record["data"], record["versions"]  # none, and the same as this process's
        provenance.write_json({"of": key, "record": record, "rows": list(rows)}, path)

    def drop_all_but(self, jobs: Iterable[Job]) -> None:
        """Delete what is no longer of use: other sets, and scores by other weights or code."""
        wanted = {self._file(job)[0] for job in jobs}
        for path in self._folder.glob("*.json"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    def _file(self, job: Job) -> tuple[Path, dict[str, Any]]:
        key = {
            **self._determines,
            "task": job.task.name,
            "set": job.request.label,
            "images": sha256_of(job.samples),
            "protocol": self._protocol.with_gray(job.request.gray).label(job.task),
        }
        key = json.loads(json.dumps(key, sort_keys=True, default=str))
        # Users name sets, so the name is a hash.
        return self._folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json", key


def of_network(
    folder: Path, protocol: Protocol, weights: Path, code: str, metadata: Mapping[str, Any], **determines: Any
) -> KeptScores:
    """The kept scores of a trained network.

    Args:
        weights: its checkpoint.
        code: hash of the code that scores, see `workflows.models.code`.
        metadata: the checkpoint's header, which says how the network is built.
        determines: what else the scores depend on: setting, device, threads.
    """
    built = {key: metadata.get(key) for key in ("variant", "kwargs", "tasks", "source_sha256")}
    return KeptScores(folder, protocol, code=code, weights_sha256=provenance.sha256(weights), **built, **determines)
