"""Keeps copied results up to date, even if a copy or `touch` changed their modification times.

Snakemake makes a file again if it is older than its inputs. If a finished run's provenance names the present tables (and the
weights to start from), this module sets the tables' times before the run's, and their inputs' times before the tables'. If
it records a training with other settings, the run's time is set before the tables', so that it is trained again.
"""

import functools
import itertools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from workflows import models, provenance
from workflows.config.runs import Run
from workflows.training.reuse import RESULTS, is_finished


def settle(folder: Path, runs: Mapping[str, Run]) -> None:
    """Set the modification times of an experiment's training files to the order in which they were made.

    Args:
        folder: the experiment's.
        runs: its trainings by name.
    """
    hash_of = functools.cache(provenance.sha256)
    others = []
    # Fine-tuned runs first: the runs that they start from must be older, and their tables older still.
    for run in sorted(runs.values(), key=lambda run: run.pretrained is None):
        outputs, tables = folder / "runs" / run.name, folder / run.source
        made = [outputs / name for name in RESULTS]
        used = [folder / run.subset, tables / "validation.csv"]
        start = [folder / "runs" / run.pretrained.name / "model.safetensors"] if run.pretrained else []
        chain = [
            [tables / "images" / ".snakemake_timestamp", tables / "images"],
            [tables / "manifest.csv", tables / "validation.csv"],
            [*tables.glob("fraction-*.csv")],
        ]
        if not all(path.is_file() for path in (*made, *used, *start)):
            continue
        if not is_finished(outputs, run):
            others.append((made, used))
            continue
        pairs = [*itertools.pairwise(chain), (used, made), (start, made)]
        if all(_newest(files) <= _oldest(later) for files, later in pairs):
            continue
        record = json.loads((outputs / "provenance.json").read_text(encoding="utf-8"))
        same = all(record["data"].get(path.name) == hash_of(path) for path in used)
        same &= all(models.weights_sha256(path) == (record.get("init") or {}).get("weights_sha256") for path in start)
        if same:
            _make_older([*start, *used], _oldest(made))
            _make_older(chain[1], _oldest([*chain[2], *made]))
            _make_older(chain[0], _oldest(chain[1]))
    # Of another config, which Snakemake knows only where it trained the run itself.
    for made, used in others:
        _make_older(made, _oldest(used) - 10**9)


def _times(files: Iterable[Path]) -> list[int]:
    return [path.stat().st_mtime_ns for path in files if path.exists()]


def _newest(files: Iterable[Path]) -> int:
    return max(_times(files), default=0)


def _oldest(files: Iterable[Path]) -> int:
    return min(_times(files), default=1 << 62)


def _make_older(files: Iterable[Path], limit: int) -> None:
    for path in files:
        if path.exists() and path.stat().st_mtime_ns > limit:
            os.utime(path, ns=(limit, limit))
