"""What every training batch holds, as a pure function of the seed and the batch's number.

Nothing here has a state: batch 70,000 is the same batch after a restart, with any number of worker processes, and cut
into any number of slices. Whatever is not an argument (the model, the loss, the device) cannot change it.

How images are ordered. Images go by *passes*, each a new permutation of all of them. A pass is cut into *blocks* of at
most `buffer_images`, and a block is used up in `crops_per_image` *rounds*, so that an image is decoded once for all
its crops and two crops of one image are never in the same batch. A row of the batch is a *lane*: within a block,
row 17 draws from images of its own, in a new order each round. Therefore whoever produces row 17 (a process, a rank) decodes
its images alone, and nothing is decoded twice however the rows are divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# One key a purpose, so that no two draws share a random stream.
PASS, ROUND, FILL, TASK, SAMPLE, NOISE, RAIN = range(7)


def stream(seed: int, purpose: int, *counters: int) -> np.random.Generator:
    """A random stream of its own for these integers (all >= 0): Philox, keyed through numpy's SeedSequence."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose, *counters))))


def integer_seed(seed: int, purpose: int, *counters: int) -> int:
    """One integer in [0, 2^63) for these integers, to seed another library's generator with."""
    return int(np.random.SeedSequence(seed, spawn_key=(purpose, *counters)).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=2)
def _permutation(seed: int, purpose: int, index: int, count: int) -> np.ndarray:
    order = stream(seed, purpose, index).permutation(count)
    order.flags.writeable = False
    return order


@dataclass(frozen=True)
class Plan:
    """What one global batch of B crops holds.

    Attributes:
        step: the batch's number.
        task: the task all its crops are degraded for.
        images: (B,) int64, indices of the images; all different where there are at least B images.
        positions: (B, 2) float64 in [0, 1): where in its image each crop lies (down, right); the share of the valid
            positions that lie before it.
        transforms: (B,) int64 in 0..7, the flip or rotation of each crop (see `degradations.dihedral`).
    """

    step: int
    task: str
    images: np.ndarray
    positions: np.ndarray
    transforms: np.ndarray


@dataclass(frozen=True)
class Block:
    """A run of consecutive batches that share their images.

    Attributes:
        first_step: the number of the first of these batches.
        images: (batches, B) int64, the images of each batch.
    """

    first_step: int
    images: np.ndarray


@dataclass(frozen=True)
class Schedule:
    """The plan of an endless training run.

    Attributes:
        seed: of the run.
        image_count: N, how many images there are.
        batch_size: B, crops in a global batch.
        tasks: the tasks drawn from, uniformly.
        crops_per_image: how many crops are cut from an image each time it comes up.
        buffer_images: how many images a block may hold: a larger one mixes an image's crops further apart.

    Raises:
        ValueError: if a count is not positive.
    """

    seed: int
    image_count: int
    batch_size: int
    tasks: Sequence[str]
    crops_per_image: int = 1
    buffer_images: int = 1024

    def __post_init__(self) -> None:
        for name in ("image_count", "batch_size", "crops_per_image", "buffer_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.tasks:
            raise ValueError("tasks must name at least one task")
        object.__setattr__(self, "tasks", tuple(self.tasks))

    @property
    def steps_per_pass(self) -> int:
        """Batches after which (almost) every image has given `crops_per_image` crops; at most batch_size - 1 images
        sit a pass out, other ones each time. With fewer images than a batch holds, batches are not aligned to passes."""
        return max(1, self.image_count // self.batch_size) * self.crops_per_image

    def plan(self, step: int) -> Plan:
        """What batch `step` (from 0) holds."""
        return _plan(self, step)

    def block(self, step: int) -> Block:
        """The block that batch `step` belongs to."""
        if self.image_count < self.batch_size:
            return Block(step, self._filled(step)[None])
        return _block(self, *self._locate(step))

    def _locate(self, step: int) -> tuple[int, int]:
        """(pass, block within the pass) of a batch."""
        index, within = divmod(step, self.steps_per_pass)
        return index, ((within // self.crops_per_image + 1) * self._blocks - 1) // (self.image_count // self.batch_size)

    @property
    def _blocks(self) -> int:
        """Blocks in a pass, which share its batches as evenly as whole batches can be shared."""
        longest = max(1, min(self.buffer_images, self.image_count) // self.batch_size)
        return -(-(self.image_count // self.batch_size) // longest)

    def _filled(self, step: int) -> np.ndarray:
        """Fewer images than rows: rows are filled from one endless row of permutations, so all come up equally often."""
        start, count = step * self.batch_size, self.image_count
        passes = range(start // count, (start + self.batch_size - 1) // count + 1)
        order = np.concatenate([stream(self.seed, FILL, index).permutation(count) for index in passes])
        return order[start % count :][: self.batch_size]


@lru_cache(maxsize=1024)
def _plan(schedule: Schedule, step: int) -> Plan:
    block = schedule.block(step)
    draws = stream(schedule.seed, SAMPLE, step)
    return Plan(
        step,
        schedule.tasks[int(stream(schedule.seed, TASK, step).integers(len(schedule.tasks)))],
        block.images[step - block.first_step],
        draws.random((schedule.batch_size, 2)),
        draws.integers(8, size=schedule.batch_size),
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
