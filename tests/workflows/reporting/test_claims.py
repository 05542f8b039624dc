import pandas as pd
import pytest

from tests.helpers import MODELS
from workflows.reporting.claims import blocks, groups, sentence

KINDS = ("data_limited", "gains_more", "overtakes", "contrastive_helps", "order")


def test_each_claim_has_a_short_sentence_of_its_own():
    told = {claim: sentence(claim, "A", "B") for claim in KINDS}
    assert len(set(told.values())) == len(told)
    assert all("A" in text and len(text) < 80 for text in told.values())
    assert all("B" in text for claim, text in told.items() if claim != "data_limited")


def test_claims_that_were_not_tested_are_kept_apart(studies):
    study = studies(fractions=(0.2, 1.0), seeds=(0,))
    shown = groups(study)
    assert all(group.tested is None for group in shown)
    study.table("claims").loc[0, "answer"] = "yes"
    first = groups(study)[0]
    assert [row[1] for row in first.tested.rows] == ["yes"]
    assert "yes" not in {row[1] for row in first.untested.rows}
    assert blocks(study)[0].rows == first.tested.rows + first.untested.rows


def test_numbers_stand_in_their_unit(studies):
    study = studies(fractions=(0.2, 1.0))
    row = {"claim": "overtakes", "model": "ipt", "rival": "edsr", "task": "sr2", "dataset": "Set5", "windows": "centre"}
    row |= {"span": "0.01-1", "answer": "yes", "estimate": 0.584, "low": 0.42, "high": 0.9, "unit": "fraction"}
    row |= {"p": None, "p_holm": None, "seeds": 3}
    held_out = row | {
        "claim": "data_limited",
        "rival": None,
        "task": None,
        "dataset": "held-out",
        "unit": "L1",
        "p_holm": 0.0001,
    }
    study._tables["claims"] = pd.DataFrame([row, row | {"windows": "averaged"}, held_out])
    first, second = blocks(study)
    shown = dict(zip(first.header, first.rows[0], strict=True))
    assert shown["estimate"].replace("\u00a0", " ") == "58.4 %"
    assert shown["95 % interval"].replace("\u00a0", " ") == "42 % to 90 %"
    assert [cells[first.header.index("windows")] for cells in first.rows] == ["centre", "averaged"]
    assert second.rows[0][0] == sentence("data_limited", "IPT")
    assert "windows" not in second.header
    assert "< 0.001" in second.rows[0]


def test_windows_are_named_only_where_an_ipt_has_them(studies):
    options = {"fractions": (0.2, 1.0), "seeds": (0, 1, 2)}
    without = studies(**options, models={name: MODELS[name] for name in ("edsr", "rdn")})
    told = [
        any("windows" in note for block in blocks(study) for note in block.notes)
        for study in (studies(**options), without)
    ]
    assert told == [True, False]


@pytest.mark.parametrize("options", [{"fractions": (1.0,)}, {"fractions": (0.2, 1.0), "seeds": (0, 1, 2)}])
def test_every_row_of_the_analysis_is_rendered(studies, options):
    study = studies(**options)
    assert sum(len(block.rows) for block in blocks(study)) == len(study.table("claims"))
