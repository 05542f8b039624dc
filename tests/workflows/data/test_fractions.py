"""Fractions have exact counts, are nested, are spread over the classes, and are the same on every machine."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.helpers import raises_naming
from workflows.data.fractions import select, split_validation

SIZES = {"a": 100, "b": 37, "c": 10, "d": 3, "e": 1}


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    rows = [(f"train/{name}/{name}_{index}.JPEG", name) for name, size in SIZES.items() for index in range(size)]
    return pd.DataFrame(rows, columns=["path", "class"]).sort_values("path", ignore_index=True)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.4, 0.5, 0.6, 0.8, 0.999, 1.0])
def test_counts_are_exact(train, fraction):
    chosen = select(train, fraction, seed=0)
    assert len(chosen) == max(1, int(fraction * len(train) + 0.5))
    assert chosen["path"].is_unique


def test_halves_are_rounded_up_in_decimals(train):
    assert len(select(train[:50], 0.57, 0)) == 29  # 28.5, in binary a little less
    assert len(select(train[:10], 0.25, 0)) == 3
    assert len(select(train[:10], 0.001, 0)) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_fractions_are_nested(train, seed):
    chosen = [select(train, fraction, seed)["path"].tolist() for fraction in (0.05, 0.2, 0.4, 0.6, 0.8, 1)]
    for smaller, larger in itertools.pairwise(chosen):
        assert larger[: len(smaller)] == smaller
    assert sorted(chosen[-1]) == train["path"].tolist()


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.77])
def test_every_class_has_its_share_within_one_image(train, fraction):
    counts = select(train, fraction, seed=3)["class"].value_counts()
    # The count is exact, so the end of the order lies a little off `fraction` of each class.
    for name, size in SIZES.items():
        assert abs(counts.get(name, 0) - fraction * size) < 1 + size / len(train) * len(SIZES)


def test_large_classes_of_one_size_differ_by_one_image_at_most():
    rows = [(f"{name}/{index}", str(name)) for name in range(50) for index in range(13)]
    table = pd.DataFrame(rows, columns=["path", "class"])
    for fraction in (0.1, 0.2, 0.33, 0.6):
        counts = select(table, fraction, 0)["class"].value_counts().reindex(map(str, range(50)), fill_value=0)
        assert counts.max() - counts.min() <= 1


def test_which_class_is_rounded_up_depends_on_the_seed():
    table = pd.DataFrame([(f"{name}/0", str(name)) for name in range(40)], columns=["path", "class"])
    chosen = {seed: frozenset(select(table, 0.25, seed)["class"]) for seed in range(3)}
    assert len(set(chosen.values())) == 3
    assert all(len(classes) == 10 for classes in chosen.values())


def test_the_order_of_the_rows_plays_no_part(train):
    shuffled = train.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(select(train, 0.4, 5), select(shuffled, 0.4, 5))
    for one, other in zip(split_validation(train, 9), split_validation(shuffled, 9), strict=True):
        assert set(one["path"]) == set(other["path"])


def test_the_choice_is_pinned_and_independent_of_python_s_hash_seed(train):
    """A change here means that no earlier experiment can be repeated: do not change the expected names lightly."""
    expected = ["train/a/a_70.JPEG", "train/b/b_19.JPEG", "train/a/a_80.JPEG"]
    assert select(train, 0.02, 0)["path"].tolist() == expected
    code = (
        "import pandas as pd; from workflows.data.fractions import select; "
        f"t = pd.DataFrame({train.to_dict('list')!r}); print(select(t, 0.02, 0)['path'].tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True)
    assert run.stdout.strip() == repr(expected)


def test_validation_is_taken_out_once_for_all_run_seeds(train):
    rest, validation = split_validation(train, 12)
    assert len(validation) == 12
    assert set(rest["path"]) | set(validation["path"]) == set(train["path"])
    assert not set(rest["path"]) & set(validation["path"])
    assert validation["class"].nunique() >= 3
    for seed in range(3):
        assert not set(select(rest, 1.0, seed)["path"]) & set(validation["path"])
    assert set(split_validation(train, 12, seed=1)[1]["path"]) != set(validation["path"])


def test_removing_one_class_leaves_the_others_ranks(train):
    """What is chosen within a class follows from the class alone, so that a subset of ImageNet gives comparable data."""
    without = train[train["class"] != "b"]
    both = [select(table, 1.0, 0) for table in (train, without)]
    in_a = [table.loc[table["class"] == "a", "path"].tolist() for table in both]
    assert in_a[0] == in_a[1]


def test_equal_hashes_are_decided_by_path(monkeypatch, train):
    from workflows.data import fractions

    monkeypatch.setattr(fractions, "_hashes", lambda names, key: np.zeros(len(names), np.uint64))
    shuffled = train.sample(frac=1, random_state=1)
    chosen = select(train, 1.0, 0)
    assert chosen["path"].tolist() == select(shuffled, 1.0, 0)["path"].tolist()
    assert chosen["path"][:5].tolist() == sorted(train.groupby("class")["path"].min())


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01])
def test_a_fraction_out_of_range_is_refused(train, fraction):
    with raises_naming(ValueError, "fraction", "(0, 1]", fraction):
        select(train, fraction, 0)


def test_a_validation_that_leaves_nothing_is_refused(train):
    with raises_naming(ValueError, "validation", len(train)):
        split_validation(train, len(train))
    assert len(split_validation(train, 0)[1]) == 0
