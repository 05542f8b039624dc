"""Images are those that the table lists, or are refused by name."""

import cv2
import numpy as np

from tests.helpers import raises_naming
from workflows.data.batches import Batches
from workflows.data.manifest import scan


def test_a_file_that_changed_since_the_manifest_is_named(folder, table):
    changed = table.tail(4).assign(width=lambda kept: kept["width"] + (kept["path"] == "09.png"))
    with raises_naming(OSError, folder / "09.png", "53x49", "54x49"):
        Batches(changed, folder, ["sr2"], 8, 4, 0).load(0)


def test_a_file_of_equal_size_that_changed_since_the_manifest_is_named(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    cv2.imwrite(str(tmp_path / "00.png"), np.zeros((40, 62, 3), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    images = scan(tmp_path).images
    Batches(images, tmp_path, ["sr2"], 8, 12, 0).load(0)
    size = (tmp_path / "00.png").stat().st_size
    cv2.imwrite(str(tmp_path / "00.png"), np.ones((40, 62, 3), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert (tmp_path / "00.png").stat().st_size == size
    with raises_naming(OSError, tmp_path / "00.png"):
        Batches(images, tmp_path, ["sr2"], 8, 12, 0).load(0)
