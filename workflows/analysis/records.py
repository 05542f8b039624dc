"""The two tables that the analysis starts from: `results.csv` (one row per image) and `runs.csv` (one row per run)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workflows.command_line import InputError
from workflows.config.runs import Run
from workflows.factors import IPT, family
from workflows.readers import numbers, read_csv, read_json

# The columns that identify a trained network and its benchmark set.
RUN = ["model", "fraction", "seed"]
SCORED_ON = ["task", "dataset"]
SEEN_ON = [*SCORED_ON, "windows"]
METRICS = ["psnr_y", "ssim_y", "psnr_rgb"]

RESULT_COLUMNS = ["experiment", *RUN, *SCORED_ON, "image", *METRICS]
RUN_COLUMNS = ["run", "status", *RUN]
SIMILARITY_COLUMNS = ["run", "anchor_row", "anchor_column", "row", "column", "similarity"]
TEXT_OF_RUNS = [
    "run",
    "status",
    "kind",
    "model",
    "label",
    "variant",
    "tasks",
    "matched",
    "formulation",
    "twin",
    "subject",
]
TEXT_OF_RUNS += ["pretrained", "settings", "commit"]

# Columns of runs.csv: multiply-adds per output pixel, one column per task.
MACS = "macs_per_output_pixel_"

# The setting of the main tables. Averaged and self-ensemble scores have separate tables.
PLAIN = "plain"

# IPT's windows: each pixel from one prediction, or from the mean of four, as its authors' code does. Both are compared.
CENTRE = "centre"
AVERAGED = "averaged"
WINDOWS = (CENTRE, AVERAGED)

_RUN_NAME = re.compile(r"(?P<model>.+)-(?P<percent>\d+(\.\d+)?(e-\d+)?)-seed-(?P<seed>\d+)")


class ReportError(InputError):
    """A problem with an input of the report, in one readable message."""


@dataclass(frozen=True)
class RunName:
    """The parts of a run's name: `ipt-20-seed-0` is model `ipt`, fraction 0.2, seed 0; `bicubic` has no fraction and seed."""

    name: str
    model: str
    fraction: float | None
    seed: int | None


def parse_run(name: str) -> RunName:
    """Read a run's name; a name without fraction and seed is an untrained reference."""
    if match := _RUN_NAME.fullmatch(name):
        return RunName(name, match["model"], float(match["percent"]) / 100, int(match["seed"]))
    return RunName(name, name, None, None)


def read_results(path: Path | str) -> pd.DataFrame:
    """Scores, one row per image.

    Returns:
        The columns of `RESULT_COLUMNS` and any others of the file; PSNR in dB; `fraction` and `seed` are missing for
        untrained references; `setting` is `plain` if the file has no such column.

    Raises:
        InputError: naming the file and what it lacks.
    """
    table = _read(
        path, RESULT_COLUMNS, text=["experiment", "model", "task", "dataset", "image", "setting", "head", "protocol"]
    )
    for metric in METRICS:
        table[metric] = numbers(table, metric, path)
    table["setting"] = table["setting"].fillna(PLAIN) if "setting" in table else PLAIN
    _named_with_protocol(table)
    key = [*RUN, *SCORED_ON, "setting", "image"]
    repeated = table[table.duplicated(key)]
    if len(repeated):
        first = repeated.iloc[0]
        raise ReportError(
            f"{path}: {len(repeated)} rows are duplicated, the first for {', '.join(str(first[k]) for k in key)}"
        )
    return table


# Parts of a setting whose scores stay in the main tables, which show these parts with the protocol.
PROTOCOL_WORDS = ("side-by-side", "bf16")


def _named_with_protocol(table: pd.DataFrame) -> None:
    """Move the parts of `setting` that have no separate table to `protocol`."""
    for word in PROTOCOL_WORDS:
        words = table["setting"].str.split("+")
        has = words.map(lambda parts, word=word: word in parts)
        if has.any():
            rest = words.map(lambda parts, word=word: "+".join(w for w in parts if w != word) or PLAIN)
            table["setting"] = table["setting"].where(~has, rest)
            protocol = table["protocol"] if "protocol" in table else pd.Series("", table.index)
            table["protocol"] = protocol.where(~has, protocol.fillna("") + f" {word}")


def is_of_another_config(path: Path, run: Run) -> bool:
    """Whether a `provenance.json` records another training than the config has for the run."""
    record = read_json(path)
    return bool(record.get("digest")) and not run.is_recorded_in(record)


def refuse_another_training(path: Path, run: Run) -> None:
    """Raise ReportError where `is_of_another_config`."""
    if is_of_another_config(path, run):
        raise ReportError(
            f"{path}: {run.name} was trained with other settings than experiment.yaml has now, or its network's file has "
            "changed; train it again, or undo the change"
        )


def read_runs(path: Path | str) -> pd.DataFrame:
    """Runs, one row each, in the experiment's order; missing ones have a `status` other than `done`.

    Raises:
        InputError: naming the file and what it lacks.
    """
    return _read(path, RUN_COLUMNS, text=TEXT_OF_RUNS)


def _read(path: Path | str, columns: list[str], text: list[str]) -> pd.DataFrame:
    # Only empty fields are missing: a model or an image may be called "none" or "001".
    table = read_csv(path, columns, dtype=dict.fromkeys(text, "str"), keep_default_na=False, na_values=[""])
    # Rounded, so that 12.3 % in a run's name equals 0.123 in its scores.
    table["fraction"] = numbers(table, "fraction", path).round(9)
    seeds = numbers(table, "seed", path)
    if len(broken := seeds[seeds % 1 > 0]):
        raise InputError(f"{path}: seed: {broken.iloc[0]:g} is not a whole number (line {broken.index[0] + 2})")
    table["seed"] = seeds.astype("Int64")
    return table


def data_size(runs: pd.DataFrame) -> tuple[str, pd.Series]:
    """The amount of data at each fraction: the column of runs.csv that counts it, and its values by fraction.

    Distinct patches if all runs have fixed crops, else training images, else the fraction itself. For fine-tuned networks it
    is the first stage's.
    """
    first = runs[(runs["fraction"] > 0) & (runs["pretrained"].isna() if "pretrained" in runs else True)]
    for column in ("distinct_patches", "images"):
        sizes = first.dropna(subset=column).groupby("fraction")[column].mean() if column in first else []
        if len(sizes) and set(sizes.index) == set(first["fraction"]):
            return column, sizes.astype("float64")
    fractions = sorted(runs.loc[runs["fraction"] > 0, "fraction"].unique())
    return "fraction", pd.Series(fractions, index=fractions, dtype="float64")


def images_at(runs: pd.DataFrame) -> pd.Series:
    """Training images by fraction; for fine-tuned networks those of the first stage. Empty if not known."""
    if "images" not in runs:
        return pd.Series(dtype="float64")
    first = runs[(runs["fraction"] > 0) & (runs["pretrained"].isna() if "pretrained" in runs else True)]
    return first.groupby("fraction")["images"].max()


def models(runs: pd.DataFrame) -> list[str]:
    """Trained models, in the experiment's order."""
    return list(dict.fromkeys(runs.loc[runs["fraction"].notna(), "model"]))


def variant(runs: pd.DataFrame, model: str) -> str:
    """A model's variant, or its name if no run states one yet."""
    stated = runs.loc[runs["model"] == model, "variant"].dropna() if "variant" in runs else []
    return stated.iloc[0] if len(stated) else model


def tasks_of(runs: pd.DataFrame) -> dict[str, list[str]]:
    """The tasks that each model of the grid trains on; models without any run that states them are left out."""
    trained = runs[runs["fraction"].notna()]
    stated = trained.dropna(subset="tasks").drop_duplicates("model") if "tasks" in runs else trained[:0]
    return {row.model: row.tasks.split("+") for row in stated.itertuples()}


def transformers(runs: pd.DataFrame) -> list[str]:
    """The trained models that are IPTs, in the experiment's order."""
    return [model for model in models(runs) if family(variant(runs, model)) == IPT]


def subjects(runs: pd.DataFrame) -> list[str]:
    """The models that the claims are about: those that the config names, or every IPT."""
    if "subject" not in runs:
        return transformers(runs)
    return [model for model in models(runs) if runs.loc[runs["model"] == model, "subject"].eq("yes").any()]


def finetuned(runs: pd.DataFrame) -> set[str]:
    """The models of the second stage."""
    return set(runs.loc[runs["pretrained"].notna(), "model"]) if "pretrained" in runs else set()


def pairs(runs: pd.DataFrame, windows: str) -> list[tuple[str, str]]:
    """Each subject with each other model of its stage: a fine-tuned network has seen more data than one that is not.

    Two networks without windows are compared once, not with averaged windows again.
    """
    tuned, asked, ipts = finetuned(runs), subjects(runs), set(transformers(runs))
    return [
        (model, other)
        for model in asked
        for other in models(runs)
        if other not in asked
        and (model in tuned) == (other in tuned)
        and (windows != AVERAGED or {model, other} & ipts)
    ]


def same_held_out(runs: pd.DataFrame, model: str, other: str) -> bool:
    """Whether two models of one stage are validated on the same crops, which depend on what they are trained on."""
    crops = [column for column in ("tasks", "batch_size", "patch_size") if column in runs]
    first = runs[runs["model"].isin([model, other])].dropna(subset=crops).drop_duplicates("model")
    return not crops or len(first[crops].drop_duplicates()) <= 1


def with_windows(runs: pd.DataFrame, windows: str) -> list[str]:
    """The trained models that have scores of their own with one kind of windows, in the experiment's order."""
    return transformers(runs) if windows == AVERAGED else models(runs)


def references(runs: pd.DataFrame) -> list[str]:
    """Untrained rows (`bicubic`, `identity`), in the experiment's order."""
    return list(dict.fromkeys(runs.loc[runs["fraction"].isna(), "model"]))


def settings(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Each model's `training_settings` at its largest fraction, in the experiment's order; of models that have a run."""
    if "settings" not in runs:
        return {}
    recorded = runs[runs["settings"].notna()].sort_values("fraction", kind="stable")
    largest = recorded.drop_duplicates("model", keep="last").set_index("model")["settings"]
    return {model: json.loads(largest[model]) for model in models(runs) if model in largest}


def labels(runs: pd.DataFrame) -> dict[str, str]:
    """Each model's label in figures and tables; its name if the experiment gives no label."""
    own = runs["label"] if "label" in runs else pd.Series(index=runs.index, dtype="str")
    return dict(zip(runs["model"], own.fillna(runs["model"]), strict=True))


def span(smallest: float, largest: float) -> str:
    """(0.01, 1.0) → `0.01-1`."""
    return f"{smallest:g}-{largest:g}"


def ends(text: str) -> list[float]:
    """`1e-05-1` → [1e-05, 1.0]; of one fraction, that one."""
    return [float(end) for end in re.split("(?<!e)-", text)]


def percent(fraction: float) -> str:
    """0.2 → `20 %`."""
    return f"{100 * fraction:g} %"
