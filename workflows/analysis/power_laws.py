"""A saturating power law of PSNR in the number of images, if the points support one."""

from collections.abc import Sequence

import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.records import CENTRE, SCORED_ON, data_size, models
from workflows.analysis.statistics import power_law

COLUMNS = ["limit", "limit_low", "limit_high", "loss", "exponent", "exponent_low", "exponent_high", "r2", "points"]


def power_laws(grids: Sequence[Grid], runs: pd.DataFrame) -> pd.DataFrame:
    """A power law for each model, or the reason why there is none; columns in `tables.py`."""
    _, sizes = data_size(runs)
    rows = []
    for on, scores, _ in grids:
        if on["windows"] != CENTRE:
            continue
        for model in (model for model in models(runs) if model in set(scores["model"])):
            points = scores[scores["model"] == model]
            fit = power_law(points["fraction"].map(sizes), points["value"])
            row = {"limit": fit.limit, "loss": fit.loss, "exponent": fit.exponent, "r2": fit.r2}
            row |= dict(zip(("limit_low", "limit_high"), fit.limit_interval, strict=True))
            row |= dict(zip(("exponent_low", "exponent_high"), fit.exponent_interval, strict=True))
            rows.append(on | {"model": model} | row | {"points": len(points), "refused": fit.refused})
    return pd.DataFrame(rows, columns=[*SCORED_ON, "model", *COLUMNS, "refused"])
