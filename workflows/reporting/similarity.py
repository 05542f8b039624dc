"""Similarity of IPT's patch features: cosine similarity of every patch to a few reference patches, with and without the
contrastive loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workflows.analysis.records import ReportError, parse_run, percent
from workflows.reporting.study import Study
from workflows.reporting.style import column, model_colors, note, small, title

# The chosen patches, from the plainest to the richest surroundings, and the colours of their frames.
ANCHORS = {"low contrast": "#ffd000", "medium": "#00e5ff", "high contrast": "#ff4fd8"}


@dataclass(frozen=True)
class Features:
    """A window's patch features.

    Attributes:
        image: the network's input, uint8 (H, W, 3).
        features: (rows, columns, D), one per patch, before folding.
    """

    image: np.ndarray
    features: np.ndarray


def read_features(path: Path) -> Features:
    """Read an `.npz` with `image` and `features`.

    Raises:
        ReportError: naming the file and the problem.
    """
    if not path.is_file():
        raise ReportError(f"{path}: is missing")
    with np.load(path) as arrays:
        if lacking := {"image", "features"} - set(arrays):
            raise ReportError(
                f"{path}: lacks {', '.join(sorted(lacking))}; expected image (H, W, 3) and features (rows, columns, D)"
            )
        features = Features(arrays["image"], arrays["features"].astype("float64"))
    if features.image.ndim != 3 or features.features.ndim != 3:
        raise ReportError(
            f"{path}: image is {features.image.shape} and features are {features.features.shape}; expected three axes each"
        )
    return features


def similarity(features: np.ndarray, anchor: tuple[int, int]) -> np.ndarray:
    """Cosine similarity of every patch to the one at `anchor` (row, column): (rows, columns) in [-1, 1]."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1)
    return unit @ unit[anchor]


def pick_anchors(image: np.ndarray, rows: int, columns: int) -> list[tuple[int, int]]:
    """Three patches of low, medium and high contrast, by the standard deviation of the pixels in and around them.

    The choice depends only on the image, not on features. The outermost patches are left out.
    """
    height, width = image.shape[0] // rows, image.shape[1] // columns
    gray = image[: rows * height, : columns * width].mean(axis=2)
    # A patch is a few pixels; its neighbourhood of three by three patches describes its content better.
    spread = np.full((rows, columns), np.nan)
    for i in range(1, rows - 1):
        for j in range(1, columns - 1):
            spread[i, j] = gray[(i - 1) * height : (i + 2) * height, (j - 1) * width : (j + 2) * width].std()
    order = np.argsort(spread, axis=None)[: np.isfinite(spread).sum()]
    return [tuple(map(int, np.unravel_index(order[k], spread.shape))) for k in (0, len(order) // 2, len(order) - 1)]


def draw(
    study: Study, task: str, dataset: str, image: str, names: Sequence[str], with_whole: bool = True
) -> tuple[Figure, pd.DataFrame]:
    """The maps of some runs, one row each, and their data as a table.

    Args:
        study: its folder has `runs/<run>/features/<task>/<dataset>/<image>.npz` (see `read_features`).
        task, dataset, image: the image of the features.
        names: runs.
        with_whole: show the image next to its maps; otherwise the figure shows nothing of the image.
    """
    files = {
        name: read_features(study.folder / "runs" / name / "features" / task / dataset / f"{image}.npz")
        for name in names
    }
    first = files[names[0]]
    grid = first.features.shape[:2]
    if any(
        other.features.shape[:2] != grid or not np.array_equal(other.image, first.image) for other in files.values()
    ):
        raise ReportError(f"{image}: the runs' features are not of the same window")
    anchors = pick_anchors(first.image, *grid)
    rows = [
        {
            "run": name,
            "anchor_row": anchor[0],
            "anchor_column": anchor[1],
            "row": i,
            "column": j,
            "similarity": value,
        }
        for name, file in files.items()
        for anchor in anchors
        for (i, j), value in np.ndenumerate(similarity(file.features, anchor))
    ]
    data = pd.DataFrame(rows)
    return plot(data, study, f"{image} ({dataset}, {task})", first.image if with_whole else None), data


def plot(data: pd.DataFrame, study: Study, of: str, image: np.ndarray | None = None) -> Figure:
    """The figure of what `draw` returns as a table.

    Args:
        data: similarities to each anchor by run.
        study: for the models' names and colours.
        of: the image's name.
        image: shown next to its maps.
    """
    names = list(dict.fromkeys(data["run"]))
    anchors = list(dict.fromkeys(zip(data["anchor_row"], data["anchor_column"], strict=True)))
    grid = (data["row"].max() + 1, data["column"].max() + 1)
    first = int(image is not None)
    across = first + len(anchors)
    side = column() / (3.4 if first == 0 else 4)
    size = (column(), side * grid[0] / grid[1] * len(names) + 0.75)
    figure, axes = plt.subplots(len(names), across, figsize=size, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)  # ty: ignore[unknown-argument]
    colors = model_colors(study.runs)
    # One scale for all maps, so that they can be compared.
    lowest = data["similarity"].min()
    for row, name in zip(axes, names, strict=True):
        model = parse_run(name).model
        row[0].set_ylabel(study.labels[model], fontsize=small(), color=colors[model])
        if image is not None:
            row[0].imshow(image, interpolation="none")
        for ax, anchor, color in zip(row[first:], anchors, ANCHORS.values(), strict=True):
            chosen = (data["run"] == name) & (data["anchor_row"] == anchor[0]) & (data["anchor_column"] == anchor[1])
            values = data.loc[chosen, "similarity"].to_numpy().reshape(grid)
            shown = ax.imshow(values, vmin=lowest, vmax=1, cmap="viridis", interpolation="none")
            _frame(ax, anchor, 1, 1, color)
            if image is not None:
                _frame(row[0], anchor, image.shape[0] / grid[0], image.shape[1] / grid[1], color)
        for ax in row:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, text in zip(axes[0], [*["input"] * first, *ANCHORS], strict=True):
        title(ax, text)
    bar = figure.colorbar(shown, ax=axes, location="bottom", shrink=0.6, aspect=40, pad=0.02)
    bar.set_label("cosine similarity to the framed patch")
    run = parse_run(names[0])
    note(figure, [f"{of}; trained on {percent(run.fraction)}, seed {run.seed}."])
    return figure


def _frame(ax: Axes, anchor: tuple[int, int], height: float, width: float, color: str) -> None:
    """A frame around a patch, with an outline that is visible on any colour."""
    corner = (anchor[1] * width - 0.5, anchor[0] * height - 0.5)
    for edge, line in (("black", 2.2), (color, 1.1)):
        ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=edge, linewidth=line))
