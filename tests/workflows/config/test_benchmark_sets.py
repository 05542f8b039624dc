"""The catalogue of benchmark sets, and what a request may be."""

import pytest

from tests.helpers import raises_naming
from workflows.config.benchmark_sets import KINDS, SETS, SetError, parse_set


def test_every_set_of_the_paper_is_listed_with_its_size():
    counts = {"Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100, "Manga109": 109, "DIV2K": 100}
    counts |= {"CBSD68": 68, "McMaster": 18, "Kodak24": 24, "Rain100L": 100, "Rain100H": 100}
    assert counts.items() <= {name: s.count for name, s in SETS.items()}.items()
    assert all(set(s.tasks) <= set(KINDS) for s in SETS.values())


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("set5", ["'set5'", "'Set5'"]),
        ("Urban10", ["'Urban10'", "'Urban100'"]),
        ("BSD68", ["'BSD68'", "'CBSD68'"]),
        ("Set5@0", ["'Set5@0'", "Set5@20"]),
        ("Set5@gray", ["'Set5@gray'", "Set5@rgb", "Set5@matlab"]),
        ("Set5@rgb@matlab", ["'Set5@rgb@matlab'", "Set5@20", "Set5@rgb"]),
        ("Set5@6", ["'Set5@6'", 5]),
        ("Set5=folder", ["'Set5'"]),
        ("a b=folder", ["'a b'", "_ . + -"]),
        ("mine=", ["mine=:", "NAME=FOLDER", "NAME=TARGETS,INPUTS"]),
        ("nothing-like-it", ["'nothing-like-it'", *SETS, "NAME=FOLDER"]),
    ],
)
def test_a_wrong_name_is_refused_with_what_would_be_right(name, named):
    with raises_naming(SetError, *named):
        parse_set(name)
