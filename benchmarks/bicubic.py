"""Speed of bicubic reduction against basicsr's `imresize`: `python -m benchmarks.bicubic`, on an idle machine.

64 crops of 192 x 192 to half their size, as for a batch of x2 training pairs. Both run alternately in one process, and the
best round of each counts. basicsr's takes one image of floats at a time; ours takes the whole batch, as floats and, with
MATLAB's two roundings, as uint8.
"""

import argparse
import sys
from pathlib import Path

import torch

import baselines.basicsr_alias  # noqa: F401
from workflows.command_line import exit_status

# isort: split
from basicsr.utils.matlab_functions import imresize

from baselines.bicubic import bicubic_resize
from benchmarks.hardware import alternate, report

TIMES_FASTER = 50


def main() -> int:
    """Measure, write the table, and fail if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--scale", type=int, default=2, help="by how much to reduce")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/bicubic.csv"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pixels = torch.randint(0, 256, (options.crops, 3, options.size, options.size), dtype=torch.uint8)
    floats = pixels / 255
    sides = {
        "basicsr imresize": lambda: torch.stack([imresize(image, 1 / options.scale) for image in floats]),
        "ours, float": lambda: bicubic_resize(floats, 1 / options.scale),
        "ours, uint8": lambda: bicubic_resize(pixels, 1 / options.scale),
    }
    difference = float((sides["ours, float"]() - sides["basicsr imresize"]()).abs().max())
    times = alternate(list(sides.values()), options.rounds, warm_up=0)
    best = {name: taken.min() for name, taken in zip(sides, times, strict=True)}
    rows = [
        {
            "crops": options.crops,
            "size": options.size,
            "scale": options.scale,
            "side": name,
            "milliseconds": 1000 * best[name]["wall"],
            "processor_milliseconds": 1000 * best[name]["processor"],
            "times_faster": best["basicsr imresize"]["wall"] / best[name]["wall"],
            "largest_difference": difference if name == "ours, float" else None,
        }
        for name in sides
    ]
    report(rows, options.out, options.threads)
    return int(min(row["times_faster"] for row in rows[1:]) < TIMES_FASTER)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
