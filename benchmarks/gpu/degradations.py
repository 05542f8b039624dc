"""Training pairs made on the device against those made on the CPU."""

from collections.abc import Iterator

import torch

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.registry import Line, at_most
from workflows.data.batches import Batches
from workflows.data.degradations import bicubic_resize, make_pairs


def compare_degradations(bench: Bench) -> Iterator[Line]:
    """Degradations on the device: uint8 bicubic and flips equal the CPU's bits, noise and rain repeat."""
    pixels = torch.randint(0, 256, (2, 3, 97, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for scale in (1 / 2, 1 / 3, 1 / 4, 2, 3):
        expected = bicubic_resize(pixels, scale)
        resized = bicubic_resize(pixels.to(bench.device), scale).cpu()
        yield at_most(f"bicubic × {scale:.3g} of uint8", int((resized != expected).sum()), 0, "pixels that differ")
    side = 24
    for task in ("sr2", "sr3", "dn30", "dr"):
        batch = Batches(bench.table, bench.pictures / "images", [task], side, 4, 0).load(0)
        first = make_pairs(batch, side, 0, bench.device)
        # Each device has its own random generator: noise and rain repeat on it, but differ from the CPU's.
        other = make_pairs(batch, side, 0, "cpu" if task.startswith("sr") else bench.device)
        differing = sum(int((a.cpu() != b.cpu()).sum()) for a, b in zip(first, other, strict=True))
        yield at_most(f"training pairs of {task}", differing, 0, "values that differ")
