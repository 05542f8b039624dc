"""Differences between two experiments, by model, fraction, seed and image."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from workflows.analysis.records import METRICS, PLAIN, RUN, SCORED_ON, read_results, read_runs
from workflows.analysis.statistics import t_interval
from workflows.config.runs import fraction_label
from workflows.reporting import markup
from workflows.reporting.markup import Cell, Span
from workflows.reporting.numbers import NONE, interval, number

KEY = [*SCORED_ON, "setting", *RUN, "image"]
COUNTS = ["seeds", "images", "only_first", "only_second"]


def differences(first: Path, second: Path) -> pd.DataFrame:
    """PSNR-Y of the second experiment minus the first, paired by model, fraction, seed and image.

    Args:
        first, second: folders with `results.csv`.

    Returns:
        One row for each common task, dataset, setting, model and fraction: seeds and images in common, `only_first`
        and `only_second` (scores without a partner), difference in dB with its 95 % t interval over the seeds (empty with
        one), `largest` (greatest absolute difference on one image), and `protocols`, empty if both used the same protocol.
        For images that both restored exactly the difference is 0.
    """
    pairs = _paired(first, second)
    rows = []
    group = [*SCORED_ON, "setting", "model", "fraction"]
    for values, scores in pairs.groupby(group, dropna=False, sort=False):
        paired = scores[scores["_merge"] == "both"]
        if paired.empty:
            continue
        seeds = paired["difference"].groupby(paired["seed"].fillna(-1)).mean()
        interval = t_interval(seeds)
        row = dict(zip(group, values, strict=True)) | {"seeds": interval.count, "images": paired["image"].nunique()}
        row |= {
            f"only_{side}": int((scores["_merge"] == f"{way}_only").sum())
            for side, way in (("first", "left"), ("second", "right"))
        }
        row |= {"difference": interval.mean, "low": interval.low, "high": interval.high}
        row |= {"largest": paired["difference"].abs().max(), "protocols": _protocols(paired)}
        rows.append(row)
    return pd.DataFrame(rows, columns=[*group, *COUNTS, "difference", "low", "high", "largest", "protocols"])


def agreement(first: Path, second: Path, tolerance: float) -> tuple[bool, str]:
    """Whether the second has every score of the first, and each network's mean over a set's images differs by at most
    `tolerance` dB.

    A network is one training: a model at a fraction with a seed. The sentence names the network that differs most. Further
    scores of the second do not matter.
    """
    pairs = _paired(first, second)
    pairs = pairs[pairs["_merge"] != "right_only"]
    lacking = int((pairs["_merge"] == "left_only").sum())
    if pairs.empty or lacking:
        return False, f"{lacking} scores of {first} are not in {second}" if lacking else f"{first} has no scores"
    if all(pairs[f"{metric}_first"].equals(pairs[f"{metric}_second"]) for metric in METRICS):
        return True, f"all {len(pairs)} scores are equal to the last digit"
    network = [*RUN, *SCORED_ON, "setting"]
    means = pairs.groupby(network, dropna=False, sort=False)["difference"].mean().abs()
    largest = means.max() if means.notna().all() else float("inf")
    where = dict(zip(network, means.index[int(np.argmax(means.fillna(np.inf)))], strict=True))
    name = (
        where["model"]
        if pd.isna(where["fraction"])
        else (f"{where['model']} at {fraction_label(where['fraction'])} %, seed {where['seed']}")
    )
    verdict = "at most" if largest <= tolerance else "more than"
    return bool(largest <= tolerance), (
        f"{len(pairs)} scores of {len(means)} networks and sets; the largest difference of a network's mean is {largest:.3g} dB "
        f"({name} on {where['dataset']}, {where['task']}), {verdict} {tolerance:g} dB"
    )


def _paired(first: Path, second: Path) -> pd.DataFrame:
    """All scores of both, with `_merge` and the `difference` of PSNR-Y in dB: 0 where both are infinite."""
    a, b = (read_results(folder / "results.csv") for folder in (first, second))
    pairs = a.merge(b, on=KEY, how="outer", suffixes=("_first", "_second"), indicator=True)
    before, after = pairs["psnr_y_first"], pairs["psnr_y_second"]
    equal = np.isinf(before) & (before == after)
    return pairs.assign(difference=(after.where(~equal, 0.0) - before.where(~equal, 0.0)))


def _protocols(paired: pd.DataFrame) -> str:
    if "protocol_first" not in paired or "protocol_second" not in paired:
        return ""
    pairs = paired[["protocol_first", "protocol_second"]].drop_duplicates()
    return "; ".join(
        f"{p.protocol_first} and {p.protocol_second}"
        for p in pairs.itertuples()
        if p.protocol_first != p.protocol_second
    )


def changed_settings(first: Path, second: Path) -> Iterator[str]:
    """The training settings in which models of both experiments differ, one line each."""
    a, b = (
        read_runs(folder / "runs.csv").dropna(subset="settings").drop_duplicates("model").set_index("model")["settings"]
        for folder in (first, second)
    )
    for model in a.index.intersection(b.index):
        before, after = json.loads(a[model]), json.loads(b[model])
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield f"{model}: {key} is {before.get(key, 'unset')} in the first and {after.get(key, 'unset')} in the second"


def unpaired_models(first: Path, second: Path) -> Iterator[str]:
    """Models that only one of the two has scored, one line each."""
    models = [set(read_results(folder / "results.csv")["model"]) for folder in (first, second)]
    for name, mine, other in (("first", models[0], models[1]), ("second", models[1], models[0])):
        yield from (f"{model}: only in the {name}" for model in sorted(mine - other))


def to_markdown(compared: pd.DataFrame, first: Path, second: Path) -> str:
    """The table of `differences` as Markdown, and other differences."""
    if compared.empty:
        return "The two experiments have no score in common."
    header = ["set, task", "model", "fraction", "difference", "95 % interval", "largest on an image"]
    header += [name.replace("_", " in the ") for name in COUNTS]
    rows: list[list[Cell | Span]] = [
        [
            f"{row.dataset}, {row.task}" + ("" if row.setting == PLAIN else f", {row.setting}"),
            row.model,
            NONE if pd.isna(row.fraction) else f"{fraction_label(row.fraction)} %",
            number(row.difference, 3, "+"),
            interval(row.low, row.high, 3),
            number(row.largest, 3),
            *(str(getattr(row, name)) for name in COUNTS),
        ]
        for row in compared.itertuples()
    ]
    notes = [
        "Difference: PSNR-Y in dB of the second minus the first, paired by seed and image; t intervals over seeds."
    ]
    notes += [f"Not scored alike ({r.dataset}, {r.task}): {r.protocols}." for r in compared.itertuples() if r.protocols]
    notes += [*unpaired_models(first, second), *changed_settings(first, second)]
    return markup.to_markdown([markup.Block(f"{second.name} minus {first.name}", notes, header, rows)])
