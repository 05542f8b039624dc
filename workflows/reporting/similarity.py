"""What IPT's patch features hold alike: cosine similarity of every patch to a few chosen ones, with and without the
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

from workflows.analysis.contrastive_pairs import find_pairs
from workflows.analysis.records import ReportError, labels, parse_run, percent, read_runs
from workflows.reporting.style import COLUMN, model_colors, note

MARKS = ["#ffd000", "#00e5ff", "#ff4fd8"]


@dataclass(frozen=True)
class Features:
    """A window's patch features.

    Attributes:
        image: the window as the network got it, uint8 (H, W, 3).
        features: (rows, columns, D), one a patch, before folding.
    """

    image: np.ndarray
    features: np.ndarray


def read_features(path: Path) -> Features:
    """Read an `.npz` with `image` and `features`.

    Raises:
        ReportError: naming the file and what is wrong with it.
    """
    if not path.is_file():
        raise ReportError(f"{path}: is missing")
    with np.load(path) as arrays:
        if lacking := {"image", "features"} - set(arrays):
            raise ReportError(
                f"{path}: lacks {', '.join(sorted(lacking))}; expected image (H, W, 3) and features (rows, columns, D)"
            )
        found = Features(arrays["image"], arrays["features"].astype("float64"))
    if found.image.ndim != 3 or found.features.ndim != 3:
        raise ReportError(
            f"{path}: image is {found.image.shape} and features are {found.features.shape}; expected three axes each"
        )
    return found


def similarity(features: np.ndarray, anchor: tuple[int, int]) -> np.ndarray:
    """Cosine similarity of every patch to the one at `anchor` (row, column): (rows, columns) in [-1, 1]."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1)
    return unit @ unit[anchor]


def pick_anchors(image: np.ndarray, rows: int, columns: int) -> list[tuple[int, int]]:
    """Three patches: the plainest, one of middling contrast and the richest, by the standard deviation of their pixels.

    The choice looks at the image alone, never at features. The outermost patches are left out.
    """
    height, width = image.shape[0] // rows, image.shape[1] // columns
    gray = image[: rows * height, : columns * width].mean(axis=2)
    # A patch is a few pixels: its neighbourhood of three by three patches says more about what it shows.
    spread = np.full((rows, columns), np.nan)
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            spread[row, column] = gray[
                (row - 1) * height : (row + 2) * height, (column - 1) * width : (column + 2) * width
            ].std()
    order = np.argsort(spread, axis=None)[: np.isfinite(spread).sum()]
    return [tuple(map(int, np.unravel_index(order[k], spread.shape))) for k in (0, len(order) // 2, len(order) - 1)]


def default_runs(runs: pd.DataFrame) -> list[str]:
    """A model without and one with the contrastive loss, its twin, at the largest fraction and its first seed.

    Raises:
        ReportError: there are no twins.
    """
    found = find_pairs(runs)
    if not found:
        raise ReportError("no model is trained both with and without the contrastive loss: name the runs")
    largest = runs[runs["fraction"] == runs["fraction"].max()]
    return [largest.loc[largest["model"] == model, "run"].iloc[0] for model in (found[0].without, found[0].with_)]


def draw(
    experiment_dir: Path, task: str, dataset: str, image: str, names: Sequence[str] | None = None
) -> tuple[Figure, pd.DataFrame]:
    """The maps of some runs, a row each, and what they show as a table.

    Args:
        experiment_dir: folder with `runs.csv` and `runs/<run>/features/<task>/<dataset>/<image>.npz` (see `read_features`).
        task, dataset, image: whose features.
        names: runs; None takes a pair of twins.
    """
    runs = read_runs(experiment_dir / "runs.csv")
    names = list(names) if names else default_runs(runs)
    found = {
        name: read_features(experiment_dir / "runs" / name / "features" / task / dataset / f"{image}.npz")
        for name in names
    }
    first = found[names[0]]
    grid = first.features.shape[:2]
    if any(
        other.features.shape[:2] != grid or not np.array_equal(other.image, first.image) for other in found.values()
    ):
        raise ReportError(f"{image}: the runs' features are not of the same window")
    anchors = pick_anchors(first.image, *grid)
    maps = {name: [similarity(one.features, anchor) for anchor in anchors] for name, one in found.items()}
    # One scale for all, so that maps can be compared; the anchor's own 1 would hide the rest.
    lowest = min(one.min() for of_run in maps.values() for one in of_run)

    across = 1 + len(anchors)
    figure, axes = plt.subplots(len(names), across, figsize=(COLUMN, 1.02 * len(names) + 0.55), squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    colors, display = model_colors(runs), labels(runs)
    height, width = first.image.shape[0] / grid[0], first.image.shape[1] / grid[1]
    for row, name in zip(axes, names, strict=True):
        model = parse_run(name).model
        row[0].imshow(first.image, interpolation="none")
        row[0].set_ylabel(display[model], fontsize=6.5, color=colors[model])
        for ax, anchor, one, mark in zip(row[1:], anchors, maps[name], MARKS, strict=True):
            _frame(row[0], anchor, height, width, mark)
            shown = ax.imshow(one, vmin=lowest, vmax=1, cmap="viridis", interpolation="none")
            _frame(ax, anchor, 1, 1, mark)
        for ax in row:
            ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], ("input", "plainest", "middling", "richest"), strict=True):
        ax.set_title(title, fontsize=7)
    bar = figure.colorbar(shown, ax=axes, location="bottom", shrink=0.6, aspect=40, pad=0.02)
    bar.set_label("cosine similarity to the framed patch", fontsize=7)
    run = parse_run(names[0])
    note(figure, f"{image} ({dataset}, {task}); trained on {percent(run.fraction)}, seed {run.seed}.")
    table = [
        {
            "run": name,
            "anchor_row": anchor[0],
            "anchor_column": anchor[1],
            "row": i,
            "column": j,
            "similarity": one[i, j],
        }
        for name in names
        for anchor, one in zip(anchors, maps[name], strict=True)
        for i, j in np.ndindex(*grid)
    ]
    return figure, pd.DataFrame(table)


def _frame(ax: Axes, anchor: tuple[int, int], height: float, width: float, color: str) -> None:
    """A frame around a patch, outlined so that it is seen on any colour."""
    corner = (anchor[1] * width - 0.5, anchor[0] * height - 0.5)
    for edge, line in (("black", 2.2), (color, 1.1)):
        ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=edge, linewidth=line))
