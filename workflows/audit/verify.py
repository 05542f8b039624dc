"""Checks that an experiment's files are consistent, from images to tables.

Half-written, missing and damaged files are findings; none stops the remaining checks.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from baselines import own
from workflows.analysis import learning_rates
from workflows.analysis.collect import collect_results, collect_runs, score_files
from workflows.analysis.computation import Tables
from workflows.analysis.records import ReportError, parse_run, read_results, read_runs
from workflows.analysis.tables import TABLES
from workflows.audit.publish import SUMS, dropped, own_networks, planned_names, shown, unlike
from workflows.command_line import InputError
from workflows.config import grid, reading
from workflows.config.experiment import Experiment
from workflows.config.runs import Run
from workflows.data.image_reader import ImageReader
from workflows.data.manifest import read_table
from workflows.evaluation import score_provenance
from workflows.evaluation.sets import SetError, find_jobs
from workflows.provenance import sha256

OK = "ok"
CHANGED = "changed"
ABSENT = "absent"
LEFT_OVER = "left over"


class Finding(NamedTuple):
    """The result of one check: its subject; `ok`, `changed`, `absent` or `left over`; and the reason."""

    what: str
    state: str
    why: str = ""


def _compared(what: str, why: str) -> Finding:
    """Without a reason why it is changed, it is ok."""
    return Finding(what, CHANGED if why else OK, why)


def verify(experiment_dir: Path) -> Iterator[Finding]:
    """Check everything that can be checked without computing scores anew.

    Images against the manifest, read as training reads them; subsets and weights against the hashes that each run recorded;
    each run's config against `experiment.yaml`; scores against the weights and benchmark images that were scored; results.csv
    and runs.csv against the runs, all of them; tables against results.csv, by the analysis itself; a published copy against its
    SHA256SUMS. Missing files (images can be generated again, weights are often not kept) are `absent`, and tables, figures,
    runs, lists and scores of an earlier config `left over`, which are no changes; unreadable files are `changed`.

    Raises:
        ReportError: the folder has neither runs.csv nor experiment.yaml.
    """
    if not any((experiment_dir / name).is_file() for name in ("runs.csv", "experiment.yaml")):
        raise ReportError(
            f"{experiment_dir}: has neither runs.csv nor experiment.yaml, so it is not an experiment's folder"
        )
    with own.read_from(_copies(experiment_dir)):
        yield from _all(experiment_dir)


def _copies(experiment_dir: Path) -> dict[str, Path]:
    """A published folder's own copies of the files of users' networks, by their paths in the config."""
    config = experiment_dir / "experiment.yaml"
    if not (experiment_dir / SUMS).is_file() or not config.is_file():
        return {}
    try:
        copies = own_networks(reading.load(config))
    except Exception:  # a later check reports it
        return {}
    return {path: experiment_dir / name for name, path in copies.items()}


def _all(experiment_dir: Path) -> Iterator[Finding]:
    config, planned = experiment_dir / "experiment.yaml", None
    if config.is_file():
        try:
            planned = grid.read(config)
            yield Finding("experiment.yaml", OK)
        except Exception as error:
            yield _unreadable("experiment.yaml", error)
    else:
        yield Finding("experiment.yaml", ABSENT, "the runs' configs are not checked")
    wanted, names = planned_names(planned) if planned else [], _listed(experiment_dir)
    if planned and names:
        yield _compared("runs.csv: runs of experiment.yaml", unlike(names, planned))
    kept = sorted(path.name for path in (experiment_dir / "runs").glob("*") if path.is_dir())
    names = names or wanted or kept
    sources = {folder: data.root for folder, data in planned.sources.items()} if planned else {"data": None}
    for folder, root in sources.items():
        yield from _readable(f"{folder}/manifest.csv", _images, experiment_dir / folder, root)
    runs = planned.trainings() if planned else {}
    for name in names:
        yield from _readable(f"runs/{name}: provenance.json", _run, experiment_dir, name, runs)
    sets, ensembles = (_benchmark_sets(planned), planned.ensembles()) if planned else ({}, None)
    for name in names:
        for metrics in score_files(experiment_dir / "runs" / name, ensembles):
            yield from _readable(f"runs/{name}: {metrics.stem}.json", _scored, name, metrics, sets)
    for file, gather in (("results.csv", collect_results), ("runs.csv", collect_runs)):
        gathered = partial(gather, experiment_dir, names)
        yield from _readable(file, _table, experiment_dir, experiment_dir / file, gathered, "what the runs wrote")
    yield from _tables(experiment_dir, names, planned)
    if planned:
        yield from _left_over(experiment_dir, planned)
    yield from _readable(SUMS, _sums, experiment_dir)


def _readable(what: str, check: Callable[..., Iterable[Finding]], *arguments: Any) -> Iterator[Finding]:
    """A check's findings; an error that stops it is another finding."""
    try:
        yield from check(*arguments)
    except Exception as error:  # damaged files raise many kinds of errors
        yield _unreadable(what, error)


def _unreadable(what: str, error: Exception) -> Finding:
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return Finding(what, CHANGED, f"cannot be read: {kind}{' '.join(str(error).split())}")


def _listed(experiment_dir: Path) -> list[str]:
    """The runs in runs.csv; none if it cannot be read."""
    try:
        return list(pd.read_csv(experiment_dir / "runs.csv", dtype=str)["run"].dropna())
    except Exception:  # a later check reports it
        return []


def _images(tables: Path, root: Path | None) -> Iterator[Finding]:
    manifest = tables / "manifest.csv"
    root = (root or tables / "images").expanduser()
    if not manifest.is_file() or not root.is_dir():
        yield Finding("training images", ABSENT, f"{root if manifest.is_file() else manifest} is not there")
        return
    table = read_table(manifest)
    reader = ImageReader(table, root)
    wrong = [reader.name(index) for index in range(len(table)) if not _can_read(reader, index)]
    lost = f"{len(wrong)} of {len(table)} that manifest.csv lists are missing or changed"
    why = f"{lost}, the first is {wrong[0]}" if wrong else ""
    yield _compared(f"{len(table)} training images", why)


def _can_read(reader: ImageReader, index: int) -> bool:
    """Whether an image's bytes match the manifest; the reader compares hashes."""
    try:
        reader.read(index)
    except (OSError, ValueError):
        return False
    return True


def _run(experiment_dir: Path, name: str, planned: dict[str, Run]) -> Iterator[Finding]:
    folder = experiment_dir / "runs" / name
    if not (folder / "provenance.json").is_file():
        if parse_run(name).seed is not None:
            yield Finding(f"runs/{name}", ABSENT, "no provenance.json: not trained yet, or not kept")
        return
    recorded = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    if name in planned:
        same = planned[name].is_recorded_in(recorded)
        yield _compared(f"runs/{name}: config", "" if same else "experiment.yaml describes another training")
    tables = experiment_dir / Run.model_construct(**{"fraction": 1, **recorded.get("config", {})}).source
    files = {tables / file: digest for file, digest in recorded["data"].items()}
    files[folder / "model.safetensors"] = recorded["weights_sha256"]
    for path, digest in files.items():
        what = f"runs/{name}: {path.relative_to(experiment_dir)}"
        yield _same_hash(what, sha256(path), digest) if path.is_file() else Finding(what, ABSENT)
    yield from _readable(f"runs/{name}: train.csv", _log, f"runs/{name}: train.csv", folder, recorded)


def _log(what: str, folder: Path, recorded: dict[str, Any]) -> Iterator[Finding]:
    """Whether a run's log reaches its last step."""
    if not (folder / "train.csv").is_file():
        yield Finding(what, ABSENT)
        return
    last, steps = int(pd.read_csv(folder / "train.csv")["step"].iloc[-1]), recorded["training"]["steps"]
    yield _compared(what, "" if last == steps else f"ends at step {last} of {steps}")


def _scored(name: str, metrics: Path, sets: dict[str, str]) -> Iterator[Finding]:
    """One table of scores against its record: hashes of the table, the weights and the scored images."""
    what = f"runs/{name}: {metrics.name}"
    record = score_provenance.beside(metrics)
    if not record.is_file():
        yield Finding(what, ABSENT, f"no {record.name} in the same folder, which would say what was scored")
        return
    recorded = json.loads(record.read_text(encoding="utf-8"))
    yield _same_hash(what, sha256(metrics), recorded["metrics_sha256"])
    provenance = metrics.with_name("provenance.json")
    if provenance.is_file():
        trained = json.loads(provenance.read_text(encoding="utf-8"))["weights_sha256"]
        yield _same_hash(f"{what}, weights that were scored", recorded["weights_sha256"] or "none", trained)
    for scored, digest in recorded["sets"].items():
        if scored in sets:
            yield _same_hash(f"{what}, images of {scored}", sets[scored], digest)
        else:
            yield Finding(f"{what}, images of {scored}", ABSENT, "the set is not there")


def _benchmark_sets(planned: Experiment) -> dict[str, str]:
    """Hashes of the config's sets that exist."""
    hashes = {}
    for name in planned.evaluation.sets:
        for task in planned.scored_tasks:
            try:
                jobs = find_jobs([name], [task], planned.evaluation.data_root)
                hashes |= {
                    f"{job.request.label} {job.task.name}": score_provenance.sha256_of(job.samples) for job in jobs
                }
            except (SetError, OSError):
                continue
    return hashes


def _same_hash(what: str, computed: str, recorded: str) -> Finding:
    return _compared(
        what, "" if computed == recorded else f"SHA-256 is {computed[:12]}…, recorded {str(recorded)[:12]}…"
    )


def _tables(experiment_dir: Path, names: list[str], planned: Experiment | None) -> Iterator[Finding]:
    """Every table against the analysis, computed again."""
    files = {name: experiment_dir / "tables" / f"{name}.csv" for name in TABLES}
    if lost := [name for name in ("results.csv", "runs.csv") if not (experiment_dir / name).is_file()]:
        yield Finding("tables", ABSENT, f"no {' and '.join(lost)}, from which they are computed")
        return
    try:
        logs = [experiment_dir / "runs" / name / "train.csv" for name in names]
        results, runs = read_results(experiment_dir / "results.csv"), read_runs(experiment_dir / "runs.csv")
        tables = Tables(results, runs, [log for log in logs if log.is_file()])
    except Exception as error:
        if any(path.is_file() for path in files.values()):
            yield _unreadable("tables: what they are computed from", error)
        return
    computed: dict[str, Callable[[], pd.DataFrame]] = {name: lambda name=name: tables[name] for name in TABLES}
    if planned and planned.trials():
        files["learning_rates"] = experiment_dir / "learning_rates.csv"
        computed["learning_rates"] = lambda: learning_rates.compare_rates(experiment_dir)
    source = "results.csv, runs.csv and the logs"
    for name, path in files.items():
        yield from _readable(
            f"{path.relative_to(experiment_dir)}", _table, experiment_dir, path, computed[name], source
        )


def _left_over(experiment_dir: Path, planned: Experiment) -> Iterator[Finding]:
    """Tables, figures, runs, lists of images and ensembled scores of an earlier config, which no command updates."""
    files = {
        path.relative_to(experiment_dir).as_posix()
        for pattern in ("learning_rates.csv", "tables/*.*", "figures/*.*")
        for path in experiment_dir.glob(pattern)
        if path.suffix in (".csv", ".md", ".tex", ".png", ".pdf")
    }
    for name in sorted((files - shown(planned)) | {path.as_posix() for path in dropped(experiment_dir, planned)}):
        yield Finding(name, LEFT_OVER, "experiment.yaml no longer asks for it, so it is out of date; delete it")


def _table(experiment_dir: Path, path: Path, compute: Callable[[], pd.DataFrame], source: str) -> Iterator[Finding]:
    if path.is_file():
        yield _same_table(compute(), path, experiment_dir, source)
    else:
        yield Finding(str(path.relative_to(experiment_dir)), ABSENT)


def _sums(experiment_dir: Path) -> Iterator[Finding]:
    """A published copy against its list of hashes."""
    if not (experiment_dir / SUMS).is_file():
        return
    lines = (experiment_dir / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = {name: experiment_dir / name for name in listed}
    wrong = [name for name, file in files.items() if not file.is_file() or sha256(file) != listed[name]]
    there = (path.relative_to(experiment_dir) for path in experiment_dir.rglob("*") if path.is_file())
    foreign = sorted({path.as_posix() for path in there} - {*listed, SUMS})
    why = [f"{len(wrong)} of {len(listed)} files are missing or changed, the first is {wrong[0]}"] if wrong else []
    why += [f"{len(foreign)} files are not listed, the first is {foreign[0]}"] if foreign else []
    yield _compared(f"{SUMS}: {len(listed)} files", "; ".join(why))


def _same_table(expected: pd.DataFrame, path: Path, experiment_dir: Path, source: str) -> Finding:
    """Whether a file equals a newly computed table, numbers to five digits."""
    what = str(path.relative_to(experiment_dir))
    old = pd.read_csv(path, keep_default_na=False, na_values=[""])
    new = pd.read_csv(io.StringIO(expected.to_csv(index=False)), keep_default_na=False, na_values=[""])
    if len(new) != len(old):
        return _compared(what, f"{len(old)} rows, but {source} give {len(new)}")
    if list(new) != list(old):
        return _compared(what, f"other columns than {source} give")
    differs = pd.Series(False, index=new.index)
    for column in new:
        if is_numeric_dtype(new[column]) and is_numeric_dtype(old[column]):
            # The last digits depend on the machine.
            differs |= ~np.isclose(
                new[column].astype("float64"), old[column].astype("float64"), rtol=1e-5, atol=1e-9, equal_nan=True
            )
        else:
            differs |= new[column].astype("str").fillna("") != old[column].astype("str").fillna("")
    if not differs.any():
        return Finding(what, OK)
    return _compared(what, f"{differs.sum()} rows differ from {source}, the first is line {differs.idxmax() + 2}")
