"""The effect of bf16 and channels-last memory on a training step on this CPU: processor time, as ratios to plain float32.

Run as `python -m benchmarks.cpu_precision`. The four variants alternate, `--rounds` times, on one batch of 16 patches of
24×24 for x2 with one thread; medians are reported. `training.precision: auto` uses a table of such numbers, see
`workflows/training/devices.py`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.hardware import alternate, report
from benchmarks.training_step import Step
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
        medians = [table["processor"].median() for table in alternate(steps, options.rounds, label=label)]
        for (precision, layout), seconds in zip(WAYS, medians, strict=True):
            row = {"network": label, "precision": precision, "layout": layout, "rounds": options.rounds}
            rows.append(row | {"cpu_ms": 1000 * seconds, "of_plain": seconds / medians[0]})
    report(rows, options.out, threads=1, append=True)  # one table holds several processors


def prepare(variant: str, kwargs: dict[str, Any], precision: str, layout: str) -> Step:
    """A training step of a fresh network."""
    torch.manual_seed(0)
    network = models.build(variant, ("sr2",), **kwargs)
    if layout == "channels_last":
        network = network.to(memory_format=torch.channels_last)
    return Step(network, torch.rand(16, 3, 24, 24), torch.rand(16, 3, 48, 48), precision == "bf16")


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
