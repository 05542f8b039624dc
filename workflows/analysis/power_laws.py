"""A saturating power law of PSNR in the number of images, if the points support one."""

from collections.abc import Sequence

import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.records import CENTRE, SCORED_ON, data_size, models
from workflows.analysis.statistics import PowerLaw, power_law


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
            rows.append(on | {"model": model, **fit._asdict(), "points": len(points)})
    return pd.DataFrame(rows, columns=[*SCORED_ON, "model", *PowerLaw._fields[:-1], "points", "refused"])
