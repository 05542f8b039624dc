"""Tables besides the scores: gains from data, crossovers, differences, costs, and published numbers next to ours."""

import math
from collections.abc import Callable, Iterator

import pandas as pd

from workflows.analysis.records import MACS, SCORED_ON, percent
from workflows.readers import read_csv
from workflows.reporting.markup import Block, Cell
from workflows.reporting.numbers import NONE, count, counted, interval, number, percents, probability, whole
from workflows.reporting.study import Study

OWN_DATA = "this experiment's"


def _each(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (task, dataset), rows in table.groupby(SCORED_ON, sort=False):
        yield f"{dataset}, {task}", rows


def _block(title: str, notes: list[str], columns: dict[str, Callable[[pd.Series], Cell]], table: pd.DataFrame) -> Block:
    """A table from one function per column."""
    rows = [[cell(row) for cell in columns.values()] for _, row in table.iterrows()]
    return Block(title, notes, list(columns), rows)


def _model(study: Study, key: str = "model") -> Callable[[pd.Series], str]:
    return lambda row: study.labels.get(row[key], row[key])


def _inference(digits: int = 2, holm: bool = True) -> dict[str, Callable[[pd.Series], Cell]]:
    """Columns of an estimate's interval and test."""
    columns: dict[str, Callable[[pd.Series], Cell]] = {
        "95 % interval": lambda row: interval(row["low"], row["high"], digits)
    }
    if holm:
        columns["p (Holm)"] = lambda row: probability(row["p_holm"])
    return columns | {"seeds": lambda row: whole(row["seeds"])}


def _windows(table: pd.DataFrame) -> dict[str, Callable[[pd.Series], Cell]]:
    """The column of windows, if IPT was scored with both kinds."""
    return {"windows": lambda row: row["windows"]} if len(set(table["windows"])) > 1 else {}


def gain_blocks(study: Study) -> Iterator[Block]:
    """Each model's gain from data, and each subject's gain minus each rival's; held-out images come last."""
    tables = {name: study.table(name).fillna({"task": "", "windows": ""}) for name in ("gains", "gain_differences")}
    for (task, dataset), rows in tables["gains"].groupby(SCORED_ON, sort=False):
        title, unit = (f"{dataset}, {task}", "dB") if task else ("Held-out images", "L1")
        columns = {
            "model": _model(study),
            "training images": lambda row: percents(row["span"]),
            **_windows(rows),
            f"gain in {unit}": lambda row: number(row["gain"], 2, "+"),
            **_inference(),
        }
        note = (
            "PSNR-Y at the larger fraction minus PSNR-Y at the smaller"
            if task
            else "how far the L1 falls (0-255 scale)"
        )
        yield _block(f"{title}: gains from data", [f"Gain: {note}. Intervals are over seeds, unpaired."], columns, rows)
        differences = tables["gain_differences"]
        of_gains = differences[(differences["task"] == task) & (differences["dataset"] == dataset)]
        if len(of_gains):
            columns = {
                "model": _model(study),
                "rival": _model(study, "rival"),
                "training images": lambda row: percents(row["span"]),
                **_windows(of_gains),
                f"difference in {unit}": lambda row: number(row["difference"], 2, "+"),
                **_inference(),
            }
            notes = ["Difference: the model's gain from data minus the rival's. Above zero, the model gains more."]
            yield _block(f"{title}: differences of gains", notes, columns, of_gains)


def data_blocks(study: Study) -> Iterator[Block]:
    """Whether data limited each model, and the power law if the points support one."""
    for title, rows in _each(study.table("data")):
        columns = {
            "model": _model(study),
            "training images": lambda row: f"{percent(row['smallest'])} to {percent(row['largest'])}",
            "gain in dB": lambda row: number(row["gain"], 2, "+"),
            **_inference(holm=False),
            "data limited it": lambda row: NONE if pd.isna(row["limiting"]) else row["limiting"],
            "crops seen per image": lambda row: f"{count(row['crops_smallest'])} to {count(row['crops_largest'])}",
            "gap": lambda row: f"{number(row['gap_smallest'], 2, '+')} to {number(row['gap_largest'], 2, '+')}",
        }
        notes = [
            "A model was limited by data if PSNR-Y rises significantly with the amount of data (slope over all fractions); "
            "see the claims.",
            "Crops seen per image: patches cut from each image in training. "
            "Gap: held-out minus training L1; see the table of both losses.",
        ]
        yield _block(title, notes, columns, rows)
        fitted = rows[rows["exponent"].notna()]
        if len(fitted):
            columns = {
                "model": _model(study),
                "limit in dB": lambda row: number(row["limit"]),
                "interval of the limit": lambda row: interval(row["limit_low"], row["limit_high"]),
                "exponent": lambda row: number(row["exponent"]),
                "interval of the exponent": lambda row: interval(row["exponent_low"], row["exponent_high"]),
                "R²": lambda row: number(row["r2"]),
            }
            notes = [
                "PSNR = limit − loss · (n / largest n)^(−exponent) for n images. 95 % intervals of the fit, over points."
            ]
            yield _block(f"{title}: power law", notes, columns, fitted)


def crossover_blocks(study: Study) -> Iterator[Block]:
    """The fraction at which each subject overtakes each other network."""
    for title, rows in _each(study.table("crossovers")):
        columns = {
            "model": _model(study),
            "rival": _model(study, "other"),
            **_windows(rows),
            "answer": lambda row: row["status"],
            "at": lambda row: NONE if pd.isna(row["fraction"]) else percent(round(row["fraction"], 3)),
            "95 % interval": lambda row: (
                NONE if pd.isna(row["low"]) else f"{percent(round(row['low'], 3))} to {percent(round(row['high'], 3))}"
            ),
            "seeds": lambda row: whole(row["seeds"]),
        }
        notes = [
            "Curves are interpolated on the logarithm of the fraction. The interval holds the fractions at which the two models "
            "do not differ significantly; if it ends at the smallest or largest fraction, it may extend beyond."
        ]
        yield _block(title, notes, columns, rows)


def difference_blocks(study: Study) -> Iterator[Block]:
    """Differences between all models, at the largest fraction; the CSV has every fraction."""
    for title, rows in _each(study.table("differences")):
        largest = rows[rows["fraction"] == rows["fraction"].max()]
        columns = {
            "model": _model(study),
            "minus": _model(study, "other"),
            **_windows(rows),
            "difference in dB": lambda row: number(row["difference"], 3, "+"),
            **_inference(3),
            "test": lambda row: row["test"],
        }
        notes = [
            "PSNR-Y. Models of the same network, tasks, data, patch and batch size are paired by seed; others are not."
        ]
        if len(set(rows["fraction"])) > 1:
            notes.append("p is corrected for the comparisons at all fractions; the CSV file has the others.")
        yield _block(f"{title}, {percent(rows['fraction'].max())}", notes, columns, largest)


def contrastive_blocks(study: Study) -> Iterator[Block]:
    """The gain from the contrastive loss."""
    table = study.table("contrastive")
    for title, rows in _each(table[table["level"] == "mean"]):
        columns = {
            "with": _model(study, "with"),
            "without": _model(study, "without"),
            **_windows(rows),
            "images": lambda row: percent(row["fraction"]),
            "gain in dB": lambda row: number(row["gain"], 3, "+"),
            "95 % interval": lambda row: interval(row["low"], row["high"], 3),
            "p (Holm)": lambda row: probability(row["p_holm"]),
            "over": lambda row: counted(row["count"], row["over"].removesuffix("s")),
        }
        notes = ["PSNR-Y with the contrastive loss minus without, paired by seed and image."]
        if (rows["over"] == "images").any():
            notes.append("Intervals over images hold for one training each and say nothing about other seeds.")
        yield _block(title, notes, columns, rows)


def ablation_blocks(study: Study) -> Iterator[Block]:
    """The effects of single settings."""
    for title, rows in _each(study.table("ablations")):
        columns = {
            "factor": lambda row: row["factor"],
            "value": lambda row: row["value"],
            "model": _model(study),
            "baseline": lambda row: study.labels[row["baseline"]] if row["model"] != row["baseline"] else "(baseline)",
            "effect in dB": lambda row: number(row["effect"], 3, "+"),
            "95 % interval": lambda row: interval(row["low"], row["high"], 3),
            "p (Holm)": lambda row: probability(row["p_holm"]),
            "test": lambda row: NONE if pd.isna(row["test"]) else row["test"],
            "over": lambda row: NONE if pd.isna(row["over"]) else counted(row["count"], row["over"].removesuffix("s")),
        }
        notes = [
            "PSNR-Y minus the baseline's, at the largest fraction that both have; models differ only in the factor. Those of "
            "the same network, tasks, data, patch and batch size are paired by seed. p is corrected for all effects on the same "
            "set."
        ]
        yield _block(title, notes, columns, rows)


def gap_blocks(study: Study) -> list[Block]:
    """Training and held-out loss of every model at each fraction."""
    table = study.table("gaps")
    if table.empty:
        return []
    columns = {
        "model": _model(study),
        "data": lambda row: percent(row["fraction"]),
        "images": lambda row: whole(row["images"]),
        "crops seen per image": lambda row: count(row["crops_per_image"]),
        "training L1": lambda row: number(row["training_l1"]),
        "held-out L1": lambda row: number(row["validation_l1"]),
        "gap": lambda row: number(row["gap"], 2, "+"),
        "95 % interval": lambda row: interval(row["gap_low"], row["gap_high"]),
        "seeds": lambda row: whole(row["seeds"]),
    }
    notes = [
        "L1 on the 0–255 scale after the last step, on a run's own crops and on held-out ones. Crops per image: how often a run "
        "took a crop from each of its images.",
        "Gap: held-out minus training L1, for crops as hard as the training ones. Above zero, the network "
        "fits its own images better than others.",
    ]
    return [_block("Training and held-out loss", notes, columns, table)]


def cost_blocks(study: Study) -> list[Block]:
    """Each model's cost, and its data."""
    table, runs = study.table("costs"), study.runs
    if table.empty:
        return []
    columns = {
        "model": _model(study),
        "variant": lambda row: NONE if pd.isna(row["variant"]) else row["variant"],
        "parameters": lambda row: whole(row["parameters"]),
    }
    if table["training_data"].notna().any():
        columns["training data"] = lambda row: OWN_DATA if pd.isna(row["training_data"]) else row["training_data"]
    for name in (name for name in table if name.startswith(MACS)):
        columns[f"multiply-adds per pixel of {name.removeprefix(MACS)}"] = lambda row, name=name: whole(row[name])
    columns |= {"steps": lambda row: whole(row["steps"]), "patches": lambda row: whole(row["patches"])}
    tasks = [name for name in table if name.startswith("patches_")]
    for name in tasks if len(tasks) > 1 else []:
        columns[f"patches of {name.removeprefix('patches_')}"] = lambda row, name=name: whole(row[name])
    if "matched" in runs and runs["matched"].notna().any():
        chosen = runs.dropna(subset="matched").drop_duplicates("model").set_index("model")["matched"]
        columns["chosen by match"] = lambda row: chosen.get(row["model"], NONE)
    columns |= {"hours per run": lambda row: number(row["train_hours"], 3), "runs": lambda row: whole(row["runs"])}
    steps = runs.reindex(columns=["model", "steps"]).dropna().drop_duplicates()
    equal = "Every model trained for the same number of steps at every fraction."
    unequal = "Steps differ between fractions: models differ in training as well as in data."
    notes = ["Means over a model's runs.", unequal if steps["model"].duplicated().any() else equal]
    return [_block("Costs", notes, columns, table), *_patch_blocks(study)]


def _patch_blocks(study: Study) -> list[Block]:
    """The amount of data at each fraction, if crops are fixed."""
    runs, facts = study.runs, ("distinct_patches", "patch_epochs", "target_values_per_parameter")
    if not set(facts) <= set(runs) or runs["distinct_patches"].isna().all():
        return []
    table = runs.dropna(subset="distinct_patches").drop_duplicates(["model", "fraction"])
    columns = {
        "model": _model(study),
        "data": lambda row: percent(row["fraction"]),
        "distinct patches": lambda row: whole(row["distinct_patches"]),
        "epochs over them": lambda row: count(row["patch_epochs"]),
        "target values per parameter": lambda row: count(row["target_values_per_parameter"]),
    }
    return [_block("Training patches", ["Values are those of the first seed's run."], columns, table)]


def published_blocks(study: Study) -> Iterator[Block]:
    """Our numbers next to the published ones."""
    for title, rows in _each(study.table("published")):

        def ours(row: pd.Series) -> str:
            half = "" if pd.isna(row["high"]) else f"\u00a0±\u00a0{number(row['high'] - row['ours'])}"
            return number(row["ours"]) + half

        def mine(row: pd.Series) -> str:
            if pd.isna(row["model"]):
                return NONE
            return study.labels[row["model"]] + ("" if pd.isna(row["fraction"]) else f", {percent(row['fraction'])}")

        columns = {
            "method": lambda row: row["method"],
            "published": lambda row: number(row["published"]),
            "ours": mine,
            "ours in dB": ours,
            "difference": lambda row: number(row["difference"], 2, "+"),
            "source": lambda row: row["source"],
        }
        notes = [
            "PSNR in dB. Published networks are of full size and trained on millions of patches per epoch. The table of costs "
            "has the size and training of ours."
        ]
        if set(rows["channel"]) - {"Y"}:
            columns["channel"] = lambda row: row["channel"]
        gray = set(rows["gray"]) | set(rows["our_gray"])
        if len(gray) > 1 and title.startswith("Set14"):
            columns["gray files"] = lambda row: f"{row['gray']} (ours: {row['our_gray']})"
        yield _block(f"{title}: published scores", notes, columns, rows)


RATES = ("model", "label", "learning_rate", "steps", "validation_l1", "best", "edge", "used")  # of learning_rates.csv


def learning_rate_blocks(study: Study) -> list[Block]:
    """The choice of the learning rates; empty without trials in the config, even beside an earlier config's table."""
    path = study.folder / "learning_rates.csv"
    tried = any(model.get("learning_rates") for model in study.config.get("models") or [])
    return [learning_rates(read_csv(path, RATES))] if tried and path.is_file() else []


def _loss(l1: float) -> str:
    return "diverged" if math.isinf(l1) else number(l1, 3)


def learning_rates(table: pd.DataFrame) -> Block:
    """The table of trials, `learning_rates.csv`."""
    columns = {"model": lambda row: row["label"], "learning rate": lambda row: f"{row['learning_rate']:g}"}
    for name in (name for name in table if name.startswith("validation_l1_")):
        at = percent(float(name.removeprefix("validation_l1_")) / 100)
        columns[f"L1, {at} of the images"] = lambda row, name=name: _loss(row[name])
    columns["mean L1"] = lambda row: _loss(row["validation_l1"])
    sure = "behind" in table and table["behind_low"].notna().any()
    if sure:
        columns["behind the best"] = lambda row: number(row["behind"], 3, "+") if 0 < row["behind"] < math.inf else NONE
        columns["95 % interval"] = lambda row: (
            NONE if row["best"] else interval(row["behind_low"], row["behind_high"], 3)
        )
    columns["choice"] = lambda row: ", ".join(word for word in ("best", "edge", "used") if row[word]) or NONE
    steps = ", ".join(f"{steps:,}" for steps in sorted(set(table["steps"])))
    notes = [
        "L1 on held-out training images, 0–255 scale. Best: the lowest mean. Edge: the best is the smallest or largest rate "
        "tried. Used: the rate of the experiment's runs."
        + " Intervals are over trial seeds, paired by seed."
        * bool(sure)
    ]
    used = table.groupby("label", sort=False)["used"].any()
    if not used.all():
        notes.append(f"The runs train at a rate that was not tried: {', '.join(used.index[~used])}.")
    if table["validation_l1"].eq(math.inf).any():
        notes.append("Diverged: the loss of at least one trial became NaN or infinite.")
    return _block(f"Learning rates, tried with {steps} steps each", notes, columns, table)
