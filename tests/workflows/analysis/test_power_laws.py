"""A power law is that of the number of images, of one way of cutting windows, or says why there is none."""

import numpy as np
import pandas as pd
import pytest

from tests.workflows.analysis.simulated import FRACTIONS, grids, runs
from workflows.analysis.cells import Cells, Grid
from workflows.analysis.power_laws import power_laws


def test_a_law_in_the_number_of_images_is_found_again():
    known = runs({"ipt": 0.0, "edsr": 0.0}, images=500)
    noise = np.random.default_rng(0).normal(0, 1e-4, (len(FRACTIONS), 3))
    rows = [
        ("ipt", fraction, seed, 34 - 1.2 * (500 * fraction / 500) ** -0.4 + noise[i, seed])
        for i, fraction in enumerate(FRACTIONS)
        for seed in range(3)
    ]
    scores = pd.DataFrame(rows, columns=["model", "fraction", "seed", "value"])
    on = {"task": "sr2", "dataset": "B100"}
    made = [Grid({**on, "windows": way}, scores, Cells(scores)) for way in ("centre", "averaged")]
    (found,) = power_laws(made, known).to_dict("records")
    assert (found["task"], found["dataset"], found["model"], found["points"]) == ("sr2", "B100", "ipt", 15)
    assert [found[name] for name in ("limit", "loss", "exponent")] == pytest.approx([34, 1.2, 0.4], abs=0.01)
    assert found["limit_low"] < found["limit"] < found["limit_high"]
    assert found["exponent_low"] < found["exponent"] < found["exponent_high"]
    assert found["r2"] == pytest.approx(1, abs=1e-4)
    assert not found["refused"]


def test_falling_scores_have_no_law_and_a_reason():
    slopes = {"ipt": -0.5, "edsr": -0.5}
    found = power_laws(grids(slopes, spread=0.01), runs(slopes)).set_index("model")
    assert found.index.tolist() == ["ipt", "edsr"]
    assert found[["limit", "exponent", "r2"]].isna().all(axis=None)
    assert found["refused"].all()
