"""How quality and held-out loss change with the amount of data, from all fractions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflows.analysis.cells import Grid, held_out
from workflows.analysis.records import SEEN_ON, data_size, span, with_windows
from workflows.analysis.statistics import with_holm
from workflows.analysis.tables import columns


def data_slopes(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """Least-squares slope per decade of data through each model's means at its fractions; columns in `tables.py`.

    The uncertainty is that of the means, over seeds. It does not assume a straight line: for a saturating curve it is the
    slope of the best-fitting line.
    """
    counted, sizes = data_size(runs)
    rows = []
    for grid in [*grids, *held_out(runs)]:
        on, cells = grid.on, grid.cells
        for model in (model for model in with_windows(runs, on["windows"]) if model in cells):
            fractions = [fraction for fraction in cells.fractions(model) if fraction in sizes.index]
            if len(fractions) < 2:
                continue
            decades = np.log10(sizes[fractions].to_numpy())
            centred = decades - decades.mean()
            weights = centred / (centred**2).sum()
            slope = cells.contrast({(model, f): float(w) for f, w in zip(fractions, weights, strict=True)})
            reach = decades[-1] - decades[0]
            row = on | {"measure": grid.measure, "model": model, "span": span(fractions[0], fractions[-1])}
            row |= {"counted": counted, "fractions": len(fractions), "decades": reach}
            row |= dict(zip(("slope", "slope_low", "slope_high", "p", "seeds"), slope, strict=True))
            row |= {"gain": slope.estimate * reach, "low": slope.low * reach, "high": slope.high * reach}
            rows.append(row | {"mean": float(np.mean([cells.mean[model, fraction] for fraction in fractions]))})
    return with_holm(pd.DataFrame(rows, columns=columns("slopes")), [*SEEN_ON, "measure"])
