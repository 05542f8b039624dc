"""The content of every training batch, as a pure function of the seed and the batch's number.

Nothing here has state: batch 70,000 is the same after a restart, with any number of worker processes, and cut into any number
of slices. Nothing else (model, loss, device) can change it.

How images are ordered. Images go by *passes*, each a new permutation of all of them. A pass is cut into *blocks* of at
most `buffer_images`, and a block is used up in `crops_per_image` *rounds*, so an image is decoded once for all its crops, and
two crops of one image are never in the same batch. A row of the batch is a *lane*: within a block, row 17 has its own images,
in a new order each round. Therefore the process that produces row 17 decodes only these images, and nothing is decoded twice
however the rows are divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from ipt_models.tasks import parse_task

# One key per purpose, so that no two draws share a random stream.
PASS, ROUND, FILL, TASK, SAMPLE, NOISE, RAIN, CROP, LAYERS = range(9)


def stream(seed: int, purpose: int, *counters: int) -> np.random.Generator:
    """The random stream of these integers (all >= 0): Philox, keyed through numpy's SeedSequence."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose, *counters))))


def integer_seed(seed: int, purpose: int, *counters: int) -> int:
    """One integer in [0, 2^63) from these integers, to seed another library's generator."""
    return int(np.random.SeedSequence(seed, spawn_key=(purpose, *counters)).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=4)
def _permutation(seed: int, purpose: int, index: int, count: int) -> np.ndarray:
    order = stream(seed, purpose, index).permutation(count)
    order.flags.writeable = False
    return order


def fixed_position(seed: int, identity: str, crop: int) -> tuple[float, float]:
    """Position of a fixed crop in its image (down, right), in [0, 1) as in `Contents.positions`.

    Args:
        seed: of the data, one per experiment.
        identity: of the image: the sha256 of its file.
        crop: its number. The number of crops and the other images do not matter.
    """
    digest = sha256(f"crop:{seed}:{identity}:{crop}".encode()).digest()
    return tuple((int.from_bytes(digest[at : at + 8], "big") >> 11) / 2**53 for at in (0, 8))


class DistinctPatches(NamedTuple):
    """The amount of training data of a run with fixed crops.

    Attributes:
        distinct_patches: N x K.
        patch_epochs: how often each patch was seen, on average.
        target_values: values of the clean patches: 3 x (scale x patch size)² per patch, summed over the scales of the tasks.
    """

    distinct_patches: int
    patch_epochs: float
    target_values: int


def count_distinct(
    images: int, fixed_crops: int | None, patches: int, patch_size: int, tasks: Sequence[str]
) -> DistinctPatches | None:
    """Count the distinct patches of a run of `patches` patches; None if crops are drawn freely."""
    if fixed_crops is None:
        return None
    distinct = images * fixed_crops
    scales = {parse_task(task).scale for task in tasks}
    values = distinct * sum(3 * (scale * patch_size) ** 2 for scale in scales)
    return DistinctPatches(distinct, patches / distinct, values)


@dataclass(frozen=True)
class Contents:
    """The content of one global batch of B crops.

    Attributes:
        step: the batch's number.
        task: the task all its crops are degraded for.
        images: (B,) int64, indices of the images; all different if there are at least B images and crops are free.
        crops: (B,) int64, which of its image's fixed crops each one is; None where crops are free.
        positions: (B, 2) float64 in [0, 1): position of each free crop in its image (down, right), as the fraction of the
            valid positions before it.
        transforms: (B,) int64 in 0..7, the flip or rotation of each crop (see `degradations.dihedral`).
    """

    step: int
    task: str
    images: np.ndarray
    crops: np.ndarray | None
    positions: np.ndarray
    transforms: np.ndarray


@dataclass(frozen=True)
class Block:
    """Consecutive batches that share their images.

    Attributes:
        first_step: the number of the first of these batches.
        images: (batches, B) int64, the images of each batch.
        crops: (batches, B) int64, which of its image's fixed crops each one is; None where crops are free.
    """

    first_step: int
    images: np.ndarray
    crops: np.ndarray | None = None


@dataclass(frozen=True)
class Schedule:
    """The order of an endless training run.

    Attributes:
        seed: of the run.
        image_count: N, number of images.
        batch_size: B, crops in a global batch.
        tasks: the tasks drawn from, uniformly.
        crops_per_image: number of crops cut from an image each time it is used.
        buffer_images: maximum number of images in a block; larger blocks spread an image's crops further apart.
        fixed_crops: K, number of crops per image; None: a new one each time.
        augment: whether crops are flipped and rotated.

    Raises:
        ValueError: if a count is not positive.
    """

    seed: int
    image_count: int
    batch_size: int
    tasks: Sequence[str]
    crops_per_image: int = 1
    buffer_images: int = 1024
    fixed_crops: int | None = None
    augment: bool = True

    def __post_init__(self) -> None:
        for name in ("image_count", "batch_size", "crops_per_image", "buffer_images", "fixed_crops"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.tasks:
            raise ValueError("tasks must name at least one task")
        object.__setattr__(self, "tasks", tuple(self.tasks))

    @property
    def steps_per_pass(self) -> int:
        """Batches after which (almost) every image has given `crops_per_image` free crops.

        At most batch_size - 1 images, different ones each time, miss a pass. With fewer images than rows, batches are not aligned
        to passes.
        """
        return max(1, self.image_count // self.batch_size) * self.crops_per_image

    @property
    def longest_round(self) -> int:
        """The largest number of batches of a block before an image's second crop."""
        return max(1, min(self.buffer_images, self.image_count) // self.batch_size)

    def contents(self, step: int) -> Contents:
        """The content of batch `step` (from 0)."""
        return _contents(self, step)

    def block(self, step: int) -> Block:
        """The block that batch `step` belongs to."""
        if self.fixed_crops is not None:
            batches = 1 if self.crops_per_image == 1 else self.longest_round
            return _fixed_block(self, step // (batches * self.crops_per_image), batches)
        if self.image_count < self.batch_size:
            return Block(step, self._filled(step)[None])
        return _block(self, *self._locate(step))

    def _locate(self, step: int) -> tuple[int, int]:
        """(pass, block within the pass) of a batch."""
        index, within = divmod(step, self.steps_per_pass)
        return index, ((within // self.crops_per_image + 1) * self._blocks - 1) // (self.image_count // self.batch_size)

    @property
    def _blocks(self) -> int:
        """Number of blocks in a pass, which share its batches as evenly as possible."""
        return -(-(self.image_count // self.batch_size) // self.longest_round)

    def _filled(self, step: int) -> np.ndarray:
        """Fewer images than rows: rows come from an endless sequence of permutations, so all images are used equally often."""
        start, count = step * self.batch_size, self.image_count
        passes = range(start // count, (start + self.batch_size - 1) // count + 1)
        order = np.concatenate([stream(self.seed, FILL, index).permutation(count) for index in passes])
        return order[start % count :][: self.batch_size]


@lru_cache(maxsize=1024)
def _contents(schedule: Schedule, step: int) -> Contents:
    block = schedule.block(step)
    draws = stream(schedule.seed, SAMPLE, step)
    return Contents(
        step,
        schedule.tasks[int(stream(schedule.seed, TASK, step).integers(len(schedule.tasks)))],
        block.images[step - block.first_step],
        None if block.crops is None else block.crops[step - block.first_step],
        draws.random((schedule.batch_size, 2)),
        draws.integers(8, size=schedule.batch_size) * schedule.augment,
    )


@lru_cache(maxsize=4)
def _block(schedule: Schedule, index: int, block: int) -> Block:
    batches = schedule.image_count // schedule.batch_size
    first, end = (b * batches // schedule._blocks for b in (block, block + 1))
    order = _permutation(schedule.seed, PASS, index, schedule.image_count)
    images = order[first * schedule.batch_size : end * schedule.batch_size].reshape(end - first, schedule.batch_size)
    rounds = [
        stream(schedule.seed, ROUND, index, block, r).permuted(images, axis=0) for r in range(schedule.crops_per_image)
    ]
    images = np.concatenate(rounds)
    images.flags.writeable = False
    return Block(index * schedule.steps_per_pass + first * schedule.crops_per_image, images)


@lru_cache(maxsize=4)
def _fixed_block(schedule: Schedule, index: int, batches: int) -> Block:
    """Block `index` of an endless sequence of passes: `crops_per_image` rounds of `batches` batches of the same images."""
    count, rounds = schedule.image_count, schedule.crops_per_image
    places = np.arange(index * batches * schedule.batch_size, (index + 1) * batches * schedule.batch_size)
    passes, within = np.divmod(places, count)
    images = np.empty_like(places)
    for number in np.unique(passes):
        images[passes == number] = _permutation(schedule.seed, PASS, int(number), count)[within[passes == number]]
    images, passes = (array.reshape(batches, schedule.batch_size) for array in (images, passes))

    rows = np.broadcast_to(np.arange(batches)[:, None], images.shape)
    orders = [stream(schedule.seed, ROUND, 0, index, r).permuted(rows, axis=0) for r in range(rounds)]
    visits = [np.take_along_axis(passes, order, 0) * rounds + r for r, order in enumerate(orders)]
    images = np.concatenate([np.take_along_axis(images, order, 0) for order in orders])
    epochs, visits = np.divmod(np.concatenate(visits), schedule.fixed_crops)
    crops = np.empty_like(images)
    for epoch in np.unique(epochs):
        order, chosen = _crop_order(schedule.seed, int(epoch), count, schedule.fixed_crops), epochs == epoch
        crops[chosen] = order[images[chosen], visits[chosen]]
    images.flags.writeable = crops.flags.writeable = False
    return Block(index * batches * rounds, images, crops)


@lru_cache(maxsize=2)
def _crop_order(seed: int, epoch: int, images: int, crops: int) -> np.ndarray:
    """The order of each image's crops in an epoch: (images, crops), one permutation per row."""
    numbers = np.arange(crops, dtype=np.min_scalar_type(crops - 1))
    return stream(seed, CROP, epoch).permuted(np.broadcast_to(numbers, (images, crops)), axis=1)
