"""The table of lines on disk: a CSV for readers and a JSON that a later call resumes from. Imports no torch."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from benchmarks.gpu.registry import FAILED
from workflows.files import write_text

SAME = ("card", "torch", "code")  # what finished checks are kept for
COLUMNS = ("check", "subject", "state", "value", "unit", "sense", "bound", "note", "seconds")
BESIDE = ("card", "driver", "cuda", "torch", "python", "processor", "cores", "commit", "dirty", "code")


class Record:
    """Finished checks of one machine and one state of the code.

    Args:
        path: the CSV; the JSON lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}
        self.checks: dict[str, dict[str, Any]] = {}

    def resume(self, facts: dict[str, Any]) -> set[str]:
        """Keep what was finished on the same card with the same code; the names of the checks that did not fail."""
        self.facts = facts
        try:
            old = json.loads(self.json.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return set()
        if any(old.get("facts", {}).get(key) != facts[key] for key in SAME):
            return set()
        self.checks = old["checks"]
        return {name for name, check in self.checks.items() if all(line["state"] != FAILED for line in check["lines"])}

    def add(self, name: str, lines: list[dict[str, Any]], seconds: float) -> None:
        """A check is finished: both files are written anew."""
        self.checks[name] = {"seconds": round(seconds, 2), "lines": lines}
        write_text(
            json.dumps({"facts": self.facts, "checks": self.checks}, indent=1, ensure_ascii=False) + "\n", self.json
        )
        text = io.StringIO()
        writer = csv.DictWriter(text, (*COLUMNS, *BESIDE), lineterminator="\n")
        writer.writeheader()
        beside = {key: self.facts.get(key) for key in BESIDE}
        for check, result in self.checks.items():
            for line in result["lines"]:
                value = line["value"]
                shown = line | {"value": None if value is None else f"{value:.6g}"}
                writer.writerow({"check": check, **shown, "seconds": result["seconds"], **beside})
        write_text(text.getvalue(), self.path)

    @property
    def json(self) -> Path:
        return self.path.with_suffix(".json")
