"""Gathers what the runs wrote: every `metrics.csv` into `results.csv`, and one row per run into `runs.csv`."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from workflows.analysis.records import (
    MACS,
    METRICS,
    RESULT_COLUMNS,
    ReportError,
    RunName,
    parse_run,
    refuse_another_training,
)
from workflows.config import grid, reading
from workflows.config.experiment import Experiment
from workflows.config.schema import FINETUNED
from workflows.factors import pair_key, training_settings
from workflows.readers import numbers, read_csv, read_json

# Columns of train.csv: those with the last measurement, and those with the mean over the log.
LAST = ("training_l1", "training_psnr", "validation_l1", "validation_psnr", "gap")
MEANS = ("contrastive_share", "clipped_share")

METRIC_COLUMNS = [*RESULT_COLUMNS, "height", "width", "head", "protocol", "setting"]


def collect_results(
    experiment_dir: Path, names: Iterable[str], sets: Mapping[str, Collection[str]] = MappingProxyType({})
) -> pd.DataFrame:
    """All scores of the scored runs, as text, so that no digit changes.

    Args:
        experiment_dir: folder with `runs/<run>/metrics.csv`, of ensembled scores `metrics-<setting>.csv`, and, to tell those
            that an earlier config asked for, `experiment.yaml`.
        names: the grid's runs, references among them; those without scores are left out; `collect_runs` names them.
        sets: see `current_scores`, by name.

    Raises:
        InputError: the folder is no experiment's; a file is damaged, lacks columns or holds another run's rows; or files were
            scored by different versions of the protocol.
    """
    if not any((experiment_dir / part).exists() for part in ("runs", "experiment.yaml")):
        raise ReportError(
            f"{experiment_dir}: has neither runs/ nor experiment.yaml, so it is not an experiment's folder"
        )
    spec = _planned(experiment_dir / "experiment.yaml")
    tables, ensembles = [], spec.ensembles() if spec else None
    for name in names:
        run, folder = parse_run(name), experiment_dir / "runs" / name
        tables += [_read_metrics(path, run) for path in current_scores(folder, run, sets.get(name), ensembles)]
    _check_protocols(tables)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=METRIC_COLUMNS)


def _check_protocols(tables: Iterable[pd.DataFrame]) -> None:
    """Refuse scores of several protocols on a set, which cannot be compared."""
    parts = [table[["model", "task", "dataset"]].assign(protocol=table.get("protocol", "")) for table in tables]
    scored = pd.concat(parts).drop_duplicates().replace({"protocol": {"": "unknown"}}) if parts else pd.DataFrame()
    if scored.empty:
        return
    versions = scored["protocol"].str.split(" ").str[0]
    if len(versions.unique()) > 1 or scored.groupby(["task", "dataset"])["protocol"].nunique().max() > 1:
        models = scored.groupby("protocol")["model"].unique()
        which = "; ".join(f"{protocol} ({', '.join(names)})" for protocol, names in models.items())
        raise ReportError(
            f"scores of different protocols cannot be mixed in one table: {which}. Delete the older metrics*.csv "
            "and run the workflow again"
        )


def score_files(folder: Path, ensembles: Mapping[str, Collection[str]] | None) -> list[Path]:
    """A run's tables of scores, the main one first.

    Args:
        ensembles: the further ones that the config asks for, by run, or None without a config: then all count.
    """
    further = [folder / f"metrics-{how}.csv" for how in (ensembles or {}).get(folder.name, ())]
    further = sorted(folder.glob("metrics-*.csv")) if ensembles is None else further
    return [path for path in (folder / "metrics.csv", *further) if path.is_file()]


def current_scores(
    folder: Path,
    run: RunName,
    sets: Collection[str] | None = None,
    ensembles: Mapping[str, Collection[str]] | None = None,
) -> list[Path]:
    """A run's tables of scores of its present weights, the main one first; none without the main one.

    Args:
        sets: what they have to be scores of, `Set5 sr2`, if the config may have changed since.
        ensembles: see `score_files`.
    """
    provenance = folder / "provenance.json"
    if run.fraction is not None and not provenance.is_file():
        return []  # it is trained again, and the scores are of weights that are gone
    weights = None if run.fraction is None else read_json(provenance).get("weights_sha256")

    def holds(path: Path) -> bool:
        beside = path.with_suffix(".json")
        if not beside.is_file():
            return sets is None
        record = read_json(beside)
        if weights is not None and record.get("weights_sha256", weights) != weights:
            return False
        scored, wanted = set(record.get("sets", ())), set(sets or ())
        if "method" in record:  # a checkpoint is scored on those of the tasks that it can restore
            tasks = {name.split()[-1] for name in scored}
            wanted = {name for name in wanted if name.split()[-1] in tasks}
        return sets is None or scored == wanted

    tables = [path for path in score_files(folder, ensembles) if holds(path)]
    return tables if folder / "metrics.csv" in tables else []


def _read_metrics(path: Path, run: RunName) -> pd.DataFrame:
    table = read_csv(path, RESULT_COLUMNS, dtype=str, keep_default_na=False)
    for column, expected in (("model", run.model), ("fraction", run.fraction), ("seed", run.seed)):
        if expected is None:
            other = table[column] != ""
        elif column == "model":
            other = table[column] != expected
        else:
            other = ~((numbers(table, column, path) - expected).abs() < 1e-9)
        if other.any():
            recorded = ", ".join(table.loc[other, column].unique())
            raise ReportError(f"{path}: {column} is {recorded or 'empty'}, but the run is {run.name}")
    for metric in METRICS:
        numbers(table, metric, path)
    return table


def collect_runs(
    experiment_dir: Path,
    names: Iterable[str],
    edited: Collection[str] = (),
    sets: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> pd.DataFrame:
    """One row per run, in the order of `names`; docs/results.md describes the columns.

    Args:
        experiment_dir: folder with `runs/<run>/{provenance.json,train.csv}` and, for labels, `experiment.yaml`.
        names: the grid's runs, references and methods among them.
        edited: runs that were trained with other settings, and count as missing.
        sets: see `current_scores`, by name.

    Raises:
        ReportError: a record is damaged, or of another training than `experiment.yaml` describes.
    """
    path = experiment_dir / "experiment.yaml"
    config, spec = reading.load(path) if path.is_file() else {}, _planned(path)
    trainings = spec.trainings() if spec else {}
    labels, planned = _labels(config), _planned_tasks(config)
    methods = {method["name"] for method in (config.get("evaluation") or {}).get("methods") or []}
    subjects = (config.get("report") or {}).get("subjects") or []
    rows = []
    for name in names:
        folder = experiment_dir / "runs" / name
        run = parse_run(name)
        kind = "method" if name in methods else "reference" if run.fraction is None else "grid"
        status = "missing" if name in edited else _status(folder, run, sets.get(name))
        row: dict[str, Any] = {"run": name, "status": status, "kind": kind, "model": run.model}
        row |= {"label": labels.get(run.model, run.model), "variant": None, "fraction": run.fraction, "seed": run.seed}
        row["tasks"] = planned.get(run.model)
        if subjects:
            row["subject"] = "yes" if {run.model, run.model.removesuffix(FINETUNED)}.intersection(subjects) else "no"
        if kind == "method":
            row |= _method_facts(folder / "metrics.json")
        if run.fraction is not None and name not in edited and (folder / "provenance.json").is_file():
            if name in trainings:
                refuse_another_training(folder / "provenance.json", trainings[name])
            row |= _facts(folder / "provenance.json") | _last_losses(folder / "train.csv")
        rows.append(row)
    table = pd.DataFrame(rows)
    # Integers stay integers even if some runs lack them.
    whole = ["seed", "images", "steps", "batch_size", "patch_size", "patches", "parameters", "distinct_patches"]
    whole += ["target_values", *(column for column in table if column.startswith("patches_"))]
    return table.astype({column: "Int64" for column in whole if column in table})


def _planned(path: Path) -> Experiment | None:
    """The experiment that a config describes; None without a file, and for a config of an earlier version."""
    try:
        return grid.read(path) if path.is_file() else None
    except grid.ConfigError:
        return None


def _labels(config: dict[str, Any]) -> dict[str, str]:
    """Labels, one line each, for tables."""
    named = [*config.get("models", []), *((config.get("evaluation") or {}).get("methods") or [])]
    labels = {one["name"]: " ".join(str(one.get("label") or one["name"]).split()) for one in named}
    tuned = (
        {name + FINETUNED: f"{label}, fine-tuned" for name, label in labels.items()} if config.get("finetune") else {}
    )
    return labels | tuned


def _method_facts(path: Path) -> dict[str, Any]:
    """Facts about an external method, from its metrics.json."""
    if not path.is_file():
        return {}
    with _facts_of(path):
        method = read_json(path)["method"]
        macs = {f"{MACS}{task}": macs for task, macs in (method["macs_per_output_pixel"] or {}).items()}
        return {"parameters": method["parameters"], "training_data": method["training_data"], **macs}


@contextmanager
def _facts_of(path: Path) -> Iterator[None]:
    """What a record lacks becomes a message that names the file."""
    try:
        yield
    except KeyError as error:
        raise ReportError(f"{path}: lacks {error}") from None


def _planned_tasks(config: dict[str, Any]) -> dict[str, str]:
    """Each model's tasks according to the config, which also covers missing runs."""
    tasks = {model["name"]: model.get("tasks") or config.get("tasks") for model in config.get("models", [])}
    return {model: "+".join(names) for model, names in tasks.items() if names}


def _status(folder: Path, run: RunName, sets: Collection[str] | None) -> str:
    if current_scores(folder, run, sets):
        return "done"
    return "not scored" if run.fraction is not None and (folder / "provenance.json").is_file() else "missing"


def _facts(path: Path) -> dict[str, Any]:
    """A run's facts from its provenance.json."""
    with _facts_of(path):
        provenance = read_json(path)
        training = provenance["training"]
        pretrained = provenance["config"].get("pretrained") or {}
        contrastive = provenance["config"].get("contrastive") or pretrained.get("contrastive") or {}
        return {
            "variant": provenance["variant"],
            "tasks": "+".join(provenance["tasks"]),
            **{key: training[key] for key in ("images", "steps", "batch_size", "patch_size", "patches")},
            **{f"patches_{task}": count for task, count in training["patches_by_task"].items()},
            "crops_per_image": training["patches"] / training["images"],
            # Runs of earlier versions lack these.
            **{key: training.get(key) for key in ("distinct_patches", "patch_epochs", "target_values")},
            "target_values_per_parameter": training.get("target_values_per_parameter"),
            "matched": " ".join(f"{key}={value}" for key, value in (training.get("matched") or {}).items()) or None,
            "parameters": provenance["parameters"],
            **{f"{MACS}{task}": macs for task, macs in provenance.get("macs_per_output_pixel", {}).items()},
            "contrastive": contrastive.get("weight", 0.0),
            "formulation": contrastive.get("formulation"),
            "temperature": contrastive.get("temperature"),
            "negatives": training.get("negatives"),
            "twin": pair_key(provenance["config"]),
            "pretrained": pretrained.get("name"),
            "settings": json.dumps(training_settings(provenance["config"]), sort_keys=True),
            # Runs of earlier versions have no gap.
            **{f"interpolation_{of}_l1": l1 for of, l1 in training.get("interpolation_l1", {}).items()},
            "train_hours": training["wall_seconds"] / 3600,
            "commit": provenance["commit"],
            "dirty": provenance["dirty"],
        }


def _last_losses(path: Path) -> dict[str, float | None]:
    """Final losses, and means over the log, from a run's train.csv; empty without the file."""
    if not path.is_file():
        return {}
    log = read_csv(path)
    values = {
        column: log[column].dropna() if column in log else pd.Series(dtype="float64") for column in (*LAST, *MEANS)
    }
    return {column: values[column].iloc[-1] if len(values[column]) else None for column in LAST} | {
        column: values[column].mean() if len(values[column]) else None for column in MEANS
    }


def missing(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs without scores."""
    return runs[runs["status"] != "done"]
