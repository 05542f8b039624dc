"""Slopes over all fractions."""

import numpy as np
import pytest

from tests.workflows.analysis.simulated import FRACTIONS, grids, runs
from workflows.analysis.cells import Cells
from workflows.analysis.data_slopes import data_slopes


def test_slopes_use_all_fractions():
    slopes = {"edsr": 0.0}
    (made,) = grids(slopes, spread=0.001, windows=("centre",))
    scores = made.scores.copy()
    middle = scores["fraction"].isin([0.4, 0.6])
    scores.loc[middle, "value"] -= 0.3  # the ends are equal
    found = data_slopes([made._replace(scores=scores, cells=Cells(scores))], runs(slopes)).iloc[0]
    x, y = np.log10(FRACTIONS), scores.groupby("fraction")["value"].mean()
    assert found["slope"] == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found["gain"] == pytest.approx(found["slope"] * np.log10(5))
    assert (found["counted"], found["fractions"]) == ("images", 5)


def test_a_decade_is_one_of_distinct_patches_where_they_are_counted():
    slopes = {"edsr": 0.5}
    known = runs(slopes)
    known["distinct_patches"] = (8 * known["images"] ** 2).astype("Int64")
    found = data_slopes(grids(slopes, spread=0.001), known).iloc[0]
    assert found["counted"] == "distinct_patches"
    assert found["slope"] == pytest.approx(0.25, abs=0.01)
