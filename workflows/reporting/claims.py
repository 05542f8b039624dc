"""The table of claims: one short fixed sentence per claim, with its answer and numbers."""

from typing import NamedTuple

import pandas as pd

from workflows.analysis.records import transformers
from workflows.reporting.markup import Block
from workflows.reporting.numbers import NONE, interval, number, percents, probability, rounded_percent
from workflows.reporting.study import Study

NAME = "claims"
NOT_TESTED = "not tested"

_SENTENCES = {
    "data_limited": "{model} was limited by data",
    "gains_more": "{model} gains more from data than {rival}",
    "overtakes": "{model} overtakes {rival}",
    "contrastive_helps": "The contrastive loss helps: {model} against {rival}",
    "order": "{model} is ahead of {rival}",
}


class Claims(NamedTuple):
    """The claims on one set and task. A part without rows is None."""

    title: str
    tested: Block | None
    untested: Block | None


def sentence(claim: str, model: str, rival: str = "") -> str:
    """The claim in words, without its answer."""
    return _SENTENCES[claim].format(model=model, rival=rival)


def blocks(study: Study) -> list[Block]:
    """One table per task and set; claims that were not tested come last."""
    tables, ipts = [], transformers(study.runs)
    for title, rows in _by_set(study):
        untested = rows["answer"] == NOT_TESTED
        tables.append(_block(title, pd.concat([rows[~untested], rows[untested]]), study.labels, ipts))
    return tables


def groups(study: Study) -> list[Claims]:
    """The tables for the head of the page."""
    sets, ipts = [], transformers(study.runs)
    for title, rows in _by_set(study):
        untested = rows["answer"] == NOT_TESTED
        parts = (
            _block(title, part, study.labels, ipts) if len(part) else None for part in (rows[~untested], rows[untested])
        )
        sets.append(Claims(title, *parts))
    return sets


def _by_set(study: Study) -> list[tuple[str, pd.DataFrame]]:
    tables = study.table(NAME).groupby(["task", "dataset"], sort=False, dropna=False)
    return [
        (f"Claims on {'held-out images' if pd.isna(task) else f'{dataset}, {task}'}", rows)
        for (task, dataset), rows in tables
    ]


def _block(title: str, rows: pd.DataFrame, names: dict[str, str], ipts: list[str]) -> Block:
    windows = len(set(rows["windows"].dropna())) > 1
    header = ["claim", "answer", *["windows"] * windows, "training images", "estimate", "95 % interval"]
    header += ["p (Holm)", "seeds"]
    cells = []
    for row in rows.to_dict("records"):
        model, rival = (names.get(row[column], row[column]) for column in ("model", "rival"))
        cells.append(
            [
                sentence(row["claim"], model, rival),
                row["answer"],
                *[NONE if pd.isna(row["windows"]) else row["windows"]] * windows,
                NONE if pd.isna(row["span"]) else percents(row["span"]),
                *_estimate(row),
                probability(row["p_holm"]),
                number(row["seeds"], 0),
            ]
        )
    windowed = rows["model"].isin(ipts) | rows["rival"].isin(ipts)
    # Held-out crops have no windows.
    compared = ((rows["claim"] == "gains_more") & rows["task"].notna() & windowed).any()
    notes = [
        "Intervals and p-values are over seeds; p is corrected by Holm's method. Unresolved: neither yes nor no"
        + ", or, for gains compared between models, `centre` and averaged windows disagree" * bool(compared)
        + "."
    ]
    return Block(title, notes, header, cells)


def _estimate(row: dict) -> tuple[str, str]:
    """Estimate and interval in their unit."""
    if row["unit"] == "fraction":
        ends = NONE if pd.isna(row["low"]) else f"{rounded_percent(row['low'])} to {rounded_percent(row['high'])}"
        return NONE if pd.isna(row["estimate"]) else rounded_percent(row["estimate"]), ends
    unit = "" if pd.isna(row["unit"]) else f"\u00a0{row['unit']}"
    return NONE if pd.isna(row["estimate"]) else number(row["estimate"], 2, "+") + unit, interval(
        row["low"], row["high"]
    )
