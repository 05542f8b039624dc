"""Two experiments side by side: the same model, fraction, seed and image in both, and what differs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from workflows.analysis.records import METRICS, RUN, SCORED_ON, percent, read_results, read_runs
from workflows.analysis.statistics import t_interval
from workflows.reporting.markup import Block

KEY = [*SCORED_ON, "setting", *RUN, "image"]


def compare(first: Path, second: Path) -> pd.DataFrame:
    """PSNR-Y of the second experiment minus the first, paired by model, fraction, seed and image.

    Args:
        first, second: folders with `results.csv`.

    Returns:
        One row for each task, dataset, setting, model and fraction that both have: seeds and images in common, `only_first`
        and `only_second` (scores without a partner), difference in dB with its 95 % t interval over the seeds (empty with
        one), `largest` (greatest absolute difference on one image), and `protocols`, empty where both scored alike.
    """
    a, b = (read_results(folder / "results.csv") for folder in (first, second))
    both = a.merge(b, on=KEY, how="outer", suffixes=("_first", "_second"), indicator=True)
    rows = []
    group = [*SCORED_ON, "setting", "model", "fraction"]
    for values, here in both.groupby(group, dropna=False, sort=False):
        paired = here[here["_merge"] == "both"]
        if paired.empty:
            continue
        difference = paired["psnr_y_second"] - paired["psnr_y_first"]
        seeds = difference.groupby(paired["seed"].fillna(-1)).mean()
        found = t_interval(seeds)
        row = dict(zip(group, values, strict=True)) | {"seeds": found.count, "images": paired["image"].nunique()}
        row |= {
            f"only_{side}": int((here["_merge"] == f"{way}_only").sum())
            for side, way in (("first", "left"), ("second", "right"))
        }
        row |= {"difference": found.mean, "low": found.low, "high": found.high, "largest": difference.abs().max()}
        rows.append(row | {"protocols": _protocols(paired)})
    counts = ["seeds", "images", "only_first", "only_second"]
    return pd.DataFrame(rows, columns=[*group, *counts, "difference", "low", "high", "largest", "protocols"])


def agreement(first: Path, second: Path, tolerance: float) -> tuple[bool, str]:
    """Whether every score has its partner in the other and differs by at most `tolerance` dB, and a line that says so."""
    a, b = (read_results(folder / "results.csv") for folder in (first, second))
    both = a.merge(b, on=KEY, how="outer", suffixes=("_first", "_second"), indicator=True)
    alone = int((both["_merge"] != "both").sum())
    if alone:
        return False, f"{alone} scores have no partner"
    pairs = [(both[f"{metric}_first"], both[f"{metric}_second"]) for metric in METRICS]
    if all(ours.equals(theirs) for ours, theirs in pairs):
        return True, f"all {len(both)} scores are equal to the last digit"
    largest = (both["psnr_y_second"] - both["psnr_y_first"]).abs().max()
    within = f"at most {tolerance:g} dB" if largest <= tolerance else f"more than {tolerance:g} dB"
    return bool(
        largest <= tolerance
    ), f"{len(both)} scores, the largest difference on an image is {largest:.3g} dB, {within}"


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
    """What differs in the training of the models that both experiments have, a line each."""
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
    """Models that only one of the two has scored, a line each."""
    models = [set(read_results(folder / "results.csv")["model"]) for folder in (first, second)]
    for name, mine, other in (("first", models[0], models[1]), ("second", models[1], models[0])):
        yield from (f"{model}: only in the {name}" for model in sorted(mine - other))


def blocks(first: Path, second: Path) -> list[Block]:
    """The comparison as a table for readers, with what else differs as notes."""
    found = compare(first, second)
    rows = []
    for row in found.itertuples():
        interval = "–" if pd.isna(row.low) else f"{row.low:+.3f} to {row.high:+.3f}"
        where = f"{row.dataset}, {row.task}" + ("" if row.setting == "plain" else f", {row.setting}")
        cells = [
            where,
            row.model,
            "–" if pd.isna(row.fraction) else percent(row.fraction),
            f"{row.difference:+.3f}",
            interval,
        ]
        cells += [f"{row.largest:.3f}", str(row.seeds), str(row.images), str(row.only_first), str(row.only_second)]
        rows.append([cell.replace("-", "−") if i in (3, 4) else cell for i, cell in enumerate(cells)])
    notes = [
        "Difference: PSNR-Y in dB of the second minus the first, paired by seed and image; intervals are t over seeds."
    ]
    if (found["seeds"] == 1).any():
        notes.append("With one seed in common there is no interval.")
    notes += [
        f"Not scored alike ({row.dataset}, {row.task}): {row.protocols}." for row in found.itertuples() if row.protocols
    ]
    notes += [*unpaired_models(first, second), *changed_settings(first, second)]
    header = ["set, task", "model", "fraction", "difference", "95 % interval", "largest on an image", "seeds", "images"]
    header += ["only in the first", "only in the second"]
    title = f"{second.name} minus {first.name}"
    return [Block(title, notes, header, rows)] if rows else []
