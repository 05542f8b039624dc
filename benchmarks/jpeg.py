"""The loss of JPEG's qualities: PSNR-Y lost by restored images of a set when they are written as JPEG instead of PNG.

Run as `python -m benchmarks.jpeg --sets Set5 --data-root DIR --checkpoint tests/fixtures/ipt_trained_x2.safetensors`. Exit
status 1: the default of `python -m workflows.evaluation restore` costs 0.1 dB or more on some image.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.hardware import report
from benchmarks.scored_images import scored
from workflows.command_line import exit_status, refuse_missing
from workflows.evaluation.image_files import read
from workflows.evaluation.inputs import as_pixels
from workflows.evaluation.restore import JPEG_QUALITY, write
from workflows.evaluation.restorer import Restorer
from workflows.evaluation.sets import find_jobs

QUALITIES = (90, 95, 98, 99, 100)
LIMIT = 0.1


def main() -> int:
    """Measure, write the table, and fail if the default costs too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default="tests/fixtures/ipt_trained_x2.safetensors")
    parser.add_argument("--sets", nargs="+", default=["photos"])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/jpeg.csv"))
    options = parser.parse_args()
    refuse_missing("--checkpoint", [options.checkpoint])
    model, rows = Restorer(options.checkpoint), []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "image.jpg")
        for job in find_jobs(options.sets, ["sr2"], options.data_root):
            for x, psnr_y in scored(job):
                pixels = as_pixels(model(x, job.task))
                exact = psnr_y(pixels)
                for quality in QUALITIES:
                    write(pixels, path, False, None, quality)
                    lost = exact - psnr_y(read(path).pixels)
                    rows.append({"dataset": job.request.label, "quality": quality, "psnr_y": exact, "lost": lost})
                    rows[-1]["bytes_per_pixel"] = path.stat().st_size / (pixels.shape[0] * pixels.shape[1])
    table = pd.DataFrame(rows).groupby(["dataset", "quality"], sort=False)
    means = table.agg(
        psnr_y=("psnr_y", "mean"),
        lost=("lost", "mean"),
        most_lost=("lost", "max"),
        bytes_per_pixel=("bytes_per_pixel", "mean"),
    )
    report(means.reset_index().to_dict("records"), options.out, threads=1)
    return int(max(row["lost"] for row in rows if row["quality"] == JPEG_QUALITY) >= LIMIT)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
