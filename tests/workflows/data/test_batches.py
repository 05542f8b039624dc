"""Whoever makes a batch, it is the same batch."""

import numpy as np
import pytest
import torch

from tests.helpers import raises_naming
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs

TASKS = ["sr2", "dn30"]


def equal(a, b) -> bool:
    return (
        a.step == b.step
        and a.task == b.task
        and all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("hr", "image_ids", "transforms"))
    )


def test_a_batch_holds_what_the_schedule_says(folder, table):
    batches = Batches(table, folder, TASKS, 8, 4, seed=3)
    for n in range(5):
        batch, plan = batches.load(n), batches.schedule.contents(n)
        side = 24 if plan.task == "sr2" else 8
        assert batch.hr.shape == (4, 3, side, side)
        assert batch.hr.dtype == torch.uint8
        assert (batch.step, batch.task, len(batch), batch.global_size) == (n, plan.task, 4, 4)
        assert np.array_equal(batch.image_ids.numpy(), plan.images)
        assert np.array_equal(batch.transforms.numpy(), plan.transforms)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_make_the_batches_of_the_plain_loop_from_any_start(folder, table, workers):
    plain = Batches(table, folder, TASKS, 8, 5, seed=3, crops_per_image=2, buffer_images=10)
    many = Batches(table, folder, TASKS, 8, 5, seed=3, crops_per_image=2, buffer_images=10, workers=workers)
    stream = many.iterate(7)
    for n in range(7, 20):
        assert equal(next(stream), plain.load(n))
    stream.close()


def test_the_plain_loop_makes_the_same_from_any_start(folder, table):
    batches = Batches(table, folder, TASKS, 8, 4, seed=3, crops_per_image=3)
    run = batches.iterate(0)
    first = [next(run) for _ in range(12)]
    resumed = Batches(table, folder, TASKS, 8, 4, seed=3, crops_per_image=3, cache_bytes=0).iterate(5)
    for n in range(5, 12):
        assert equal(next(resumed), first[n])


def test_ranks_hold_consecutive_rows_of_the_global_batch(folder, table):
    whole = Batches(table, folder, TASKS, 8, 6, seed=3, crops_per_image=2).load(5)
    for start, stop in ((0, 2), (2, 6)):
        part = Batches(table, folder, TASKS, 8, 6, seed=3, crops_per_image=2, rows=slice(start, stop)).load(5)
        assert (part.first_row, part.global_size, part.task) == (start, 6, whole.task)
        assert torch.equal(part.hr, whole.hr[start:stop])
        assert torch.equal(part.image_ids, whole.image_ids[start:stop])


@pytest.mark.parametrize("task", ["sr2", "sr3", "dn30", "dr"])
@pytest.mark.parametrize("ranks", [2, 8])
def test_ranks_see_slices_of_one_global_batch(folder, table, task, ranks):
    def pairs(n, rows=slice(None), workers=0):
        stream = Batches(table, folder, [task], 8, 8, 3, crops_per_image=2, rows=rows, workers=workers).iterate(n)
        made = make_pairs(next(stream), 8, seed=3)
        stream.close()
        return made

    mine = 8 // ranks
    for n in (0, 5):
        parts = [pairs(n, slice(first, first + mine)) for first in range(0, 8, mine)]
        for whole, side in zip(pairs(n, workers=3), zip(*parts, strict=True), strict=True):
            # Rain is drawn by an FFT, whose library may round one image otherwise than many.
            assert (torch.cat(side) - whole).abs().max() <= (1e-6 if task == "dr" else 0)


def test_fewer_images_than_rows_still_fill_a_batch(folder, table):
    batch = Batches(table[:3], folder, ["sr2"], 8, 8, seed=0).load(0)
    assert sorted(np.bincount(batch.image_ids).tolist()) == [2, 3, 3]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"workers": -1}, ["workers"]),
        ({"rows": slice(0, 8, 2)}, ["rows", 8, "slice(0, 8, 2)"]),
        ({"rows": slice(8, 9)}, ["rows", 8, "slice(8, 9, None)"]),
        ({"batch_size": 0}, ["batch_size", 1, 0]),
    ],
)
def test_settings_out_of_range_are_refused_by_name(folder, table, change, named):
    with raises_naming(ValueError, *named):
        Batches(table, folder, **({"tasks": TASKS, "patch_size": 8, "batch_size": 8, "seed": 0} | change))


def test_an_empty_table_is_refused(folder, table):
    with raises_naming(ValueError, folder):
        Batches(table[:0], folder, TASKS, 8, 4, 0)
