"""Small folders of images that tests read."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """A uint8 RGB image of noise, smoothed a little so that it is no worst case for PNG."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.blur(noise, (2, 2))


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Twelve PNG images of different sizes, 40 to 62 pixels a side."""
    root = tmp_path_factory.mktemp("images")
    for index in range(12):
        image = texture(index, 40 + index, 62 - index)
        cv2.imwrite(str(root / f"{index:02d}.png"), image[..., ::-1])
    return root


@pytest.fixture(scope="session")
def table(folder) -> pd.DataFrame:
    return pd.DataFrame(
        [(f"{index:02d}.png", 62 - index, 40 + index) for index in range(12)], columns=["path", "width", "height"]
    )
