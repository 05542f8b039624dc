"""Where one model overtakes another."""

import pytest

from tests.workflows.analysis.simulated import FRACTIONS, crossing_at, grids, runs
from workflows.analysis.crossovers import OVERTAKES, crossover, crossovers


@pytest.mark.parametrize("crossing", [0.25, 0.4, 0.57, 0.93])
def test_a_known_crossing_is_found(crossing):
    made, _ = crossing_at(crossing, 1e-6)
    found = crossover(made[0].cells, "ipt", "edsr", FRACTIONS)
    assert found.status == OVERTAKES
    assert found.fraction == pytest.approx(crossing, rel=1e-3)
    assert found.low <= found.fraction <= found.high


def test_the_best_rival_is_of_the_models_stage():
    levels = {"ipt": 33.0, "edsr": 32.0, "rdn": 32.5, "ipt-ft": 34.0, "edsr-ft": 33.5, "rdn-ft": 33.2}
    made = grids(dict.fromkeys(levels, 0.5), windows=["centre"], levels=levels)
    found = crossovers(made, runs(levels)).set_index(["model", "other"])["best_rival"]
    assert found.to_dict() == {
        ("ipt", "edsr"): False,
        ("ipt", "rdn"): True,
        ("ipt-ft", "edsr-ft"): True,
        ("ipt-ft", "rdn-ft"): False,
    }
