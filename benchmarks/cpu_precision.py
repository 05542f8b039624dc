"""The effect of bf16 and channels-last memory on a training step on this CPU: processor time, as ratios to plain float32.

Run as `python -m benchmarks.cpu_precision`. The four variants alternate, `--rounds` times, on one batch of 16 patches of
24×24 for x2 with one thread; medians are reported. `training.precision: auto` uses a table of such numbers, see
`workflows/training/devices.py`.
"""

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.hardware import duration, report
from workflows import models
from workflows.command_line import exit_status

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "IPT": ("ipt_tiny", {}),
    "EDSR": ("edsr_tiny", {"num_feat": 14, "num_block": 12}),
    "RDN": ("rdn_tiny", {}),
}
WAYS = [(precision, layout) for precision in ("float32", "bf16") for layout in ("contiguous", "channels_last")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/cpu_precision.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows = []
    for label, (variant, kwargs) in NETWORKS.items():
        steps = [prepare(variant, kwargs, *way) for way in WAYS]
        times: list[list[float]] = [[] for _ in WAYS]
        for _ in range(options.rounds + 1):
            for step, taken in zip(steps, times, strict=True):
                taken.append(duration(step, "processor"))
        times = [taken[1:] for taken in times]  # the first step allocates memory
        plain = median(times[0])
        for (precision, layout), taken in zip(WAYS, times, strict=True):
            row = {"network": label, "precision": precision, "layout": layout, "rounds": options.rounds}
            rows.append(row | {"cpu_ms": 1000 * median(taken), "of_plain": median(taken) / plain})
    report(rows, options.out, threads=1, append=True)  # one table holds several processors


def prepare(variant: str, kwargs: dict[str, Any], precision: str, layout: str):
    """A function that takes a training step."""
    torch.manual_seed(0)
    network = models.build(variant, ("sr2",), **kwargs)
    if layout == "channels_last":
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], fused=True)
    x, y = torch.rand(16, 3, 24, 24), torch.rand(16, 3, 48, 48)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = network(x, "sr2")
        (output.float() - y).abs().mean().backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
