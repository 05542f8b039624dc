"""Scores of whole sets, kept so that a job that was killed, or that gets another set, computes only what is missing.

Scores are used again only where everything that determines them is the same. The record of their machine and commit comes along.
Users' own classes are not for it: files that they import may change unseen.
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

PREFIX = "scores-"  # of the files


class KeptScores:
    """A folder with one file for each set and task that a network was scored on.

    Attributes:
        records: by set and task, the origin of the scores that `find` has returned.
    """

    def __init__(
        self,
        folder: Path,
        jobs: Iterable[Job],
        protocol: Protocol,
        weights: Path,
        code: str,
        network: Mapping[str, Any],
        **determines: Any,
    ) -> None:
        """Open the folder, which need not exist.

        Args:
            jobs: what is scored.
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
        self._keys = {(job.task.name, job.request.label): self._key(job) for job in jobs}

    def find(self, job: Job) -> list[Row] | None:
        """The rows of a set, or None if it has to be scored."""
        key = self._keys[job.task.name, job.request.label]
        try:
            kept = json.loads(self._file(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        if not isinstance(kept, dict) or kept.get("of") != key or len(kept.get("rows", ())) != len(job.samples):
            return None
        self.records[f"{job.request.label} {job.task.name}"] = kept["record"]
        return kept["rows"]

    def keep(self, job: Job, rows: Sequence[Row]) -> None:
        """Keep the rows of a set of which every image was scored, unless its images have changed meanwhile."""
        key = self._key(job)
        if key != self._keys[job.task.name, job.request.label]:
            return
        record = provenance.record(self._code)
        del record["data"], record["versions"]  # none, and the same as this process's
        provenance.write_json({"of": key, "record": record, "rows": list(rows)}, self._file(key))

    def drop_others(self) -> None:
        """Delete what is no longer of use: other sets, and scores by other weights or code."""
        wanted = set(map(self._file, self._keys.values()))
        for path in self._folder.glob(f"{PREFIX}*.json"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    def _file(self, key: dict[str, Any]) -> Path:
        # Users name sets, so the name is a hash.
        return self._folder / f"{PREFIX}{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"

    def _key(self, job: Job) -> dict[str, Any]:
        """Everything that determines the scores of a set, as JSON gives it."""
        key = {
            **self._determines,
            "task": job.task.name,
            "set": job.request.label,
            "images": sha256_of(job.samples),
            "protocol": self._protocol.with_gray(job.request.gray).label(job.task),
        }
        return json.loads(json.dumps(key, sort_keys=True, default=str))
