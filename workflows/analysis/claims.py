"""The experiment's claims, one per row, each with its answer and the numbers behind it."""

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from workflows.analysis.cells import HELD_OUT
from workflows.analysis.crossovers import ALREADY, NONE, OVERTAKES
from workflows.analysis.records import CENTRE, SCORED_ON, SEEN_ON, WINDOWS, span
from workflows.analysis.statistics import with_holm
from workflows.analysis.tables import columns

YES, NO, UNRESOLVED, NOT_TESTED = "yes", "no", "unresolved", "not tested"

# Smaller gains, in dB, are not noticeable.
NOTICEABLE = 0.05
SIGNIFICANT = 0.05


def answer(low: float, high: float, p: float, noticeable: float = NOTICEABLE) -> str:
    """Whether something is larger than 0: `no` means that it is smaller than `noticeable`.

    Args:
        low, high: ends of its 95 % interval.
        p: for the value 0; corrected for the number of comparisons between models.
        noticeable: in the same unit.
    """
    if np.isnan(low) or np.isnan(high):
        return NOT_TESTED
    if high < noticeable:
        return NO
    return YES if low > 0 and p < SIGNIFICANT else UNRESOLVED


def claims(tables: Mapping[str, pd.DataFrame], windowed: Collection[str]) -> pd.DataFrame:
    """All claims, from the tables that they rest on; columns and vocabulary in `tables.py`.

    Args:
        windowed: the models that cut images into windows, the IPTs.
    """
    rows = [*_data_limited(tables["slopes"])]
    rows += _gains_more(tables["gain_differences"], tables["slopes"], windowed)
    rows += [*_overtakes(tables["crossovers"]), *_contrastive_helps(tables["contrastive"])]
    rows += _order(tables["differences"], tables["quality_data"])
    return pd.DataFrame(rows, columns=columns("claims"))


def _data_limited(slopes: pd.DataFrame) -> list[dict[str, Any]]:
    """`data_limited`: more data made this network better, by more than seeds vary.

    The estimate is the gain over the span by the least-squares slope through the means at all fractions, per decade of data;
    of the held-out loss, how far it falls.
    """
    rows = []
    for slope in slopes.to_dict("records"):
        # A statement about one network: not corrected for the number of networks.
        row = {"claim": "data_limited", **slope, "p_holm": np.nan, "estimate": slope["gain"], "unit": "dB"}
        noticeable = NOTICEABLE
        if slope["dataset"] == HELD_OUT:
            row |= {"estimate": -slope["gain"], "low": -slope["high"], "high": -slope["low"], "unit": "L1"}
            noticeable = _noticeable_l1(slope["mean"])
        rows.append(row | {"answer": answer(row["low"], row["high"], row["p"], noticeable)})
    return rows


def _noticeable_l1(level: float) -> float:
    """The change of an L1 at this level that corresponds to `NOTICEABLE` dB."""
    return (1 - 10 ** (-NOTICEABLE / 20)) * level


def _gains_more(table: pd.DataFrame, slopes: pd.DataFrame, windowed: Collection[str]) -> list[dict[str, Any]]:
    """One answer from both kinds of windows: yes or no only if they agree.

    Held-out loss has no windows, and neither have two networks that restore whole images.
    """
    losses = slopes[slopes["dataset"] == HELD_OUT].set_index("model")["mean"]
    rows = []
    for row in table.to_dict("records"):
        row |= {"claim": "gains_more", "estimate": row["difference"], "unit": "dB"}
        noticeable = NOTICEABLE
        if row["dataset"] == HELD_OUT:
            row["unit"], noticeable = "L1", _noticeable_l1((losses[row["model"]] + losses[row["rival"]]) / 2)
        rows.append(row | {"answer": answer(row["low"], row["high"], row["p_holm"], noticeable)})
    key = [*SCORED_ON, "model", "rival", "span"]
    single = {(*(row[column] for column in key), row["windows"]): row["answer"] for row in rows}

    def joint(row: dict[str, Any]) -> str:
        of_pair = tuple(row[column] for column in key)
        kinds = WINDOWS if {row["model"], row["rival"]} & {*windowed} else (CENTRE,)
        replies = {single.get((*of_pair, windows), NOT_TESTED) for windows in kinds}
        if NOT_TESTED in replies:
            return NOT_TESTED
        return replies.pop() if len(replies) == 1 else UNRESOLVED

    return [row if row["dataset"] == HELD_OUT else row | {"answer": joint(row)} for row in rows]


def _overtakes(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Yes if the crossing's interval lies within the range: significantly behind at its start, and ahead at its end."""
    rows = []
    for row in table.to_dict("records"):
        inside = row["smallest"] < row["low"] and row["high"] < row["largest"]
        excluded = (row["status"] == NONE and row["high"] != row["largest"]) or (
            row["status"] == ALREADY and np.isnan(row["low"])
        )
        row |= {"rival": row["other"], "span": span(row["smallest"], row["largest"])}
        if not row["tested"]:
            reply = NOT_TESTED
        elif row["status"] == OVERTAKES and inside:
            reply = YES
        else:
            reply = NO if excluded else UNRESOLVED
        row |= {"claim": "overtakes", "answer": reply, "p": np.nan, "p_holm": np.nan}
        rows.append(row | {"estimate": row["fraction"], "unit": "fraction"})
    return rows


def _contrastive_helps(table: pd.DataFrame) -> list[dict[str, Any]]:
    """At the largest fraction that both models of a pair have, paired by seed."""
    means = table[table["level"] == "mean"]
    if means.empty:
        return []
    top = means.loc[means.groupby([*SEEN_ON, "without", "with"], sort=False)["fraction"].idxmax()].copy()
    top.loc[top["over"] != "seeds", ["low", "high", "p", "count"]] = np.nan, np.nan, np.nan, 1
    rows = []
    for _, family in with_holm(top, SEEN_ON).groupby(SEEN_ON, sort=False):
        for row in family.to_dict("records"):
            row |= {"claim": "contrastive_helps", "model": row["with"], "rival": row["without"]}
            row |= {"estimate": row["gain"], "unit": "dB", "seeds": int(row["count"]), "span": f"{row['fraction']:g}"}
            rows.append(row | {"answer": answer(row["low"], row["high"], row["p_holm"])})
    return rows


def _order(differences: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, Any]]:
    """At the largest fraction each model before the next, corrected for all pairs of models there."""
    rows = []
    for _, curve in curves[curves["fraction"] > 0].groupby(SEEN_ON, sort=False):
        largest = curve["fraction"].max()
        ranked = curve[curve["fraction"] == largest].sort_values("psnr_y", ascending=False, kind="stable")
        on = ranked.iloc[0][[*SEEN_ON, "fraction"]].to_dict()
        compared = differences[np.logical_and.reduce([differences[column] == value for column, value in on.items()])]
        compared = with_holm(compared, list(on)).set_index(["model", "other"])
        for first, second in itertools.pairwise(ranked["model"]):
            turned = (first, second) not in compared.index
            row = compared.loc[(second, first) if turned else (first, second)].to_dict()
            if turned:
                row |= {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
            row |= on | {"claim": "order", "model": first, "rival": second, "span": f"{largest:g}"}
            row |= {"estimate": row["difference"], "unit": "dB"}
            rows.append(row | {"answer": answer(row["low"], row["high"], row["p_holm"])})
    return rows
