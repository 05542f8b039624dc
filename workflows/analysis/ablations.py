"""Effects of single factors: scores of models that differ in exactly one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from workflows.analysis.cells import Grid
from workflows.analysis.differences import compare, paired_models
from workflows.analysis.means import common_images
from workflows.analysis.records import CENTRE, PLAIN, SCORED_ON, settings
from workflows.analysis.statistics import t_interval, with_holm
from workflows.analysis.tables import columns
from workflows.factors import groups


def effects(grids: Sequence[Grid], results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y of every member minus its group's baseline in dB, at the largest fraction that both have; columns in `tables.py`.

    With one seed of either, the interval is over images. The baseline's own rows have effect 0 and no interval.
    """
    paired = paired_models(runs)
    images = common_images(results[results["setting"] == PLAIN])
    rows = []
    for group in groups(settings(runs)):
        baseline = next(iter(group.members))
        for grid in (grid for grid in grids if grid.on["windows"] == CENTRE and baseline in grid.cells):
            on = {column: grid.on[column] for column in SCORED_ON}
            for model, value in group.members.items():
                row = on | {"factor": group.factor, "value": _text(value), "model": model, "baseline": baseline}
                if model == baseline:
                    rows.append(row | {"effect": 0.0})
                elif common := grid.cells.fractions(model, baseline):
                    effect = compare(grid, model, baseline, common[-1], paired)
                    effect |= {"effect": effect.pop("difference"), "over": "seeds", "count": effect.pop("seeds")}
                    if effect["count"] == 1:
                        effect |= _over_images(images, {**on, "fraction": common[-1]}, model, baseline)
                    rows.append(row | {"fraction": common[-1]} | effect)
    return with_holm(pd.DataFrame(rows, columns=columns("ablations")), SCORED_ON)


def _over_images(images: pd.DataFrame, on: dict[str, Any], model: str, baseline: str) -> dict[str, Any]:
    """The interval over images of the two models' mean difference."""
    at = images[np.logical_and.reduce([images[column] == value for column, value in on.items()])]
    by_image = at.pivot_table(index="image", columns="model", values="psnr_y")  # means over seeds
    interval = t_interval(by_image[model] - by_image[baseline])
    return {"low": interval.low, "high": interval.high, "over": "images", "count": interval.count}


def _text(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)
