"""Quality and cost of IPT's kinds of windows: PSNR-Y, windows and seconds on whole benchmark sets at x2.

Run as `python -m benchmarks.stride --checkpoints tests/fixtures/ipt_trained_x2.safetensors --sets Set5 --data-root DIR` (any
checkpoints of IPT for x2). Besides the named kinds it measures `centre` at other strides; three quarters of a window is the
stride of the authors' MindSpore release. Seconds include everything but reading files; the kinds alternate, image by image.
It writes a table and a figure.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from tqdm import tqdm

from benchmarks.hardware import report
from benchmarks.scored_images import scored
from ipt_models import IPT, load, restore
from ipt_models.windows import WINDOWS, default_stride, starts
from workflows.command_line import exit_status, refuse_missing
from workflows.evaluation.inputs import as_pixels
from workflows.evaluation.sets import Job, find_jobs

FURTHER = (3 / 4, 1 / 4)  # strides of `centre`, as fractions of a window


def main() -> int:
    """Measure, write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True)
    parser.add_argument("--sets", nargs="+", default=["photos"], help="benchmark sets for x2 (default: photos)")
    parser.add_argument("--data-root", type=Path, help="where sets other than photos are")
    parser.add_argument("--brief", nargs="*", default=[], help="sets with `side-by-side` and `centre` alone")
    parser.add_argument("--append", action="store_true", help="keep the rows that the table has")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/stride.csv"))
    options = parser.parse_args()
    refuse_missing("--checkpoints", options.checkpoints)
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    jobs = find_jobs(options.sets, ["sr2"], options.data_root)
    tables = []
    for checkpoint in options.checkpoints:
        model = load(checkpoint)
        for job in jobs:
            table = measure(model, job, job.request.label in options.brief)
            table.insert(0, "network", checkpoint.stem)
            tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    report(table.to_dict("records"), options.out, options.threads, append=options.append)
    draw(pd.read_csv(options.out), options.out.with_suffix(".png"))
    return 0


def measure(model: IPT, job: Job, brief: bool = False) -> pd.DataFrame:
    """Mean PSNR-Y by the protocol, windows and seconds of each kind, over the images of a set."""
    size = model.patch_size
    named = ("side-by-side", "centre") if brief else WINDOWS
    settings = [(windows, default_stride(model, windows)) for windows in named]
    settings += [("centre", round(share * size)) for share in FURTHER if not brief]
    rows = []
    for x, psnr_y in tqdm(scored(job), total=len(job.samples), unit="image", desc=job.request.label):
        for windows, stride in settings:
            started = time.perf_counter()
            output = as_pixels(restore(model, x, job.task.name, windows, stride))
            row = {"windows": windows, "stride": stride, "seconds": time.perf_counter() - started}
            row["count"] = np.prod([len(starts(side, size, stride)) for side in x.shape[2:]])
            rows.append(row | {"psnr_y": psnr_y(output)})
    table = pd.DataFrame(rows).groupby(["windows", "stride"], sort=False)
    means = table.agg({"count": "sum", "seconds": "sum", "psnr_y": "mean"}).reset_index()
    means.insert(0, "dataset", job.request.label)
    means.insert(1, "patch_size", size)
    return means


def draw(table: pd.DataFrame, path: Path) -> None:
    """PSNR against the number of windows, relative to side-by-side windows; one panel per network and set."""
    relative = table.astype({"count": "float64"})
    for _, rows in relative.groupby(["network", "dataset"], sort=False):
        base = rows[rows["windows"] == "side-by-side"].iloc[0]
        relative.loc[rows.index, "count"] = rows["count"] / base["count"]
        relative.loc[rows.index, "psnr_y"] = rows["psnr_y"] - base["psnr_y"]
    grid = sns.relplot(
        relative, x="count", y="psnr_y", hue="windows", style="windows", col="network", row="dataset", s=60, height=2.6
    )
    grid.set(xscale="log", xlabel="windows, relative to side by side", ylabel="gain (dB)")
    grid.savefig(path, dpi=150)
    plt.close(grid.figure)
    print(f"written to {path}")


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
