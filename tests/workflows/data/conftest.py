"""Small folders of images that tests read."""

from pathlib import Path

import cv2
import pandas as pd
import pytest

from tests.helpers import texture


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
