"""With fixed crops an image gives the same patches for the whole training, each once per epoch, whoever cuts them."""

from collections import Counter
from hashlib import sha256
from itertools import count, islice

import cv2
import numpy as np
import pytest
import torch

from workflows.data import schedule
from workflows.data.batches import Batches
from workflows.data.image_reader import ImageReader
from workflows.data.schedule import Schedule, count_distinct, fixed_position

CROPS = 3


@pytest.fixture(scope="module")
def hashed(folder, table):
    return table.assign(sha256=[sha256((folder / path).read_bytes()).hexdigest() for path in table["path"]])


def batches(hashed, folder, tasks=("dn30",), batch_size=5, seed=0, **options):
    return Batches(hashed, folder, tasks, 8, batch_size, seed, **{"fixed_crops": CROPS, "augment": False, **options})


def patches(made: Batches, steps: int) -> list[bytes]:
    return [crop.numpy().tobytes() for n in range(steps) for crop in made.load(n).hr]


@pytest.mark.parametrize("images", [12, 3])
def test_batches_are_those_of_the_obvious_way(folder, hashed, images):
    """All crops of all images cut beforehand, and a list of them that is shuffled image by image."""
    hashed, size = hashed[:images], 5
    cut = {}
    for index, row in enumerate(hashed.itertuples()):
        image = cv2.imread(str(folder / row.path), cv2.IMREAD_COLOR_RGB)
        for k in range(CROPS):
            down, right = fixed_position(7, row.sha256, k)
            top, left = int(down * (row.height - 8 + 1)), int(right * (row.width - 8 + 1))
            cut[index, k] = image[top : top + 8, left : left + 8]

    def visits():
        for epoch in count():
            order = schedule._crop_order(4, epoch, images, CROPS)
            for visit in range(CROPS):
                for image in schedule.stream(4, schedule.PASS, epoch * CROPS + visit).permutation(images):
                    yield image, order[image, visit]

    made, expected = batches(hashed, folder, batch_size=size, seed=4, data_seed=7), visits()
    for n in range(3 * CROPS * images // size + 1):
        batch = made.load(n)
        assert batch.transforms.tolist() == [0] * size
        for crop, number, (image, k) in zip(batch.hr, batch.image_ids, islice(expected, size), strict=True):
            assert number == image
            assert np.array_equal(crop.permute(1, 2, 0), cut[image, k])


@pytest.mark.parametrize("crops_per_image", [1, 2, 3])
@pytest.mark.parametrize(("images", "batch_size"), [(12, 4), (13, 4), (5, 8), (100, 16)])
def test_each_epoch_has_each_patch_once_in_a_new_order(images, batch_size, crops_per_image):
    fixed = Schedule(1, images, batch_size, ("sr2",), crops_per_image, 3 * batch_size, fixed_crops=6)
    seen, previous = Counter(), None
    # Until a block, an epoch and a batch end together.
    for n in range(images * 6 * 3 * 2):
        contents = fixed.contents(n)
        seen.update(zip(contents.images.tolist(), contents.crops.tolist(), strict=True))
        epochs, within = divmod((n + 1) * batch_size, images * 6)
        if crops_per_image == 1 and within == 0:
            assert seen == {(image, k): epochs for image in range(images) for k in range(6)}
            order = [
                c.tolist() for m in range(n - 2, n + 1) for c in (fixed.contents(m).images, fixed.contents(m).crops)
            ]
            assert order != previous
            previous = order
    counts = np.array([seen[image, k] for image in range(images) for k in range(6)])
    assert counts.max() - counts.min() <= crops_per_image


def test_an_image_s_crops_of_one_visit_never_share_a_batch():
    fixed = Schedule(1, 40, 8, ("sr2",), 4, 16, fixed_crops=8)
    for n in range(0, 40, 8):
        block = fixed.block(n)
        assert block.first_step == n
        assert len(block.images) == 2 * 4
        for row in range(8):
            assert Counter(block.images[:, row].tolist()) == dict.fromkeys(set(block.images[:, row].tolist()), 4)


def test_places_depend_on_the_data_seed_and_the_image_alone(folder, hashed):
    whole = Counter(patches(batches(hashed, folder, batch_size=4), 9))
    assert set(whole.values()) == {1}
    other_run = batches(hashed, folder, batch_size=4, seed=5, crops_per_image=3, buffer_images=8)
    assert Counter(patches(other_run, 18)) == whole + whole  # its blocks of six batches straddle the first epoch's end
    fraction = hashed.iloc[[6, 3, 2, 1]].reset_index(drop=True)
    assert set(patches(batches(fraction, folder, batch_size=4), 3)) < set(whole)
    fewer = patches(batches(hashed, folder, batch_size=4, fixed_crops=2), 6)
    assert set(fewer) < set(whole)
    assert len(set(fewer)) == 24
    assert not set(patches(batches(hashed, folder, batch_size=4, data_seed=1), 9)) & set(whole)


def test_places_are_pinned_to_their_numbers():
    """A change here means that no earlier run can be repeated."""
    assert fixed_position(0, "ab", 3) == pytest.approx((0.4407785, 0.3363826), abs=1e-6)
    drawn = np.array([fixed_position(0, str(image), k) for image in range(500) for k in range(4)])
    assert (abs(np.quantile(drawn, [0.25, 0.5, 0.75], axis=0).T - [0.25, 0.5, 0.75]) < 0.04).all()
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.06


@pytest.mark.parametrize("crops_per_image", [1, 2])
@pytest.mark.parametrize("images", [12, 4])
def test_bits_are_the_same_however_rows_are_divided_cached_and_resumed(folder, hashed, crops_per_image, images):
    options = {"crops_per_image": crops_per_image, "buffer_images": 8, "tasks": ("sr2", "dn30"), "augment": True}
    hashed = hashed[:images]
    expected = [batches(hashed, folder, **options).load(n) for n in range(14)]
    for change in ({}, {"cache_bytes": 0}, {"cache_bytes": 12_000}, {"workers": 3, "cache_bytes": 30_000}):
        for start in (0, 5):
            stream = batches(hashed, folder, **options, **change).iterate(start)
            for batch, wanted in zip(islice(stream, 14 - start), expected[start:], strict=True):
                assert (batch.step, batch.task) == (wanted.step, wanted.task)
                assert torch.equal(batch.hr, wanted.hr)
                assert torch.equal(batch.transforms, wanted.transforms)
            stream.close()
    for rows in (slice(0, 2), slice(2, 5)):
        part = batches(hashed, folder, rows=rows, **options)
        for n in (0, 6, 13, 3):
            assert torch.equal(part.load(n).hr, expected[n].hr[rows])


@pytest.mark.parametrize("tasks", [("sr2",), ("sr2", "dn30", "dr")])
def test_an_image_is_decoded_once_and_its_crops_alone_are_kept(monkeypatch, folder, hashed, tasks):
    decoded, decode = [], ImageReader.decode
    monkeypatch.setattr(ImageReader, "decode", lambda self, index: decoded.append(index) or decode(self, index))
    bytes_per_image = CROPS * 3 * (24**2 + (8**2 if len(tasks) > 1 else 0))
    made = batches(hashed, folder, tasks, cache_bytes=12 * bytes_per_image)
    for n in range(30):
        made.load(n)
    assert sorted(decoded) == list(range(12))
    (reader,) = made._readers
    kept = [crop for crops in reader._cache.values() for crop in crops.values()]
    assert sum(crop.nbytes for crop in kept) == 12 * bytes_per_image
    assert all(crop.base is None for crop in kept)
    assert not reader._crops

    tight = batches(hashed, folder, tasks, cache_bytes=4 * bytes_per_image + 1)
    for n in range(30):
        tight.load(n)
    assert len(tight._readers[0]._cache) == 4
    assert not any(image in decoded[12 + 12 :] for image in tight._readers[0]._cache)


def test_without_augmentation_crops_stand_as_they_are_and_nothing_else_changes(folder, hashed):
    for fixed in (None, CROPS):
        plain = batches(hashed, folder, fixed_crops=fixed).load(2)
        turned = batches(hashed, folder, fixed_crops=fixed, augment=True).load(2)
        assert torch.equal(plain.hr, turned.hr)
        assert not plain.transforms.any()
        assert turned.transforms.any()


def test_distinct_patches_are_counted():
    assert count_distinct(20, None, 1000, 24, ["sr2"]) is None
    assert count_distinct(20, 8, 1600, 24, ["sr2"]) == (160, 10.0, 160 * 6912)
    assert count_distinct(20, 8, 1600, 24, ["sr2", "dn30", "dr"]) == (160, 10.0, 160 * (6912 + 1728))
