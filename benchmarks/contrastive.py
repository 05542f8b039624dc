"""Memory and time of the contrastive loss in blocks, against the dense computation.

Run as `python -m benchmarks.contrastive`. It measures the memory of forward and backward beyond features and gradient at the
paper's batch (256 images, 256 patches, 576 features; one process per number), and the time of both at sizes that fit the
dense computation, alternating, on the same features. Exit status 1: more than 1.5 GB, or more than 1.3 times dense.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.dense_contrastive import dense_contrastive_loss
from benchmarks.hardware import CLOCKS, alternate, in_new_process, peak_memory, report, reset_peak_memory
from ipt_models.contrastive import TEMPERATURES, contrastive_loss
from workflows.command_line import exit_status

LIMITS = {"gigabytes": 1.5, "ratio": 1.3}
TIMED = ((16, 64, 72), (16, 64, 144), (32, 64, 144), (8, 256, 576), (16, 256, 576))  # batch, patches, features


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formulation", nargs="+", choices=TEMPERATURES, default=list(TEMPERATURES))
    parser.add_argument("--memory-at", type=int, nargs=3, default=(256, 256, 576), metavar=("B", "N", "D"))
    parser.add_argument("--block-size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="`processor` (CPU time): with one thread, on a shared machine"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-memory", action="store_true", help="compare times only")
    parser.add_argument("--no-times", action="store_true", help="measure memory only")
    parser.add_argument("--append", action="store_true", help="add to what the file has")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/contrastive.csv"))
    options = parser.parse_args()
    loss = losses(options)
    rows, sound = [], True
    for formulation in options.formulation:
        for shape in () if options.no_times else TIMED:
            times = measure_times(loss, formulation, shape, options)
            ratio = times["blocks"] / times["dense"]
            sound &= ratio <= LIMITS["ratio"]
            for method in loss:
                rows.append(row(formulation, method, shape, seconds=times[method]))
            rows[-2]["ratio_to_dense"] = ratio
        if not options.no_memory:
            shape = tuple(options.memory_at)
            for method, size in (("blocks", shape), ("dense", TIMED[-1]), ("blocks", TIMED[-1])):
                costs = in_new_process(measure_memory, method, formulation, size, options)
                rows.append(row(formulation, method, size, **costs))
                sound &= method == "dense" or costs["gigabytes"] <= LIMITS["gigabytes"]
    report([{**costs, "clock": options.clock} for costs in rows], options.out, options.threads, append=options.append)
    return 0 if sound else 1


def losses(options: argparse.Namespace) -> dict[str, Callable[[Tensor, str], Tensor]]:
    """Both computations by name, each of features and a formulation, on the threads that are asked for."""
    torch.set_num_threads(options.threads)
    return {
        "blocks": lambda x, formulation: contrastive_loss(x, None, formulation, block_size=options.block_size),
        "dense": lambda x, formulation: dense_contrastive_loss(x, TEMPERATURES[formulation], formulation),
    }


def row(formulation: str, method: str, shape: tuple[int, ...], **measured: float) -> dict[str, object]:
    batch, patches, dim = shape
    return {"formulation": formulation, "method": method, "batch": batch, "patches": patches, "dim": dim, **measured}


def features(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def measure_times(
    loss: dict[str, Callable[[Tensor, str], Tensor]],
    formulation: str,
    shape: tuple[int, ...],
    options: argparse.Namespace,
) -> dict[str, float]:
    """Median seconds of forward and backward, alternating."""
    x = features(shape)

    def forward_and_backward(function: Callable[[Tensor, str], Tensor]) -> None:
        x.grad = None
        function(x, formulation).backward()

    works = [partial(forward_and_backward, function) for function in loss.values()]
    times = alternate(works, options.repeats, label=f"{formulation}, {shape}")
    return {method: taken[options.clock].median() for method, taken in zip(loss, times, strict=True)}


def measure_memory(
    method: str, formulation: str, shape: tuple[int, ...], options: argparse.Namespace
) -> dict[str, float]:
    """Gigabytes beyond features and gradient, and seconds, of one forward and backward."""
    loss, clock = losses(options)[method], CLOCKS[options.clock]
    loss(features((2, 4, 8)), formulation).backward()  # libraries that are loaded at first use
    x = features(shape)
    before = reset_peak_memory()
    started = clock()
    gradient = torch.autograd.grad(loss(x, formulation), x)[0]
    seconds = clock() - started
    beyond = peak_memory() - before
    assert gradient.isfinite().all()
    return {"seconds": seconds, "gigabytes": (beyond - gradient.nbytes) / 1e9}


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
