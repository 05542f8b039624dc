"""What the scores say about the methods: differences, crossings, limits. The seed is the unit of inference throughout."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflows.analysis.means import common_images, per_seed
from workflows.analysis.records import (
    PLAIN,
    SCORED_ON,
    ReportError,
    images_at,
    models,
    percent,
    rivals,
    transformers,
)
from workflows.analysis.statistics import (
    BOOTSTRAP_SEEDS,
    Difference,
    crossed_bootstrap,
    crossover,
    holm,
    paired_difference,
    power_law,
    t_interval,
)

# Less than this is no gain worth the name, however sure.
NOTICEABLE = 0.05


def curves(results: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """For each task and dataset the seeds' mean PSNR-Y: rows are (model, seed), columns fractions, gaps NaN.

    Fraction 0, trained without the first stage, is no point of a curve against its data.
    """
    seeds = per_seed(results)
    trained = seeds[seeds["fraction"] > 0]
    return {
        on: here.pivot_table(index=["model", "seed"], columns="fraction", values="psnr_y")
        for on, here in trained.groupby(SCORED_ON, sort=False)
    }


def pairs(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """All pairs of trained models, each once."""
    names = models(runs)
    return [(a, b) for i, b in enumerate(names) for a in names[i + 1 :]]


def differences(results: pd.DataFrame, runs: pd.DataFrame, bootstrap: bool = False) -> pd.DataFrame:
    """All pairs of models at each fraction: `model` minus `other` in dB, paired by the seeds that both have.

    Columns: task, dataset, fraction, model, other, difference, low, high, p, p_holm, seeds; with one common seed there is
    no interval and no p-value. `p_holm` is corrected for all comparisons on the same task and dataset. With `bootstrap`
    also `bootstrap_low` and `bootstrap_high`, see `crossed_bootstrap`.

    Raises:
        ReportError: `bootstrap` with fewer than eight seeds.
    """
    columns = ["fraction", "model", "other", *Difference._fields[:4], "p_holm", "seeds"]
    columns = [*SCORED_ON, *columns, *(["bootstrap_low", "bootstrap_high"] if bootstrap else [])]
    tables = []
    for (task, dataset), table in curves(results).items():
        rows = []
        for fraction in table:
            for model, other in pairs(runs):
                both = _paired(table, model, other, [fraction])
                if len(both):
                    found = paired_difference(both[model][fraction], both[other][fraction])
                    row = {"task": task, "dataset": dataset, "fraction": fraction, "model": model, "other": other}
                    row |= {**found._asdict(), "seeds": found.count}
                    if bootstrap:
                        if found.count < BOOTSTRAP_SEEDS:
                            raise ReportError(
                                f"a bootstrap needs {BOOTSTRAP_SEEDS} seeds; {model} and {other} have {found.count} in common "
                                f"at {percent(fraction)} ({dataset}, {task}): use the t intervals"
                            )
                        seeds = both.index
                        scores = _scores(results, task, dataset, fraction, (model, other), seeds)
                        row["bootstrap_low"], row["bootstrap_high"] = crossed_bootstrap(scores)[1][0, 1]
                    rows.append(row)
        if rows:
            tables.append(pd.DataFrame(rows).assign(p_holm=holm([row["p"] for row in rows])))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*columns, "mean"])
    return found[columns].rename(columns={"mean": "difference"})


def _paired(table: pd.DataFrame, model: str, other: str, fractions: Sequence[float]) -> pd.DataFrame:
    """Scores of two models at the seeds that both have at all these fractions: columns (model, fraction), rows seeds."""
    there = [m for m in (model, other) if m in table.index]
    if len(there) < 2:
        return pd.DataFrame()
    return pd.concat({m: table.loc[m, list(fractions)] for m in there}, axis=1).dropna()


def _scores(results, task, dataset, fraction, names, seeds) -> np.ndarray:
    """(models, seeds, images) of PSNR-Y."""
    plain = common_images(results[results["setting"] == PLAIN])
    here = plain[(plain["task"] == task) & (plain["dataset"] == dataset) & (plain["fraction"] == fraction)]
    table = here.pivot_table(index=["model", "seed"], columns="image", values="psnr_y")
    return np.stack([table.loc[name].loc[seeds].to_numpy() for name in names])


def crossovers(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Where each IPT overtakes each other network.

    Columns: task, dataset, model, other, those of `Crossover`, fractions.

    Only seeds with a whole curve of both models count. Where more seeds were trained at some of the fractions, and these are
    at least three, the curve goes through those alone; `fractions` tells which were used.
    """
    rows = []
    for (task, dataset), table in curves(results).items():
        for model in transformers(runs):
            for other in rivals(runs):
                used = _curve(table, model, other)
                if used is None:
                    continue
                both, fractions = used
                found = crossover(fractions, (both[model] - both[other]).to_numpy())
                row = {"task": task, "dataset": dataset, "model": model, "other": other, **found._asdict()}
                rows.append(row | {"fractions": " ".join(f"{100 * f:g}%" for f in fractions)})
    columns = [*SCORED_ON, "model", "other", "status", "fraction", "low", "high", "seeds", "fractions"]
    return pd.DataFrame(rows, columns=columns)


def _curve(table: pd.DataFrame, model: str, other: str) -> tuple[pd.DataFrame, list[float]] | None:
    """Two models' curves over as many seeds as at least three fractions have, else over all fractions of one."""
    # There is no logarithm of no data.
    count = {fraction: len(_paired(table, model, other, [fraction])) for fraction in table if fraction > 0}
    fractions = [fraction for fraction, seeds in count.items() if seeds]
    if len(fractions) < 2:
        return None
    fullest = [fraction for fraction in fractions if count[fraction] == max(count.values())]
    for chosen in (fractions, fullest) if len(fullest) < 3 else (fullest, fractions):
        both = _paired(table, model, other, chosen)
        if len(both) and len(chosen) > 1:
            return both, chosen
    return None


def power_laws(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A saturating power law for each model, or why there is none: columns task, dataset, model and `PowerLaw`'s."""
    images = images_at(runs)
    rows = []
    for (task, dataset), table in curves(results).items():
        for model in (m for m in models(runs) if m in table.index):
            points = table.loc[model].reset_index().melt("seed", var_name="fraction", value_name="psnr_y").dropna()
            counts = points["fraction"].map(images).astype("float64").fillna(points["fraction"])
            found = power_law(counts, points["psnr_y"])
            row = {"task": task, "dataset": dataset, "model": model, "limit": found.limit}
            row |= dict(zip(("limit_low", "limit_high"), found.limit_interval, strict=True))
            row |= {"loss": found.loss, "exponent": found.exponent}
            row |= dict(zip(("exponent_low", "exponent_high"), found.exponent_interval, strict=True))
            rows.append(row | {"r2": found.r2, "points": len(points), "refused": found.refused})
    columns = [
        *SCORED_ON,
        "model",
        "limit",
        "limit_low",
        "limit_high",
        "loss",
        "exponent",
        "exponent_low",
        "exponent_high",
    ]
    return pd.DataFrame(rows, columns=[*columns, "r2", "points", "refused"])


def gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """How far the loss on held-out images lies above that on a run's own, for each model and fraction.

    Columns: model, fraction, seeds, images, crops_per_image (how often each image was seen), training_l1, validation_l1, gap
    (see `collect_runs`), gap_low, gap_high (95 % t interval over seeds; empty with one).
    """
    means = ["images", "crops_per_image", "training_l1", "validation_l1"]
    columns = ["model", "fraction", "seeds", *means, "gap", "gap_low", "gap_high"]
    if not {"gap", *means} <= set(runs):
        return pd.DataFrame(columns=columns)
    known = runs.dropna(subset=["fraction", "gap"])
    rows = []
    for model in models(known):
        for fraction, here in known[known["model"] == model].groupby("fraction"):
            gap = t_interval(here["gap"].astype("float64"))
            row = {"model": model, "fraction": fraction, "seeds": gap.count}
            row |= {column: here[column].astype("float64").mean() for column in means}
            rows.append(row | {"gap": gap.mean, "gap_low": gap.low, "gap_high": gap.high})
    return pd.DataFrame(rows, columns=columns)


def data_limits(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Whether data was what limited each model: its gain in dB from the smallest to the largest fraction.

    Columns: task, dataset, model, smallest, largest, gain, low, high (95 % t interval, paired by seed, or by image where
    there is one seed: `over`), count, `crops_smallest` and `crops_largest` (how often each image was seen), `gap_smallest` and
    `gap_largest` (held-out over training L1, see `collect_runs`), `limiting`: the gain is at least 0.05 dB, its interval lies
    above 0, and where the gap is known it is larger at the smallest fraction.
    """
    plain = common_images(results[results["setting"] == PLAIN])
    rows = []
    for (task, dataset), table in curves(results).items():
        for model in (m for m in models(runs) if m in table.index):
            curve = table.loc[model].dropna(axis="columns", how="all")
            smallest, largest = curve.columns.min(), curve.columns.max()
            both = curve[[smallest, largest]].dropna()
            if smallest == largest or both.empty:
                continue
            over = "seeds" if len(both) > 1 else "images"
            if over == "seeds":
                gain = paired_difference(both[largest], both[smallest])
            else:
                of = plain[(plain["task"] == task) & (plain["dataset"] == dataset) & (plain["model"] == model)]
                images = of[of["seed"] == both.index[0]].pivot_table(index="image", columns="fraction", values="psnr_y")
                gain = paired_difference(images[largest], images[smallest])
            row = {"task": task, "dataset": dataset, "model": model, "smallest": smallest, "largest": largest}
            row |= {"gain": gain.mean, "low": gain.low, "high": gain.high, "over": over, "count": gain.count}
            for name, fraction in (("smallest", smallest), ("largest", largest)):
                of = runs[(runs["model"] == model) & (runs["fraction"] == fraction)]
                for key, column in (("crops", "crops_per_image"), ("gap", "gap")):
                    row[f"{key}_{name}"] = of[column].astype("float64").mean() if column in of else np.nan
            no_gap = row["gap_smallest"] <= row["gap_largest"]
            rows.append(row | {"limiting": bool(gain.mean >= NOTICEABLE and gain.low > 0 and not no_gap)})
    columns = [*SCORED_ON, "model", "smallest", "largest", "gain", "low", "high", "over", "count"]
    columns += ["crops_smallest", "crops_largest", "gap_smallest", "gap_largest"]
    return pd.DataFrame(rows, columns=[*columns, "limiting"])
