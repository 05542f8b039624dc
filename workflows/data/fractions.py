"""Nested, class-balanced fractions of the training images: exact counts, the same on every machine.

All images are put in one order, and a fraction is its beginning, so a smaller fraction is part of every larger one. Within
its class an image has a rank, by a hash of its path. The order is by (rank + u) / size of the class, where u in [0, 1) is a
hash of the class. A fraction f of the order therefore holds f * n images of a class of n, to within one image, and the
classes' names do not decide which are rounded up.
"""

from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256

import numpy as np
import pandas as pd


def split_validation(manifest: pd.DataFrame, count: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set validation images apart, balanced over the classes like the fractions.

    Args:
        manifest: all images; columns path and class.
        count: of validation images, at least 0.
        seed: of the choice; one per experiment.

    Returns:
        (training images, validation images), both in the manifest's order.

    Raises:
        ValueError: if no training image would be left.
    """
    if not 0 <= count < len(manifest):
        raise ValueError(f"cannot take {count} validation images from {len(manifest)}: none would be left to train on")
    chosen = np.zeros(len(manifest), bool)
    chosen[_order(manifest, f"validation {seed}")[:count]] = True
    return manifest[~chosen].reset_index(drop=True), manifest[chosen].reset_index(drop=True)


def select(train: pd.DataFrame, fraction: float, seed: int) -> pd.DataFrame:
    """Choose a fraction of the training images.

    Args:
        train: all training images; columns path and class. Their order does not matter.
        fraction: in (0, 1].
        seed: of the run; each seed chooses other images.

    Returns:
        The first fraction * len(train) images of the seed's order (rounded half up, at least 1), in that order.

    Raises:
        ValueError: if the fraction is not in (0, 1], or there are no images.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], not {fraction}")
    if not len(train):
        raise ValueError("there are no training images to choose from")
    return train.iloc[_order(train, str(seed))[: count_of(fraction, len(train))]].reset_index(drop=True)


def count_of(fraction: float, images: int) -> int:
    """How many images a fraction of `images` training images is: rounded half up, at least 1."""
    # In decimals: 57 % of 50 is 28.5, which binary floating point rounds to 28.499…
    return max(1, int((Decimal(str(fraction)) * images).quantize(Decimal(1), ROUND_HALF_UP)))


def _order(table: pd.DataFrame, key: str) -> np.ndarray:
    """Positions of the rows of `table` in the order from which fractions are cut."""
    paths = table["path"].to_numpy(dtype=object)
    # Rows are numbered by path, which also breaks ties between hashes, so the table's order does not matter.
    by_path = np.arange(len(paths)) if (paths[1:] > paths[:-1]).all() else np.argsort(paths, kind="stable")
    codes, classes = pd.factorize(table["class"].to_numpy(dtype=object)[by_path])
    order = np.lexsort((_hashes(paths[by_path], f"{key}:image"), codes))
    sizes = np.bincount(codes)
    rank = np.arange(len(paths)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    offset = _hashes(classes, f"{key}:class") / 2.0**64
    position = (rank + np.repeat(offset, sizes)) / np.repeat(sizes, sizes)
    return by_path[order[np.lexsort((order, position))]]


def _hashes(names: np.ndarray, key: str) -> np.ndarray:
    """The first 64 bits of sha256("key:name") for each name, as uint64."""
    start = sha256(f"{key}:".encode())
    digests = bytearray()
    for name in names:
        digest = start.copy()
        digest.update(name.encode())
        digests += digest.digest()[:8]
    return np.frombuffer(bytes(digests), ">u8").astype(np.uint64)
