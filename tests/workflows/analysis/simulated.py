"""Simulated experiments of which the truth is known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from workflows.analysis.cells import Cells, Grid
from workflows.config.schema import FINETUNED

FRACTIONS = [0.2, 0.4, 0.6, 0.8, 1.0]


def grid(
    rng: np.random.Generator,
    slopes: Mapping[str, float],
    seeds: Mapping[str, Mapping[float, int]] | int = 3,
    spread: float | Mapping[float, float] = 0.1,
    levels: Mapping[str, float] | None = None,
    fractions: list[float] = FRACTIONS,
) -> pd.DataFrame:
    """Scores of models: columns model, fraction, seed, value.

    Args:
        slopes: each model's true gain in dB per decade of data.
        seeds: of every cell, or by model and fraction.
        spread: standard deviation over seeds, or by fraction.
        levels: true scores at all data; 33 dB where nothing is said.
    """
    rows = []
    for model, slope in slopes.items():
        for fraction in fractions:
            count = seeds if isinstance(seeds, int) else seeds[model][fraction]
            sigma = spread if isinstance(spread, float) else spread[fraction]
            truth = (levels or {}).get(model, 33.0) + slope * np.log10(fraction)
            rows += [(model, fraction, seed, truth + rng.normal(0, sigma)) for seed in range(count)]
    return pd.DataFrame(rows, columns=["model", "fraction", "seed", "value"])


def runs(slopes: Mapping[str, float], images: int = 300) -> pd.DataFrame:
    """A runs.csv that these models could have; `ipt` is an IPT, and `ipt-ft` the same, fine-tuned."""
    rows = [
        {"run": f"{model}-{100 * fraction:g}", "model": model, "variant": model.removesuffix(FINETUNED)}
        | {"fraction": fraction, "images": round(images * fraction)}
        | {"pretrained": model.removesuffix(FINETUNED) if model.endswith(FINETUNED) else None}
        for model in slopes
        for fraction in FRACTIONS
    ]
    return pd.DataFrame(rows)


def grids(slopes, windows=("centre", "averaged"), seed=0, **options) -> list[Grid]:
    """The same truth seen by both ways of cutting windows."""
    rng = np.random.default_rng(seed)
    made = []
    for way in windows:
        scores = grid(rng, slopes, **options)
        made.append(Grid({"task": "sr2", "dataset": "B100", "windows": way}, scores, Cells(scores)))
    return made


def crossing_at(crossing: float, spread: float, **options) -> tuple[list[Grid], dict[str, float]]:
    slopes = {"ipt": 0.8, "edsr": 0.3}
    levels = {"edsr": 33.0 + 0.5 * np.log10(crossing)}
    return grids(slopes, spread=spread, levels=levels, **options), slopes
