"""Gathers what the runs wrote: every `metrics.csv` into `results.csv`, and a row a run into `runs.csv`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from workflows.analysis.factors import settings, twin
from workflows.analysis.records import MACS, RESULT_COLUMNS, ReportError, RunName, parse_run
from workflows.config.schema import FINETUNED

METRIC_COLUMNS = [*RESULT_COLUMNS, "height", "width", "head", "protocol", "setting"]


def collect_results(experiment_dir: Path, names: Iterable[str]) -> pd.DataFrame:
    """All scores of the runs that have them, as text, so that no digit changes on the way.

    Args:
        experiment_dir: folder with `runs/<run>/metrics.csv` and, of ensembled scores, `metrics-<setting>.csv`.
        names: the grid's runs, references among them; those without scores are left out here and named by `collect_runs`.

    Raises:
        ReportError: a file lacks columns, holds another run's rows, or was scored by another version of the protocol.
    """
    tables: dict[Path, pd.DataFrame] = {}
    for name in names:
        for path in score_files(experiment_dir / "runs" / name):
            tables[path] = _read_metrics(path, parse_run(name))
    _check_versions(tables)
    return pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame(columns=METRIC_COLUMNS)


def _check_versions(tables: Mapping[Path, pd.DataFrame]) -> None:
    """Scores by different versions of the protocol are not comparable, so no table holds both."""
    files: dict[str, list[Path]] = {}
    for path, table in tables.items():
        for version in table["protocol"].str.split().str[0].unique() if "protocol" in table else ():
            files.setdefault(version, []).append(path)
    if len(files) > 1:
        counts = ", ".join(f"{version}: {len(paths)} files such as {paths[0]}" for version, paths in files.items())
        raise ReportError(f"scores by different versions of the protocol ({counts}): score all runs again by one")


def score_files(folder: Path) -> list[Path]:
    """A run's tables of scores, the main one first."""
    return [path for path in (folder / "metrics.csv", *sorted(folder.glob("metrics-*.csv"))) if path.is_file()]


def _read_metrics(path: Path, run: RunName) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if lacking := [column for column in RESULT_COLUMNS if column not in table]:
        raise ReportError(f"{path}: lacks the columns {', '.join(lacking)}")
    expected = {"model": {run.model}, "fraction": {run.fraction}, "seed": {run.seed}}
    for column, values in expected.items():
        found = {_number(text) if column != "model" else text for text in table[column]}
        if not all(any(_same(a, b) for b in values) for a in found):
            raise ReportError(f"{path}: {column} is {', '.join(map(str, found))}, but the run is {run.name}")
    return table


def _number(text: str) -> float | None:
    return float(text) if text else None


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float | int):
        return abs(a - b) < 1e-9
    return a == b


def collect_runs(experiment_dir: Path, names: Iterable[str]) -> pd.DataFrame:
    """One row a run, in the order of `names`.

    Columns: `run`, `status` (`done`, `not scored`, `missing`), `kind` (`run` of the grid, `reference`, or `method` from
    outside of it), `training_data` (of methods, as told), `model`, `label`, `variant`, `fraction`, `seed`, `tasks`,
    `images` (training images), `steps`, `batch_size`, `patch_size`, `patches` (in all), `patches_<task>`,
    `crops_per_image` (patches over images: how often each image was seen), `parameters`, `macs_per_output_pixel_<task>`,
    `contrastive` (λ, 0 without), `formulation`, `temperature`, `negatives` (other images that an anchor is held against),
    `twin` (equal for runs of one seed and fraction that differ in the contrastive loss alone), `pretrained` (the run that a
    fine-tuned one began from), `settings` (JSON: what decides the weights besides fraction and seed), `train_hours`,
    `training_l1`, `training_psnr`, `validation_l1`, `validation_psnr` (0-255 scale and dB, last measured on fixed crops of the
    run's own and of held-out images), `gap` (held-out L1 less the training L1 that the held-out crops' difficulty
    would make of it: interpolation's L1 there over interpolation's on the training crops),
    `contrastive_share` (of the gradient's norm, mean over the log), `commit`, `dirty`.

    Args:
        experiment_dir: folder with `runs/<run>/{provenance.json,train.csv}` and, for labels, `experiment.yaml`.
        names: the grid's runs, references among them.
    """
    config = _config(experiment_dir / "experiment.yaml")
    given, methods = _labels(config), {method["name"] for method in _methods(config)}
    rows = []
    for name in names:
        folder = experiment_dir / "runs" / name
        run = parse_run(name)
        row: dict[str, Any] = {"run": name, "status": _status(folder, run), "model": run.model}
        row |= {"label": given.get(run.model, run.model), "variant": None, "fraction": run.fraction, "seed": run.seed}
        row["kind"] = "run" if run.fraction is not None else "method" if name in methods else "reference"
        if name in methods:
            row |= _method_facts(folder / "metrics.json")
        if run.fraction is not None and (folder / "provenance.json").is_file():
            row |= _facts(folder / "provenance.json") | _losses(folder / "train.csv")
            row["gap"] = _gap(row)
        rows.append(row)
    table = pd.DataFrame(rows)
    # Whole numbers stay whole where some runs lack them.
    whole = ["seed", "images", "steps", "batch_size", "patch_size", "patches", "parameters", "negatives"]
    whole += [column for column in table if column.startswith("patches_")]
    return table.astype({column: "Int64" for column in whole if column in table})


def _config(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _methods(config: dict[str, Any]) -> list[dict[str, Any]]:
    return config.get("evaluation", {}).get("methods", [])


def _labels(config: dict[str, Any]) -> dict[str, str]:
    named = [*config.get("models", []), *_methods(config)]
    given = {entry["name"]: entry.get("label") or entry["name"] for entry in named}
    tuned = {f"{model['name']}{FINETUNED}": f"{given[model['name']]}, fine-tuned" for model in config.get("models", [])}
    return given | (tuned if config.get("finetune") else {})


def _method_facts(path: Path) -> dict[str, Any]:
    """What is told of a method from outside of the grid, from its metrics.json."""
    if not path.is_file():
        return {}
    method = json.loads(path.read_text(encoding="utf-8"))["method"]
    macs = {f"{MACS}{task}": macs for task, macs in (method["macs_per_output_pixel"] or {}).items()}
    return {"parameters": method["parameters"], "training_data": method["training_data"], **macs}


def _status(folder: Path, run: RunName) -> str:
    if (folder / "metrics.csv").is_file():
        return "done"
    return "not scored" if run.fraction is not None and (folder / "provenance.json").is_file() else "missing"


def _facts(path: Path) -> dict[str, Any]:
    """A run's facts from its provenance.json."""
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        training = provenance["training"]
        pretrained = provenance["config"].get("pretrained") or {}
        contrastive = provenance["config"].get("contrastive") or pretrained.get("contrastive") or {}
        facts = {
            "variant": provenance["variant"],
            "tasks": "+".join(provenance["tasks"]),
            **{key: training[key] for key in ("images", "steps", "batch_size", "patch_size", "patches")},
            **{f"patches_{task}": count for task, count in training["patches_by_task"].items()},
            "crops_per_image": training["patches"] / training["images"],
            "parameters": provenance["parameters"],
            **{f"{MACS}{task}": macs for task, macs in provenance.get("macs_per_output_pixel", {}).items()},
            "contrastive": contrastive.get("weight", 0.0),
            "formulation": contrastive.get("formulation"),
            "temperature": contrastive.get("temperature"),
            "negatives": training.get("negatives"),
            "twin": twin(provenance["config"]),
            "pretrained": pretrained.get("name"),
            "settings": json.dumps(settings(provenance["config"]), sort_keys=True),
            # Runs of before this was measured have no gap.
            **{f"interpolation_{of}_l1": l1 for of, l1 in training.get("interpolation_l1", {}).items()},
            "train_hours": training["wall_seconds"] / 3600,
            "commit": provenance["commit"],
            "dirty": provenance["dirty"],
        }
    except (KeyError, json.JSONDecodeError) as error:
        raise ReportError(f"{path}: {type(error).__name__}: {error}") from None
    return facts


def _losses(path: Path) -> dict[str, float | None]:
    """Final losses from a run's train.csv; nothing where it is absent."""
    if not path.is_file():
        return {}
    log = pd.read_csv(path)
    found: dict[str, float | None] = {}
    for column in ("training_l1", "training_psnr", "validation_l1", "validation_psnr"):
        measured = log[column].dropna() if column in log else []
        found[column] = measured.iloc[-1] if len(measured) else None
    share = log["contrastive_share"].dropna() if "contrastive_share" in log else []
    found["contrastive_share"] = share.mean() if len(share) else None
    return found


def _gap(row: dict[str, Any]) -> float | None:
    """Held-out L1 less what the training L1 would be on crops as hard as the held-out ones."""
    needed = ("training_l1", "validation_l1", "interpolation_training_l1", "interpolation_validation_l1")
    if any(row.get(column) is None for column in needed):
        return None
    harder = row["interpolation_validation_l1"] / row["interpolation_training_l1"]
    return row["validation_l1"] - harder * row["training_l1"]


def missing(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs without scores."""
    return runs[runs["status"] != "done"]
