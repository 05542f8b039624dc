"""Checks whether this machine's processor cores are fast enough for its card."""

import os
import time
from collections.abc import Iterator

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.registry import Line, at_least, not_applicable, number
from benchmarks.gpu.steps import make_step, network
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs

PATCH = 48


def feeding(bench: Bench) -> Iterator[Line]:
    """The input pipeline's rate on this machine's cores against the large network's consumption in bf16."""
    workers = max(1, min(14, len(os.sched_getaffinity(0)) - 2)) if bench.cuda else 1
    seconds = 5.0 if bench.cuda else 0.5
    patch, batch_size = (PATCH, bench.sizes.batch) if bench.cuda else (24, bench.sizes.batch)
    made = {}
    for name, cache in (("decoded once", 1 << 30), ("decoded each time", 0)):
        batches = Batches(
            bench.table,
            bench.pictures / "images",
            ["sr2"],
            patch,
            batch_size,
            seed=0,
            crops_per_image=4,
            workers=workers,
            cache_bytes=cache,
            pin_memory=bench.cuda,
        )
        stream = batches.iterate()
        try:
            for _ in range(4):
                make_pairs(next(stream), patch, 0, bench.device)
            bench.synchronize()
            begun, pairs = time.perf_counter(), 0
            while time.perf_counter() - begun < seconds:
                pairs += len(make_pairs(next(stream), patch, 0, bench.device)[0])
            bench.synchronize()
            made[name] = pairs / (time.perf_counter() - begun)
        finally:
            stream.close()
        yield number(f"pairs, images {name}", made[name], "pairs/s", f"{workers} loader processes")
    variant = bench.sizes.large
    step = make_step(bench, network(bench, variant), variant, True, max(1, bench.sizes.batch // 4))
    consumed = bench.sizes.batch / bench.seconds(step)
    name = f"pairs made over those that {variant} consumes (bf16, eager)"
    worst = min(made.values()) / consumed
    yield at_least(name, worst, 1.0) if bench.cuda else not_applicable(name, "speed is a card's")
