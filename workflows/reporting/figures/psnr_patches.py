"""PSNR against the number of distinct training patches, if each image has a fixed number of crops."""

import pandas as pd
from matplotlib.figure import Figure

from workflows.reporting.figures.curves import draw_panels, points, remarks
from workflows.reporting.study import Study
from workflows.reporting.style import empty, note, thousands


def draw(study: Study) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points: mean PSNR-Y and its interval by `distinct_patches`."""
    data = points(study)
    data = data[data["fraction"].isna() | (data["distinct_patches"] > 0)]
    if data["distinct_patches"].isna().all():
        return empty("No run was trained on a fixed set of patches."), data
    figure, _ = draw_panels(data, study, "distinct_patches", "distinct training patches", thousands)
    note(figure, remarks(data, study))
    return figure, data
