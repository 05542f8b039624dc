"""Names of tasks, and which head restores which task."""

import pytest

from ipt_models.tasks import HeadError, can_restore, nearest_head, parse_task
from tests.helpers import raises_naming


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sr2", ("sr", 2, 0)),
        ("sr4", ("sr", 4, 0)),
        ("dn1", ("dn", 1, 1)),
        ("dn255", ("dn", 1, 255)),
        ("dr", ("dr", 1, 0)),
    ],
)
def test_a_name_says_kind_scale_and_noise(name, expected):
    task = parse_task(name)
    assert (task.name, task.kind, task.scale, task.sigma) == (name, *expected)


@pytest.mark.parametrize("name", ["sr1", "sr5", "sr22", "dn0", "dn05", "dn256", "dn", "dr2", "SR2", " sr2", ""])
def test_another_name_is_refused_with_what_is_allowed(name):
    with raises_naming(ValueError, repr(name), "sr2", "sr3", "sr4", "dn<sigma>", 1, 255, "dr"):
        parse_task(name)


@pytest.mark.parametrize(
    ("task", "head"),
    [("dn30", "dn30"), ("dn10", "dn30"), ("dn70", "dn50"), ("dn39", "dn30"), ("dn40", "dn50"), ("sr2", "sr2")],
)
def test_unseen_levels_take_the_nearest_head_of_their_kind(task, head):
    assert nearest_head(parse_task(task), ["sr2", "dn30", "dn50"]) == head
    assert nearest_head(parse_task(task), ["dn50", "dn30", "sr2"]) == head


@pytest.mark.parametrize("task", ["sr3", "dr"])
def test_another_scale_or_kind_has_no_head(task):
    assert not can_restore(["sr2", "dn30"], parse_task(task))
    with raises_naming(HeadError, "mine", "sr2, dn30", task):
        nearest_head(parse_task(task), ["sr2", "dn30"], "mine")
