"""Training batches: uint8 crops in the order of the schedule, cut by this process or by worker processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ipt_models.tasks import parse_task
from workflows.config.runs import Run
from workflows.data.crops import CropReader, crop_shape
from workflows.data.image_reader import ImageReader
from workflows.data.schedule import Schedule
from workflows.data.workers import WorkerPool


@dataclass(frozen=True)
class Batch:
    """Some or all rows of one global batch.

    Attributes:
        step: number of the global batch.
        task: the task that its crops train.
        hr: uint8 (B, 3, h, w), high-resolution crops with the margin that the bicubic kernel reaches into (see `crops.cut`).
        image_ids: int64 (B,), index of each crop's image in the table of training images.
        transforms: int64 (B,) in 0..7, the flip or rotation of each crop, not yet applied; all 0 without augmentation.
        first_row: index of the first row in the global batch.
        global_size: number of rows of the global batch.
        paired: the crops hold inputs and targets, see `crops.cut_pair`.
    """

    step: int
    task: str
    hr: torch.Tensor
    image_ids: torch.Tensor
    transforms: torch.Tensor
    first_row: int
    global_size: int
    paired: bool = False

    def __len__(self) -> int:
        return len(self.hr)


class Batches:
    """The batches of a run: number n is a pure function of (seed, n), whichever process makes it.

    Args:
        table: the images drawn from; columns path, width, height; with fixed crops also sha256; for pairs
            also input and input_sha256.
        root: the folder that the paths are relative to.
        tasks: names of the tasks; each batch has one of them.
        patch_size: side of the network's input in pixels.
        batch_size: crops in a global batch.
        seed: of the run.
        crops_per_image: crops cut from an image each time it is decoded; they never share a batch. More than 1 saves decoding
            when the images do not fit into `cache_bytes`.
        buffer_images: number of images in use at a time, see `schedule`.
        workers: processes that decode and cut; with 0 this process does it when it needs the batch.
        cache_bytes: memory for decoded images, or for fixed crops, over all workers.
        rows: which rows of each global batch to make, for one rank of several; the step of the slice must be 1.
        prefetch: batches that each worker makes ahead.
        pin_memory: put crops into page-locked memory, for asynchronous copies to a CUDA device.
        fixed_crops: number of crops per image, the same for the whole run and for all runs of an experiment; None: a new crop
            each time.
        data_seed: places the fixed crops, together with each image's sha256.
        augment: whether crops are flipped and rotated at random each time.

    Raises:
        ValueError: if there is no image, or one is too small for a crop, or a setting is out of range.
    """

    @classmethod
    def of_run(cls, run: Run, table: pd.DataFrame, root: Path, **others: Any) -> "Batches":
        """The batches that a run trains on; `others` say how this process makes them."""
        recipe, data = run.training, run.data
        return cls(
            *(table, root, run.tasks, recipe.patch_size, recipe.batch_size, run.seed),
            *(data.crops_per_image, data.buffer_images),
            cache_bytes=data.cache_mb * 2**20,
            fixed_crops=data.fixed_crops,
            data_seed=data.seed,
            augment=recipe.augment,
            **others,
        )

    def __init__(
        self,
        table: pd.DataFrame,
        root: Path,
        tasks: Sequence[str],
        patch_size: int,
        batch_size: int,
        seed: int,
        crops_per_image: int = 1,
        buffer_images: int = 1024,
        workers: int = 0,
        cache_bytes: int = 1 << 30,
        rows: slice = slice(None),
        prefetch: int = 4,
        pin_memory: bool = False,
        fixed_crops: int | None = None,
        data_seed: int = 0,
        augment: bool = True,
    ) -> None:
        if workers < 0 or prefetch < 1 or cache_bytes < 0:
            raise ValueError("workers and cache_bytes must not be negative, and prefetch must be at least 1")
        if not len(table):
            raise ValueError(f"there are no training images: the table for {root} is empty")
        self.schedule = Schedule(
            seed, len(table), batch_size, tuple(tasks), crops_per_image, buffer_images, fixed_crops, augment
        )
        start, stop, stride = rows.indices(batch_size)
        if stride != 1 or stop <= start:
            raise ValueError(f"rows must be a run of consecutive rows of a batch of {batch_size}, not {rows}")
        self.rows = slice(start, stop)
        self._patch_size = patch_size
        self._prefetch = prefetch
        self._pin_memory = pin_memory
        parts = max(1, min(workers, stop - start))
        self._workers = workers > 0
        bounds = [start + (stop - start) * part // parts for part in range(parts + 1)]
        images = ImageReader(table, root)
        self._paired = images.paired
        if images.paired and len(tasks) > 1:
            raise ValueError(f"pairs of images are inputs and targets of one task, not of {', '.join(tasks)}")
        self._readers = [
            CropReader(
                images, self.schedule, patch_size, slice(*bounds[part : part + 2]), cache_bytes // parts, data_seed
            )
            for part in range(parts)
        ]

    @property
    def bytes_per_worker(self) -> int:
        """Upper bound of a worker's memory: crops cut ahead, decoded images, and finished batches.

        The image being decoded and the interpreter, most of which workers share, come on top."""
        return max(
            reader.crop_bytes + reader.cache_bytes + self._prefetch * reader.batch_bytes for reader in self._readers
        )

    def load(self, step: int) -> Batch:
        """Make batch `step` (from 0) in this process.

        Raises:
            OSError: naming an image that cannot be read.
        """
        crops = self._empty(step)
        first = 0
        for reader in self._readers:
            part = crops[first : first + len(reader.rows)]
            reader.load(step, part.numpy().reshape(-1))
            first += len(part)
        return self._batch(step, crops)

    def iterate(self, start: int = 0) -> Iterator[Batch]:
        """Batches `start`, `start` + 1, … without end. Closing the iterator ends its workers.

        Raises:
            OSError: naming an image that cannot be read.
            ChildProcessError: naming a worker process that died.
        """
        return self._iterate_workers(start) if self._workers else self._iterate_here(start)

    def _iterate_here(self, step: int) -> Iterator[Batch]:
        while True:
            yield self.load(step)
            for reader in self._readers:
                reader.prepare(step)
            step += 1

    def _iterate_workers(self, step: int) -> Iterator[Batch]:
        pool = WorkerPool(self._readers, step, self._prefetch)
        try:
            while True:
                crops = self._empty(step)
                pool.next(crops.numpy())
                yield self._batch(step, crops)
                step += 1
        finally:
            pool.close()

    def _empty(self, step: int) -> torch.Tensor:
        task = parse_task(self.schedule.contents(step).task)
        shape = (self.rows.stop - self.rows.start, *crop_shape(task, self._patch_size, self._paired), 3)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin_memory)

    def _batch(self, step: int, crops: torch.Tensor) -> Batch:
        contents = self.schedule.contents(step)
        return Batch(
            step,
            contents.task,
            crops.permute(0, 3, 1, 2),
            torch.from_numpy(contents.images[self.rows].copy()),
            torch.from_numpy(contents.transforms[self.rows].copy()),
            self.rows.start,
            self.schedule.batch_size,
            self._paired,
        )
