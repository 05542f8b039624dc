"""The table of claims: a short fixed sentence for each claim and answer, with the numbers beside it."""

import pandas as pd

from workflows.reporting.markup import Block
from workflows.reporting.numbers import NONE, interval, number, probability
from workflows.reporting.study import Study

NAME = "claims"

_SENTENCES = {
    "data_limited": ("Data limited {model}.", "Data did not limit {model}.", "data limited {model}"),
    "gains_more": (
        "{model} gains more from data than {rival}.",
        "{model} does not gain more from data than {rival}.",
        "{model} gains more from data than {rival}",
    ),
    "overtakes": ("{model} overtakes {rival}.", "{model} does not overtake {rival}.", "{model} overtakes {rival}"),
    "contrastive_helps": (
        "The contrastive loss helps: {model} against {rival}.",
        "The contrastive loss does not help: {model} against {rival}.",
        "the contrastive loss helps {model} against {rival}",
    ),
    "order": ("{model} is ahead of {rival}.", "{model} is not ahead of {rival}.", "{model} is ahead of {rival}"),
}


def sentence(claim: str, answer: str, model: str, rival: str = "") -> str:
    """The claim as answered."""
    yes, no, question = _SENTENCES[claim]
    text = {"yes": yes, "no": no}.get(answer, f"{answer.capitalize()}: whether {question}.")
    return text.format(model=model, rival=rival)


def blocks(study: Study) -> list[Block]:
    """One table a task and set."""
    return [block for _, block in _by_set(study)]


def groups(study: Study) -> list[tuple[str, Block]]:
    """The tables for the head of the page, each with its set and task."""
    return _by_set(study)


def _by_set(study: Study) -> list[tuple[str, Block]]:
    table = study.table(NAME)
    shown = []
    for (task, dataset), rows in table.groupby(["task", "dataset"], sort=False, dropna=False):
        title = "held-out images" if pd.isna(task) else f"{dataset}, {task}"
        shown.append((title, _block(f"Claims on {title}", rows, study.labels)))
    return shown


def _block(title: str, rows: pd.DataFrame, names: dict[str, str]) -> Block:
    windows = len(set(rows["windows"].dropna())) > 1
    header = [
        "claim",
        "answer",
        *["windows"] * windows,
        "training images",
        "estimate",
        "95 % interval",
        "p (Holm)",
        "seeds",
    ]
    cells = []
    for row in rows.to_dict("records"):
        model, rival = (names.get(row[column], row[column]) for column in ("model", "rival"))
        cells.append(
            [
                sentence(row["claim"], row["answer"], model, rival),
                row["answer"],
                *[NONE if pd.isna(row["windows"]) else row["windows"]] * windows,
                NONE if pd.isna(row["span"]) else span(row["span"]),
                *_estimate(row),
                probability(row["p_holm"]),
                number(row["seeds"], 0),
            ]
        )
    notes = [
        "Intervals and p-values are over seeds; p is corrected by Holm's method. Unresolved: the interval allows both answers.",
    ]
    return Block(title, notes, header, cells)


def _estimate(row: dict) -> tuple[str, str]:
    """Estimate and interval in their unit."""
    if row["unit"] == "fraction":
        ends = NONE if pd.isna(row["low"]) else f"{_percent(row['low'])} to {_percent(row['high'])}"
        return NONE if pd.isna(row["estimate"]) else _percent(row["estimate"]), ends
    unit = "" if pd.isna(row["unit"]) else f"\u00a0{row['unit']}"
    return NONE if pd.isna(row["estimate"]) else number(row["estimate"], 2, "+") + unit, interval(
        row["low"], row["high"]
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}\u00a0%"


def span(text: str) -> str:
    """`0.01-1` → `1 % to 100 %`; `1` → `100 %`."""
    return " to ".join(f"{100 * float(part):g}\u00a0%" for part in text.split("-"))
