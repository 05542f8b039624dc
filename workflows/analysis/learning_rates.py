"""Which learning rate suits each network: the trials, judged by L1 on held-out training-source images alone."""

from pathlib import Path

import pandas as pd

from workflows.analysis.records import ReportError, percent
from workflows.config import grid
from workflows.reporting.markup import MARKDOWN, Block, to_markdown

NOTES = [
    "L1 on the 0-255 scale at the last step, on fixed crops of training-source images that belong to no fraction; no "
    "benchmark image was looked at. Every network was tried as often, for its full number of steps, with one seed that is "
    "not among those compared.",
    "Best: the lowest mean over the fractions. Used: what the comparison trains with.",
    "A best rate at the edge of those tried may not be the best there is.",
]


def compare(experiment_dir: Path) -> pd.DataFrame:
    """All trials, a row for each model and learning rate.

    Args:
        experiment_dir: folder with `experiment.yaml` and `runs/<trial>/train.csv`.

    Returns:
        Columns model, label, learning_rate, steps, one `validation_l1_<percent>` a fraction (mean over trial seeds),
        `validation_l1` (their mean), `seeds` tried, `spread` (standard deviation of that mean over them; empty with one),
        `best` (lowest mean of its model), `edge` (the best rate is the smallest or largest tried) and `used`.

    Raises:
        ReportError: naming a trial that is not finished, or if the experiment has none.
    """
    spec = grid.read(experiment_dir / "experiment.yaml")
    trials = spec.trials()
    if not trials:
        raise ReportError(f"{experiment_dir}: no model has `learning_rates`, so none were tried")
    rows = []
    for run in trials.values():
        path = experiment_dir / "runs" / run.name / "train.csv"
        if not path.is_file():
            raise ReportError(f"the trial {run.name} is not finished: no {path}")
        last = pd.read_csv(path).iloc[-1]
        row = {"model": run.model, "learning_rate": run.training.learning_rate, "steps": int(last["step"])}
        rows.append({**row, "fraction": run.fraction, "seed": run.seed, "l1": last["validation_l1"]})
    long = pd.DataFrame(rows)
    keys = ["model", "learning_rate", "steps"]
    table = long.pivot_table(index=keys, columns="fraction", values="l1", sort=False)
    table = table.rename(columns=lambda fraction: f"validation_l1_{grid.fraction_label(fraction)}")
    table["validation_l1"] = table.mean(axis=1)
    by_seed = long.groupby([*keys, "seed"], sort=False)["l1"].mean().groupby(keys, sort=False)
    table["seeds"], table["spread"] = by_seed.count(), by_seed.std()
    table = table.reset_index().rename_axis(columns=None)
    used = {model.name: spec.recipe(model).learning_rate for model in spec.models}
    by_model = table.groupby("model")
    table["best"] = table["validation_l1"] == by_model["validation_l1"].transform("min")
    extreme = [by_model["learning_rate"].transform(which) for which in ("min", "max")]
    table["edge"] = table["best"] & (table["learning_rate"].eq(extreme[0]) | table["learning_rate"].eq(extreme[1]))
    table["used"] = table["learning_rate"] == table["model"].map(used)
    labels = {model.name: model.label or model.name for model in spec.models}
    table.insert(1, "label", table["model"].map(labels))
    return table


def blocks(table: pd.DataFrame, form=MARKDOWN) -> list[Block]:
    """The table for readers."""
    fractions = [column for column in table if column.startswith("validation_l1_")]
    header = [
        "model",
        "learning rate",
        *(f"L1, {percent(_fraction(f))} of the images" for f in fractions),
        "mean L1",
        "",
    ]
    rows = [
        [
            row["label"],
            f"{row['learning_rate']:g}",
            *(f"{row[fraction]:.3f}" for fraction in fractions),
            f"{row['validation_l1']:.3f}",
            ", ".join(word for word in ("best", "edge", "used") if row[word]),
        ]
        for _, row in table.iterrows()
    ]
    title = f"Learning rates, tried with {', '.join(f'{s:,}' for s in sorted(set(table['steps'])))} steps each"
    return [
        Block(
            form.escape(title),
            [form.escape(note) for note in NOTES],
            [form.escape(cell) for cell in header],
            [[form.escape(cell) for cell in row] for row in rows],
        )
    ]


def to_text(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    return to_markdown(blocks(table))


def _fraction(column: str) -> float:
    return float(column.removeprefix("validation_l1_")) / 100
