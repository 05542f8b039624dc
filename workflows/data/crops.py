"""Cutting training crops from decoded images, each image decoded once for all its crops in a block."""

import math
from collections.abc import Sequence

import numpy as np

from ipt_models.tasks import Task, parse_task
from workflows.data.image_reader import ImageReader
from workflows.data.schedule import Schedule, fixed_position

# How many low-resolution pixels beyond its own edge a low-resolution patch depends on: the cubic kernel, widened
# by the scale s, reaches 2s high-resolution pixels from a pixel's centre.
REACH = 2

Decoded = np.ndarray | tuple[np.ndarray, np.ndarray]  # an image, or a target and its input


def cut(image: np.ndarray, task: Task, patch_size: int, position: Sequence[float]) -> np.ndarray:
    """Cut the high-resolution pixels that one low-resolution patch depends on.

    The image is treated as cropped to a multiple of the scale and mirrored beyond its borders, as for the bicubic kernel that
    reduces the whole image.

    Args:
        image: uint8 (height, width, 3), at least patch_size * scale high and wide.
        task: gives the scale; with scale 1 there is no margin.
        patch_size: side p of the low-resolution patch.
        position: two numbers in [0, 1): the fraction of the valid positions (down, right) before this one.

    Returns:
        uint8 (side, side, 3), side = scale * (p + 2 * REACH), or p if the scale is 1. A view if possible.
    """
    scale = task.scale
    margin = 0 if scale == 1 else REACH * scale
    side = crop_side(task, patch_size)
    height, width = image.shape[0] // scale, image.shape[1] // scale
    top = int(position[0] * (height - patch_size + 1)) * scale - margin
    left = int(position[1] * (width - patch_size + 1)) * scale - margin
    height, width = height * scale, width * scale
    if top >= 0 and left >= 0 and top + side <= height and left + side <= width:
        return image[top : top + side, left : left + side]
    rows, columns = _symmetric(np.arange(top, top + side), height), _symmetric(np.arange(left, left + side), width)
    return image[rows[:, None], columns]


def cut_pair(
    target: np.ndarray, degraded: np.ndarray, task: Task, patch_size: int, position: Sequence[float]
) -> np.ndarray:
    """Cut the same region from a target and from its input.

    Args:
        target: uint8 (scale * height, scale * width, 3).
        degraded: uint8 (height, width, 3), the input.
        task, patch_size, position: as in `cut`.

    Returns:
        uint8 (scale * p + p, scale * p, 3): the target's patch, and the input's below it on the left.
    """
    scale, side = task.scale, task.scale * patch_size
    top, left = (int(at * (size - patch_size + 1)) for at, size in zip(position, degraded.shape, strict=False))
    both = np.zeros((side + patch_size, side, 3), np.uint8)
    both[:side] = target[top * scale : top * scale + side, left * scale : left * scale + side]
    both[side:, :patch_size] = degraded[top : top + patch_size, left : left + patch_size]
    return both


def crop_shape(task: Task, patch_size: int, paired: bool = False) -> tuple[int, int]:
    """Height and width of the crop that `cut`, or for pairs `cut_pair`, makes."""
    if paired:
        return (task.scale + 1) * patch_size, task.scale * patch_size
    side = crop_side(task, patch_size)
    return side, side


def crop_side(task: Task, patch_size: int) -> int:
    """Side of the crop that `cut` makes, its margin included."""
    return patch_size if task.scale == 1 else task.scale * (patch_size + 2 * REACH)


def _symmetric(index: np.ndarray, size: int) -> np.ndarray:
    """Indices beyond [0, size) mirrored back, the edge pixel repeated: … 1 0 | 0 1 … size-1 | size-1 …"""
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


class CropReader:
    """Produces some rows of every global batch.

    When an image is decoded, all crops that its block needs are cut at once and the image is released. Memory is bounded
    whatever the images' sizes: at most two blocks' crops (see `crop_bytes`), plus a cache of up to `cache_bytes` for decoded
    images or, with fixed crops, for all crops of an image. The cache never evicts: each image is used once per pass, so
    evicting the oldest would always remove an image just before its next use.

    Args:
        images: the images that the schedule's indices refer to.
        schedule: which crops make which batch.
        patch_size: side of the low-resolution patch.
        rows: which rows of each global batch are produced.
        cache_bytes: memory for the cache of decoded images or fixed crops.
        data_seed: places fixed crops.

    Raises:
        ValueError: naming an image that is too small for the largest task.
    """

    def __init__(
        self,
        images: ImageReader,
        schedule: Schedule,
        patch_size: int,
        rows: slice,
        cache_bytes: int,
        data_seed: int = 0,
    ) -> None:
        self.schedule = schedule
        self.patch_size = patch_size
        self.rows = range(*rows.indices(schedule.batch_size))
        self._images = images
        self._tasks = {name: parse_task(name) for name in schedule.tasks}
        self.cache_bytes = cache_bytes
        self._free = cache_bytes
        self._data_seed = data_seed
        # Decoded images, or with fixed crops {(number, scale): crop}.
        self._cache: dict[int, Decoded | dict[tuple[int, int], np.ndarray]] = {}
        self._crops: dict[tuple[int, int], np.ndarray] = {}  # (step, row) -> crop
        self._first_step = 0  # of the block the crops are for
        self._check_sizes()

    def _check_sizes(self) -> None:
        task = max(self._tasks.values(), key=lambda task: task.scale)
        least = task.scale * self.patch_size
        small = np.flatnonzero(self._images.sizes.min(axis=1) < least)
        if small.size:
            height, width = self._images.sizes[small[0]]
            raise ValueError(
                f"{small.size} of {len(self._images)} training images are too small, the first is "
                f"{self._images.name(small[0])} ({width}x{height}): {task.name} with patch_size {self.patch_size} needs "
                f"{least} pixels a side. Make the manifest with --min-side {least}, which leaves them out."
            )

    @property
    def batch_bytes(self) -> int:
        """Size in bytes of this reader's rows of a batch, for the task with the largest crops."""
        return len(self.rows) * max(self._bytes(task) for task in self._tasks.values())

    @property
    def crop_bytes(self) -> int:
        """Upper bound in bytes of the crops cut ahead: those of two blocks, or none with one crop per image."""
        if self.schedule.crops_per_image == 1:
            return 0
        return 2 * self.schedule.longest_round * self.schedule.crops_per_image * self.batch_bytes

    def load(self, step: int, out: np.ndarray | None = None) -> np.ndarray:
        """The crops of this reader's rows of batch `step`: uint8 (rows, height, width, 3), see `crop_shape`.

        Args:
            step: the batch's number.
            out: a flat uint8 array of at least `batch_bytes` to write to; None: new memory.

        Raises:
            OSError: naming an image that cannot be read or decoded, or has changed since the manifest was made.
        """
        block = self.schedule.block(step)
        if block.first_step != self._first_step:
            self._first_step = block.first_step
            self._crops = {key: crop for key, crop in self._crops.items() if 0 <= key[0] - step < len(block.images)}
        task = self._tasks[self.schedule.contents(step).task]
        shape = (len(self.rows), *crop_shape(task, self.patch_size, self._images.paired), 3)
        crops = np.empty(shape, np.uint8) if out is None else out[: math.prod(shape)].reshape(shape)
        for crop, row in zip(crops, self.rows, strict=True):
            if (step, row) not in self._crops:
                self._cut_ahead(step, row)
            crop[...] = self._crops.pop((step, row))
        return crops

    def prepare(self, step: int) -> None:
        """Decode this step's share of the next block's images, so that every step costs about the same.

        Without it, the first round of a block would decode every image, and later rounds none."""
        block = self.schedule.block(step)
        if self.schedule.crops_per_image == 1 or len(block.images) == 1:
            return
        offset = step - block.first_step
        following = self.schedule.block(block.first_step + len(block.images))
        first_round = len(following.images) // self.schedule.crops_per_image
        slots = [(following.first_step + i, row) for i in range(first_round) for row in self.rows]
        start, end = (len(slots) * part // len(block.images) for part in (offset, offset + 1))
        for at, row in slots[start:end]:
            if (at, row) not in self._crops:
                self._cut_ahead(at, row)

    def _cut_ahead(self, step: int, row: int) -> None:
        """Cut the crop of (step, row), and the same image's crops for later batches of its block."""
        block = self.schedule.block(step)
        lane = block.images[step - block.first_step :, row]
        index = int(lane[0])
        image = self._open(index)
        for later in np.flatnonzero(lane == index):
            contents = self.schedule.contents(step + int(later))
            task = self._tasks[contents.task]
            if isinstance(image, dict):
                crop = image[contents.crops[row], task.scale]
            elif contents.crops is None:
                crop = self._cut(image, task, contents.positions[row])
            else:
                crop = self._cut_fixed(image, index, contents.crops[row], task)
            # A view would keep the whole decoded image in memory until the block's last round.
            self._crops[contents.step, row] = crop if index in self._cache else crop.copy()

    def _open(self, index: int) -> Decoded | dict[tuple[int, int], np.ndarray]:
        """An image, or its fixed crops if they are cached."""
        if index in self._cache:
            return self._cache[index]
        image = self._images.decode(index)
        size = image.nbytes
        if self._images.paired:
            image = (image, self._images.decode_input(index))
            size += image[1].nbytes
        if self.schedule.fixed_crops is None:
            kept = image
        else:
            scales = {task.scale: task for task in self._tasks.values()}
            size = self.schedule.fixed_crops * sum(map(self._bytes, scales.values()))
            if size > self._free:
                return image
            numbers = range(self.schedule.fixed_crops)
            kept = {
                (k, scale): self._cut_fixed(image, index, k, task).copy()
                for k in numbers
                for scale, task in scales.items()
            }
        if size <= self._free:
            self._free -= size
            self._cache[index] = kept
        return kept

    def _cut_fixed(self, image: Decoded, index: int, crop: int, task: Task) -> np.ndarray:
        return self._cut(image, task, fixed_position(self._data_seed, self._images.identity(index), int(crop)))

    def _cut(self, image: Decoded, task: Task, position: Sequence[float]) -> np.ndarray:
        if isinstance(image, tuple):
            return cut_pair(*image, task, self.patch_size, position)
        return cut(image, task, self.patch_size, position)

    def _bytes(self, task: Task) -> int:
        """Size of a crop in bytes."""
        return 3 * math.prod(crop_shape(task, self.patch_size, self._images.paired))
