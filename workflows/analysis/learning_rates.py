"""The learning-rate trials of each network, compared by L1 on held-out images of the training source."""

import math
from pathlib import Path

import pandas as pd

from workflows.analysis.records import ReportError, refuse_another_training
from workflows.analysis.statistics import Interval, t_interval
from workflows.config import grid
from workflows.config.experiment import Experiment
from workflows.config.runs import fraction_label
from workflows.readers import read_csv


def compare_rates(experiment_dir: Path) -> pd.DataFrame:
    """All trials, one row per model and learning rate.

    Args:
        experiment_dir: folder with `experiment.yaml` and `runs/<trial>/train.csv`.

    Returns:
        Columns model, label, learning_rate, steps, seeds (number of trial seeds), one `validation_l1_<percent>` per
        fraction (mean over the seeds), `validation_l1` (mean over fractions and seeds) with `low` and `high`, `spread`
        (standard deviation of that mean over the seeds), `behind` (L1 minus that of the model's best rate) with `behind_low`
        and `behind_high`, `best` (whether it has the lowest mean of its model), `edge` (whether it is the best and also the
        smallest or largest rate tried) and `used` (whether the experiment's runs train at this rate). Ends of intervals are
        NaN with one seed. The L1 of a trial that diverged is infinite.

    Raises:
        ReportError: naming an unfinished trial or a network that trains at none of its rates, or if the experiment has no
            trials.
    """
    spec = grid.read(experiment_dir / "experiment.yaml")
    trials = spec.trials()
    if not trials:
        raise ReportError(f"{experiment_dir}: no model has `learning_rates`, so none were tried")
    rows = []
    for run in trials.values():
        path, record = (experiment_dir / "runs" / run.name / name for name in ("train.csv", "provenance.json"))
        for file in (path, record):  # a trial that was killed has a log alone
            if not file.is_file():
                raise ReportError(f"the trial {run.name} is not finished: no {file}")
        refuse_another_training(record, run)
        log = read_csv(path, ("step", "loss", "validation_l1"))
        if log.empty:
            raise ReportError(f"{path}: has no rows; the trial {run.name} is not finished")
        last = log.iloc[-1]
        l1 = last["validation_l1"] if math.isfinite(last["loss"]) and math.isfinite(last["validation_l1"]) else math.inf
        row = {"model": run.model, "learning_rate": run.training.learning_rate, "steps": int(last["step"])}
        rows.append({**row, "fraction": run.fraction, "seed": run.seed, "l1": l1})
    long = pd.DataFrame(rows)
    labels = {model.name: model.label or model.name for model in spec.models}
    tables = [_of_model(of_model, spec, labels[name]) for name, of_model in long.groupby("model", sort=False)]
    return pd.concat(tables, ignore_index=True)


def _of_model(trials: pd.DataFrame, spec: Experiment, label: str) -> pd.DataFrame:
    (model,) = trials["model"].unique()
    used = next(spec.recipe(entry).learning_rate for entry in spec.models if entry.name == model)
    by_seed = trials.pivot_table(index="learning_rate", columns="seed", values="l1")  # means over the fractions
    best = by_seed.mean(axis=1).idxmin()
    if math.isinf(by_seed.loc[best].mean()):
        raise ReportError(
            f"{model} diverged at each of its learning_rates, {', '.join(f'{r:g}' for r in by_seed.index)}"
        )
    rows = []
    for rate, of_rate in trials.groupby("learning_rate", sort=False):
        level, behind = _over_seeds(by_seed.loc[rate]), _over_seeds(by_seed.loc[rate] - by_seed.loc[best])
        fractions = of_rate.groupby("fraction")["l1"].mean()
        rows.append(
            {
                **{"model": model, "label": label, "learning_rate": rate, "steps": of_rate["steps"].max()},
                "seeds": level.count,
                **{f"validation_l1_{fraction_label(fraction)}": l1 for fraction, l1 in fractions.items()},
                **{"validation_l1": level.mean, "low": level.low, "high": level.high},
                "spread": math.nan if math.isinf(level.mean) else by_seed.loc[rate].std(),
                **{"behind": behind.mean, "behind_low": behind.low, "behind_high": behind.high},
                "best": rate == best,
                "edge": rate == best and rate in (by_seed.index.min(), by_seed.index.max()),
                "used": rate == used,
            }
        )
    return pd.DataFrame(rows)


def _over_seeds(l1: pd.Series) -> Interval:
    """Mean and interval; only a mean if a trial diverged."""
    return Interval(math.inf, math.nan, math.nan, len(l1)) if l1.eq(math.inf).any() else t_interval(l1)
