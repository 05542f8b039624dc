"""Cosine similarity of every patch of an image to a few reference patches, by IPT's features."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from workflows.analysis.records import SIMILARITY_COLUMNS, ReportError
from workflows.readers import read_arrays

ANCHORS = 3  # reference patches per image


def read_features(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A window as the network's input, uint8 (H, W, 3), and its features before folding, (rows, columns, D), one per patch.

    Args:
        path: an `.npz` with `image` and `features`.

    Raises:
        InputError: naming the file and the problem.
    """
    if not path.is_file():
        raise ReportError(f"{path}: is missing")
    image, features = read_arrays(path, ("image", "features")).values()
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ReportError(f"{path}: image is {image.dtype} {image.shape}; expected uint8 (H, W, 3)")
    if features.ndim != 3 or not features.size or features.dtype.kind != "f":
        raise ReportError(
            f"{path}: features are {features.dtype} {features.shape}; expected floats (rows, columns, D), none of them 0"
        )
    rows, columns = features.shape[:2]
    if (rows - 2) * (columns - 2) < ANCHORS or rows < 3:
        raise ReportError(
            f"{path}: features are of {rows} x {columns} patches; {ANCHORS} different ones are picked away from the border, "
            "so at least 3 x 5 or 4 x 4 are needed"
        )
    if rows > image.shape[0] or columns > image.shape[1]:
        raise ReportError(f"{path}: features are of {rows} x {columns} patches, but image has {image.shape[:2]} pixels")
    if broken := int((~np.isfinite(features)).sum()):
        raise ReportError(f"{path}: features: {broken} of {features.size} values are not finite")
    return image, features.astype("float64")


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


def similarities(files: Mapping[str, Path]) -> pd.DataFrame:
    """The similarities of every run's features of one window; the anchors are the same for all runs.

    Args:
        files: each run's `.npz` of the same image (see `read_features`).

    Returns:
        `SIMILARITY_COLUMNS`; rows and columns count patches.
    """
    by_run = {run: read_features(path) for run, path in files.items()}
    (image, features), *_ = by_run.values()
    grid = features.shape[:2]
    if any(other.shape[:2] != grid or not np.array_equal(pixels, image) for pixels, other in by_run.values()):
        raise ReportError(f"{', '.join(map(str, files.values()))}: the runs' features are not of the same window")
    anchors = pick_anchors(image, *grid)
    rows = [
        (run, *anchor, *patch, value)
        for run, (_, features) in by_run.items()
        for anchor in anchors
        for patch, value in np.ndenumerate(similarity(features, anchor))
    ]
    return pd.DataFrame(rows, columns=SIMILARITY_COLUMNS)
