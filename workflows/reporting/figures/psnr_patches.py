"""PSNR against the number of distinct training patches, if each image has a fixed number of crops."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from workflows.reporting.figures.curves import draw_panels, points, remarks
from workflows.reporting.study import Study
from workflows.reporting.style import empty, lowest, note, spaced, thousands


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points: mean PSNR-Y and its interval by `distinct_patches`."""
    data = points(study)
    data = data[data["fraction"].isna() | (data["distinct_patches"] > 0)]
    if data["distinct_patches"].isna().all():
        return empty("No run was trained on a fixed set of patches."), data
    counts = np.sort(data["distinct_patches"].dropna().unique())
    span = np.log(counts[-1] / counts[0]) or 1

    def places(line: pd.DataFrame, number: int, of: int) -> np.ndarray:
        return line["distinct_patches"].to_numpy() * np.exp(0.012 * span * (number - (of - 1) / 2))

    figure, axes = draw_panels(data, study, places)
    named = lowest(axes.values())
    across = len(named)
    for ax in axes.values():
        ax.set_xscale("log")
        room = 0.1 * span * (1 if across == 1 else 0.75 * across)
        names = [thousands(n) if shown else "" for n, shown in zip(counts, spaced(np.log(counts), room), strict=True)]
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(counts, names)
        if ax in named:
            ax.set_xlabel("distinct training patches")
    note(figure, remarks(data, study))
    return figure, data
