"""Damage that a decoder takes without a word is found, and what only looks like damage passes."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.helpers import ROOT, texture
from workflows.data.manifest import scan


def photo(side: int = 160) -> np.ndarray:
    return cv2.resize(texture(0, side // 4, side // 4), (side, side), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("optimised", [0, 1])
@pytest.mark.parametrize("length", [64, 512, 2000])
def test_a_jpeg_with_zeros_in_its_middle_is_rejected_wherever_they_are(tmp_path, length, optimised):
    options = [cv2.IMWRITE_JPEG_OPTIMIZE, optimised, cv2.IMWRITE_JPEG_QUALITY, 95]
    whole = cv2.imencode(".jpg", photo(), options)[1].tobytes()
    (tmp_path / "whole.jpg").write_bytes(whole)
    for number, start in enumerate(range(1000, len(whole) - length, 1500)):
        (tmp_path / f"{number}.jpg").write_bytes(whole[:start] + bytes(length) + whole[start + length :])
    found = scan(tmp_path, max_undecodable=1)
    assert found.images["path"].tolist() == ["whole.jpg"]
    assert len(found.rejected) >= 5


def test_a_jpeg_that_a_second_image_follows_is_read(tmp_path):
    """As phones append a depth map or a preview, with padding between the two."""
    first, second = (cv2.imencode(".jpg", photo(side))[1].tobytes() for side in (160, 40))
    (tmp_path / "two.jpg").write_bytes(first + bytes(200) + second)
    assert scan(tmp_path).images["path"].tolist() == ["two.jpg"]


def test_flat_images_are_no_damaged_ones(tmp_path):
    flat = np.full((600, 600, 3), 255, np.uint8)
    flat[:40] = photo(600)[:40]
    for optimised in (0, 1):
        for progressive in (0, 1):
            options = [cv2.IMWRITE_JPEG_OPTIMIZE, optimised, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
            options += [cv2.IMWRITE_JPEG_QUALITY, 95 + optimised]
            cv2.imwrite(str(tmp_path / f"{optimised}{progressive}.jpg"), flat, options)
    assert len(scan(tmp_path).images) == 4
    assert any(bytes(64) in path.read_bytes() for path in tmp_path.iterdir()), "or this test shows nothing"


def test_images_under_eight_pixels_are_too_small_and_not_corrupt(tmp_path):
    for side in (1, 5, 7, 20):
        for suffix in ("png", "jpg"):
            cv2.imwrite(str(tmp_path / f"{side}.{suffix}"), texture(side, side, side))
    found = scan(tmp_path, min_side=20)
    assert found.images["path"].tolist() == ["20.jpg", "20.png"]
    assert found.rejected["reason"].str.startswith("too small").all()


@pytest.mark.parametrize("module", ["inspection", "workers", "batches", "dead_leaves"])
def test_opencv_starts_no_threads_in_processes_that_may_fork(module):
    """A process that is forked beside such threads may wait for ever for their locks."""
    code = f"import cv2; cv2.setNumThreads(4); import workflows.data.{module}; print(cv2.getNumThreads())"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split() == ["1"]
