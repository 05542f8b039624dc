"""A crop carries exactly the pixels its low-resolution patch depends on, and each image is decoded once per block."""

import numpy as np
import pytest
import torch

from ipt_models.tasks import parse_task
from tests.helpers import raises_naming, texture
from workflows.data.batches import Batches
from workflows.data.crops import REACH, cut
from workflows.data.degradations import bicubic_resize
from workflows.data.image_reader import ImageReader

POSITIONS = [0.0, 0.02, 0.5, 0.95, 0.999999]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("down", POSITIONS)
@pytest.mark.parametrize("right", POSITIONS)
def test_low_resolution_patch_equals_the_cut_from_the_whole_reduced_image(scale, down, right):
    patch, height, width = 9, 22 * scale + scale - 1, 27 * scale + 1
    image = texture(scale, height, width)
    whole = torch.from_numpy(image[: 22 * scale, : 27 * scale]).permute(2, 0, 1)
    low = bicubic_resize(whole, 1 / scale)

    crop = cut(image, parse_task(f"sr{scale}"), patch, np.array([down, right]))
    crop = torch.from_numpy(crop.copy()).permute(2, 0, 1)
    reduced = bicubic_resize(crop, 1 / scale)[:, REACH:-REACH, REACH:-REACH]

    top, left = int(down * (22 - patch + 1)), int(right * (27 - patch + 1))
    assert torch.equal(reduced, low[:, top : top + patch, left : left + patch])
    margin = REACH * scale
    target = whole[:, top * scale : (top + patch) * scale, left * scale : (left + patch) * scale]
    assert torch.equal(crop[:, margin:-margin, margin:-margin], target)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_narrower_margin_would_not_do(scale):
    image = texture(0, 40 * scale, 40 * scale)
    low = bicubic_resize(torch.from_numpy(image).permute(2, 0, 1), 1 / scale)
    crop = cut(image, parse_task(f"sr{scale}"), 8, np.array([0.5, 0.5]))
    narrower = torch.from_numpy(crop[scale:-scale, scale:-scale].copy()).permute(2, 0, 1)
    reduced = bicubic_resize(narrower, 1 / scale)[:, 1:-1, 1:-1]
    assert not torch.equal(reduced, low[:, 16:24, 16:24])


def test_without_scale_there_is_no_margin():
    image = texture(0, 30, 40)
    crop = cut(image, parse_task("dn30"), 12, np.array([0.0, 0.999999]))
    assert np.array_equal(crop, image[:12, -12:])


def test_an_image_as_large_as_the_crop_has_one_position():
    image = texture(0, 24, 24)
    crops = [cut(image, parse_task("sr2"), 12, np.array([u, u])) for u in (0.0, 0.99)]
    assert np.array_equal(*crops)
    assert np.array_equal(crops[0], np.pad(image, ((4, 4), (4, 4), (0, 0)), "symmetric"))


@pytest.mark.parametrize("cache_bytes", [0, 20_000, 1 << 20])
def test_each_image_is_decoded_once_a_block(monkeypatch, folder, table, cache_bytes):
    decoded = []
    decode = ImageReader.decode
    monkeypatch.setattr(ImageReader, "decode", lambda self, index: decoded.append(index) or decode(self, index))
    batches = Batches(table, folder, ["sr2", "dn30"], 8, 4, 0, crops_per_image=3, cache_bytes=cache_bytes)
    for n in range(9):
        batches.load(n)
    assert sorted(decoded) == list(range(12))
    for n in range(9, 18):
        batches.load(n)
    repeated = decoded[12:]
    assert len(repeated) == len(set(repeated))
    assert len(repeated) == {0: 12, 1 << 20: 0}.get(cache_bytes, len(repeated))
    assert len(repeated) < 12 or cache_bytes == 0  # whatever fits is kept


def test_decoding_is_spread_over_the_steps_of_a_block(monkeypatch, folder, table):
    decoded = []
    decode = ImageReader.decode
    monkeypatch.setattr(ImageReader, "decode", lambda self, index: decoded.append(index) or decode(self, index))
    batches = Batches(table, folder, ["sr2"], 8, 4, 0, crops_per_image=3, buffer_images=12, cache_bytes=0)
    stream, counts = batches.iterate(), []
    for _ in range(30):
        next(stream)
        counts.append(len(decoded))
    assert max(np.diff(counts[9:])) <= 2  # 12 images over 9 steps


@pytest.mark.parametrize("crops_per_image", [1, 3])
def test_what_is_kept_ahead_stays_within_the_stated_bytes(folder, table, crops_per_image):
    batches = Batches(table, folder, ["sr3", "dn30"], 8, 4, 0, crops_per_image, buffer_images=8, cache_bytes=0)
    reader = batches._readers[0]
    for n in [*range(20), 3, 500, 501, 2]:
        reader.load(n)
        reader.prepare(n)
        kept = sum(crop.nbytes for crop in reader._crops.values())
        assert all(crop.base is None for crop in reader._crops.values())
        assert kept <= reader.crop_bytes


def test_too_small_an_image_is_named_with_the_size_it_needs(folder, table):
    with raises_naming(ValueError, 4, 12, folder / "00.png", "62x40", "sr4", 11, "--min-side 44"):
        Batches(table, folder, ["sr2", "sr4"], 11, 4, 0)
    Batches(table, folder, ["sr2", "sr4"], 10, 4, 0)
