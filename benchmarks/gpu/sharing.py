"""Jobs that share a card: claims, bits, and the memory that a job requested."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import torch

from benchmarks.gpu import runs
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.registry import Line, at_least, at_most, failed
from workflows.config.schema import Training

HOLD = 0.5  # seconds that a job holds its claim
JOB = f"import os, time; a = time.time(); time.sleep({HOLD}); print(a, time.time(), os.environ['CUDA_VISIBLE_DEVICES'])"


def claims(bench: Bench) -> Iterator[Line]:
    """Two jobs on one card take turns with one claim per card, and overlap with two."""
    for claims_per_card, check in ((1, at_most), (2, at_least)):
        spans = hold(bench, claims_per_card)
        overlap = min(end for _, end, _ in spans) - max(begin for begin, _, _ in spans)
        yield check(f"{claims_per_card} a card", overlap, 0.0, "s of overlap")
    yield at_most("cards that a job sees", len({card for _, _, card in spans}), 1, "cards")


def hold(bench: Bench, claims_per_card: int) -> list[tuple[float, float, str]]:
    """Two jobs at once: start, end and card of each."""
    card = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] if bench.cuda else "0"
    environment = os.environ | {
        "RUNS_PER_GPU": str(claims_per_card),
        "CUDA_VISIBLE_DEVICES": card,
        "TMPDIR": str(bench.folder),
    }
    words = [sys.executable, "-m", "workflows.launch", "--gpus", "1", "--", sys.executable, "-c", JOB]
    jobs = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [job.communicate(timeout=120)[0].split() for job in jobs]
    return [(float(begin), float(end), card) for begin, end, card in said]


def sharing(bench: Bench) -> Iterator[Line]:
    """Two parallel trainings on one card give the same bits as a single one, within the memory that a job requests."""
    alone = runs.train(bench, "alone")
    launch = [sys.executable, "-m", "workflows.launch", "--gpus", "1" if bench.cuda else "0", "--"]
    environment = {"RUNS_PER_GPU": "2", "TMPDIR": str(bench.folder)}
    jobs = [runs.start(bench, f"beside-{n}", *launch, environment=environment) for n in range(2)]
    for number, job in enumerate(jobs):
        if status := job.wait():
            yield failed(f"job {number + 1}", f"the training ended with status {status}")
            return
        output = bench.folder / f"beside-{number}" / "out"
        yield at_most(f"job {number + 1}", runs.differing_weights(alone, output), 0, "weights that differ")
    # The largest process that has ended so far; all of them are trainings.
    resident = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield at_most("resident memory of a training", resident, Training().memory_mb, "MB")
    if bench.cuda:
        free, total = (size / 1e9 for size in torch.cuda.mem_get_info(bench.device))
        yield at_most("memory of the card in use once they have ended", total - free, 0.2 * total, "GB")
