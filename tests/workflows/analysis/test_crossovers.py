"""Where one model overtakes another."""

import pytest

from tests.workflows.analysis.simulated import FRACTIONS, crossing_at
from workflows.analysis.crossovers import OVERTAKES, crossover


@pytest.mark.parametrize("crossing", [0.25, 0.4, 0.57, 0.93])
def test_a_known_crossing_is_found(crossing):
    made, _ = crossing_at(crossing, 1e-6)
    found = crossover(made[0].cells, "ipt", "edsr", FRACTIONS)
    assert found.status == OVERTAKES
    assert found.fraction == pytest.approx(crossing, rel=1e-3)
    assert found.low <= found.fraction <= found.high
