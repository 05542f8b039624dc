"""Which learning rate suits each network: the trials, judged by L1 on held-out training-source images alone."""

from pathlib import Path

import pandas as pd

from workflows.analysis.records import ReportError, percent
from workflows.analysis.statistics import t_interval
from workflows.config import grid
from workflows.config.runs import fraction_label
from workflows.reporting.markup import MARKDOWN, Block, to_markdown

NOTES = [
    "L1 on the 0-255 scale at the last step, on fixed crops of held-out training-source images; no benchmark image was looked "
    "at. Every network got as many trials, for its full number of steps, with seeds that are not among those compared.",
    "Best: the lowest mean over fractions and trial seeds. Used: what the comparison trains with.",
    'Intervals are 95 % t intervals over the trial seeds; "behind the best" is paired by seed. A rate whose interval '
    "includes zero is not significantly worse than the best one.",
    "A best rate at the edge of those tried may not be the best there is.",
]


def compare(experiment_dir: Path) -> pd.DataFrame:
    """All trials, a row for each model and learning rate.

    Args:
        experiment_dir: folder with `experiment.yaml` and `runs/<trial>/train.csv`.

    Returns:
        Columns model, label, learning_rate, steps, seeds (trial seeds), one `validation_l1_<percent>` per fraction (mean
        over the seeds), `validation_l1` (mean over fractions and seeds) with `low` and `high`, `spread` (standard deviation
        of that mean over the seeds), `behind` (the L1 above that of
        the model's best rate) with `behind_low` and `behind_high`, `best` (lowest mean of its model), `edge` (the best rate
        is the smallest or largest tried) and `used`. Ends of intervals are NaN with one seed.

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
    labels = {model.name: model.label or model.name for model in spec.models}
    tables = [_of_model(of_model, spec, labels[name]) for name, of_model in long.groupby("model", sort=False)]
    return pd.concat(tables, ignore_index=True)


def _of_model(trials: pd.DataFrame, spec: grid.Experiment, label: str) -> pd.DataFrame:
    (model,) = trials["model"].unique()
    used = next(spec.recipe(entry).learning_rate for entry in spec.models if entry.name == model)
    by_seed = trials.pivot_table(index="learning_rate", columns="seed", values="l1")  # means over the fractions
    best = by_seed.mean(axis=1).idxmin()
    rows = []
    for rate, of_rate in trials.groupby("learning_rate", sort=False):
        level, behind = t_interval(by_seed.loc[rate]), t_interval(by_seed.loc[rate] - by_seed.loc[best])
        fractions = of_rate.groupby("fraction")["l1"].mean()
        rows.append(
            {
                **{"model": model, "label": label, "learning_rate": rate, "steps": of_rate["steps"].max()},
                "seeds": level.count,
                **{f"validation_l1_{fraction_label(fraction)}": l1 for fraction, l1 in fractions.items()},
                **{"validation_l1": level.mean, "low": level.low, "high": level.high},
                "spread": by_seed.loc[rate].std(),
                **{"behind": behind.mean, "behind_low": behind.low, "behind_high": behind.high},
                "best": rate == best,
                "edge": rate == best and rate in (by_seed.index.min(), by_seed.index.max()),
                "used": rate == used,
            }
        )
    return pd.DataFrame(rows)


def blocks(table: pd.DataFrame, form=MARKDOWN) -> list[Block]:
    """The table for readers."""
    fractions = [column for column in table if column.startswith("validation_l1_")]
    header = [
        "model",
        "learning rate",
        *(f"L1, {percent(_fraction(f))} of the images" for f in fractions),
        "mean L1",
        "behind the best",
        "",
    ]
    rows = [
        [
            row["label"],
            f"{row['learning_rate']:g}",
            *(f"{row[fraction]:.3f}" for fraction in fractions),
            _with_interval(row["validation_l1"], row["low"], row["high"]),
            "" if row["best"] else _with_interval(row["behind"], row["behind_low"], row["behind_high"]),
            ", ".join(word for word in ("best", "edge", "used") if row[word]),
        ]
        for _, row in table.iterrows()
    ]
    counts = {key: ", ".join(f"{n:,}" for n in sorted(set(table[key]))) for key in ("steps", "seeds")}
    title = f"Learning rates, tried with {counts['steps']} steps each, trial seeds: {counts['seeds']}"
    return [
        Block(
            form.escape(title),
            [form.escape(note) for note in NOTES],
            [form.escape(cell) for cell in header],
            [[form.escape(cell) for cell in row] for row in rows],
        )
    ]


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f}" if pd.isna(low) else f"{mean:.3f} ± {(high - low) / 2:.3f}"


def to_text(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    return to_markdown(blocks(table))


def _fraction(column: str) -> float:
    return float(column.removeprefix("validation_l1_")) / 100
