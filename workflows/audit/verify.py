"""Whether an experiment's numbers still follow from what they claim to come from, from data to table."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from workflows.analysis.collect import collect_results, collect_runs, score_files
from workflows.analysis.computation import Tables
from workflows.analysis.records import ReportError, parse_run, read_results, read_runs
from workflows.analysis.tables import TABLES
from workflows.config import grid
from workflows.evaluation import score_provenance
from workflows.evaluation.sets import SetError, find_jobs
from workflows.provenance import sha256

OK = "ok"
CHANGED = "changed"
ABSENT = "absent"


class Finding(NamedTuple):
    """One thing that was checked: what, `ok`, `changed` or `absent`, and why it is not ok."""

    what: str
    state: str
    why: str = ""


def verify(experiment_dir: Path) -> Iterator[Finding]:
    """Check everything that can be checked without computing scores anew.

    Images against the manifest, subsets and weights against the hashes that each run recorded, each run's config against
    `experiment.yaml`, scores against the weights and benchmark images that were scored, results.csv and runs.csv against
    the runs, tables against results.csv. What is not there (images
    are drawn again at will, weights are often not kept) is `absent` and no change.

    Raises:
        ReportError: runs.csv is missing or unreadable.
    """
    if not (experiment_dir / "runs.csv").is_file():
        raise ReportError(
            f"{experiment_dir}: has no runs.csv, so it is no experiment's results folder or nothing was gathered yet"
        )
    names = list(pd.read_csv(experiment_dir / "runs.csv", dtype=str)["run"])
    config, planned = experiment_dir / "experiment.yaml", None
    if config.is_file():
        try:
            planned = grid.read(config)
            yield Finding("experiment.yaml", OK)
        except grid.ConfigError as error:
            yield Finding("experiment.yaml", CHANGED, f"is no valid config for this version: {error}")
    else:
        yield Finding("experiment.yaml", ABSENT, "the runs' configs are not checked")
    sources = {folder: data.root for folder, data in planned.sources.items()} if planned else {"data": None}
    for folder, root in sources.items():
        yield from _images(experiment_dir / folder, root)
    yield from _runs(experiment_dir, names, planned.runs() if planned else {})
    yield from _scores(experiment_dir, names, planned)
    yield from _gathered(experiment_dir, names)
    yield from _tables(experiment_dir)


def _images(tables: Path, root: Path | None) -> Iterator[Finding]:
    manifest = tables / "manifest.csv"
    root = (root or tables / "images").expanduser()
    if not manifest.is_file() or not root.is_dir():
        yield Finding("training images", ABSENT, f"{root if manifest.is_file() else manifest} is not there")
        return
    listed = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    wrong = [row.path for row in listed.itertuples() if not _has(root / row.path, row.sha256)]
    why = f"{len(wrong)} of {len(listed)} files are missing or changed, the first is {wrong[0]}" if wrong else ""
    yield Finding(f"{len(listed)} training images", CHANGED if wrong else OK, why)


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _runs(experiment_dir: Path, names: list[str], planned: dict[str, grid.Run]) -> Iterator[Finding]:
    hashes: dict[Path, str] = {}
    for name in names:
        folder = experiment_dir / "runs" / name
        if not (folder / "provenance.json").is_file():
            if parse_run(name).seed is not None:
                yield Finding(f"runs/{name}", ABSENT, "no provenance.json: not trained yet, or not kept")
            continue
        recorded = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        if name in planned:
            # What follows in a fine-tuned run's digest names the weights that it began from.
            same = str(recorded.get("digest")).split("-")[0] == planned[name].digest
            yield Finding(
                f"runs/{name}: config",
                OK if same else CHANGED,
                "" if same else "experiment.yaml asks for another training",
            )
        tables = experiment_dir / grid.Run.model_construct(**{"fraction": 1, **recorded.get("config", {})}).source
        files = {tables / file: digest for file, digest in recorded.get("data", {}).items()}
        files[folder / "model.safetensors"] = recorded["weights_sha256"]
        for path, digest in files.items():
            what = f"runs/{name}: {path.relative_to(experiment_dir)}"
            if not path.is_file():
                yield Finding(what, ABSENT)
                continue
            # Runs of one seed share their subset's file.
            found = hashes[path] = hashes.get(path) or sha256(path)
            yield _same_hash(what, found, digest)


def _scores(experiment_dir: Path, names: list[str], planned: grid.Experiment | None) -> Iterator[Finding]:
    """Whether each table of scores is the one that was written, of the weights and images that were scored."""
    sets = _benchmark_sets(planned) if planned else {}
    for name in names:
        folder = experiment_dir / "runs" / name
        trained = None
        if (folder / "provenance.json").is_file():
            trained = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["weights_sha256"]
        for metrics in score_files(folder):
            yield from _scored(f"runs/{name}: {metrics.name}", metrics, trained, sets)


def _scored(what: str, metrics: Path, trained: str | None, sets: dict[str, str]) -> Iterator[Finding]:
    """One table of scores against its origin; `trained` is the hash of the run's weights, None for references."""
    if not score_provenance.beside(metrics).is_file():
        yield Finding(what, ABSENT, "no origin beside it: it is tied to no weights and images")
        return
    recorded = json.loads(score_provenance.beside(metrics).read_text(encoding="utf-8"))
    yield _same_hash(what, sha256(metrics), recorded["metrics_sha256"])
    if trained:
        yield _same_hash(f"{what}, weights that were scored", recorded["weights_sha256"] or "none", trained)
    for scored, digest in recorded["sets"].items():
        if scored in sets:
            yield _same_hash(f"{what}, images of {scored}", sets[scored], digest)
        else:
            yield Finding(f"{what}, images of {scored}", ABSENT, "the set is not there")


def _benchmark_sets(planned: grid.Experiment) -> dict[str, str]:
    """Hashes of the sets that the config scores, as far as they are there."""
    found = {}
    for name in planned.evaluation.sets:
        for task in planned.scored_tasks:
            try:
                jobs = find_jobs([name], [task], planned.evaluation.data_root)
            except SetError:
                continue
            found |= {f"{job.request.label} {job.task.name}": score_provenance.sha256_of(job.samples) for job in jobs}
    return found


def _same_hash(what: str, found: str, recorded: str) -> Finding:
    why = "" if found == recorded else f"SHA-256 is {found[:12]}…, recorded {recorded[:12]}…"
    return Finding(what, CHANGED if why else OK, why)


def _gathered(experiment_dir: Path, names: list[str]) -> Iterator[Finding]:
    for file, gather in (("results.csv", collect_results), ("runs.csv", collect_runs)):
        yield _same_table(gather(experiment_dir, names), experiment_dir / file, experiment_dir, "what the runs wrote")


def _tables(experiment_dir: Path) -> Iterator[Finding]:
    results, runs = read_results(experiment_dir / "results.csv"), read_runs(experiment_dir / "runs.csv")
    logs = [experiment_dir / "runs" / run / "train.csv" for run in runs["run"]]
    tables = Tables(results, runs, logs)
    for name in TABLES:
        path = experiment_dir / "tables" / f"{name}.csv"
        if path.is_file():
            yield _same_table(tables[name], path, experiment_dir, "results.csv and runs.csv")
        else:
            yield Finding(f"tables/{name}.csv", ABSENT)


def _same_table(expected: pd.DataFrame, path: Path, experiment_dir: Path, source: str) -> Finding:
    """Whether a file holds what is computed anew, numbers to five digits; absent where it is not there."""
    what = str(path.relative_to(experiment_dir))
    if not path.is_file():
        return Finding(what, ABSENT)
    old = pd.read_csv(path, keep_default_na=False, na_values=[""])
    new = pd.read_csv(io.StringIO(expected.to_csv(index=False)), keep_default_na=False, na_values=[""])
    if len(new) != len(old):
        return Finding(what, CHANGED, f"{len(old)} rows, but {source} give {len(new)}")
    if list(new) != list(old):
        return Finding(what, CHANGED, f"other columns than {source} give")
    differs = pd.Series(False, index=new.index)
    for column in new:
        if is_numeric_dtype(new[column]) and is_numeric_dtype(old[column]):
            # The last digits may depend on the machine.
            differs |= ~np.isclose(
                new[column].astype("float64"), old[column].astype("float64"), rtol=1e-5, atol=1e-9, equal_nan=True
            )
        else:
            differs |= new[column].astype("str").fillna("") != old[column].astype("str").fillna("")
    if not differs.any():
        return Finding(what, OK)
    return Finding(
        what, CHANGED, f"{differs.sum()} rows differ from {source}, the first is line {differs.idxmax() + 2}"
    )
