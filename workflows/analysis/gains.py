"""Each network's gain from more data, and whether IPT gained more than its rivals: the paper's claim in testable form."""

from collections.abc import Sequence

import pandas as pd

from workflows.analysis.cells import Grid, held_out
from workflows.analysis.records import SEEN_ON, pairs, same_held_out, span, with_windows
from workflows.analysis.statistics import with_holm
from workflows.analysis.tables import columns

# The paper's axis of fractions.
PAPERS_ENDS = (0.2, 1.0)


def spans(fractions: list[float]) -> list[tuple[float, float]]:
    """From the smallest to the largest fraction; and from 20 to 100 % if both exist and differ from that."""
    if len(fractions) < 2:
        return []
    ends = (fractions[0], fractions[-1])
    return [ends, PAPERS_ENDS] if ends != PAPERS_ENDS and set(PAPERS_ENDS) <= set(fractions) else [ends]


def gains(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y at the larger fraction minus that at the smaller one, for each model; columns in `tables.py`.

    On held-out images: how far the loss falls.
    """
    rows = []
    for grid in [*grids, *held_out(runs)]:
        on, cells, better = grid.on, grid.cells, _better(grid)
        for model in (model for model in with_windows(runs, on["windows"]) if model in cells):
            for smallest, largest in spans(cells.fractions(model)):
                estimate = cells.contrast({(model, largest): better, (model, smallest): -better})
                row = dict(zip(("gain", "low", "high", "p", "seeds"), estimate, strict=True))
                ends = {"span": span(smallest, largest), "smallest": smallest, "largest": largest}
                rows.append(on | {"measure": grid.measure, "model": model} | ends | row)
    return with_holm(pd.DataFrame(rows, columns=columns("gains")), [*SEEN_ON, "span"])


def gain_differences(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """Each subject's gain minus that of each rival of its stage; columns in `tables.py`."""
    rows = []
    for grid in [*grids, *held_out(runs)]:
        cells, better = grid.cells, _better(grid)
        for model, rival in pairs(runs, grid.on["windows"]):
            if grid.measure == "validation_l1" and not same_held_out(runs, model, rival):
                continue
            for smallest, largest in spans(cells.fractions(model, rival)):
                weights = {(model, largest): better, (model, smallest): -better}
                weights |= {(rival, largest): -better, (rival, smallest): better}
                row = dict(zip(("difference", "low", "high", "p", "seeds"), cells.contrast(weights), strict=True))
                pair = {"measure": grid.measure, "model": model, "rival": rival, "span": span(smallest, largest)}
                rows.append(grid.on | pair | row)
    return with_holm(pd.DataFrame(rows, columns=columns("gain_differences")), SEEN_ON)


def _better(grid: Grid) -> float:
    """The sign of a change for the better."""
    return 1.0 if grid.measure == "psnr_y" else -1.0
