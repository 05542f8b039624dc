"""Time of scoring whole benchmark sets, against the pipeline that a user would write.

`python -m benchmarks.scoring --data-root DIR` runs bicubic and a straightforward basicsr pipeline on the same files. With
`--checkpoint IPT.safetensors` it runs an IPT with the windows of protocol v2 (`centre`) and of v1 (`side-by-side`). Timed are
reading files, degrading, restoring, PSNR and SSIM, without the start of the process and its imports. All pipelines alternate,
and the best round of each counts. Memory is the peak of the process above its size before.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import cv2
import torch

import baselines.basicsr_alias  # noqa: F401  (before basicsr)
from benchmarks.hardware import alternate, peak_memory, report, reset_peak_memory
from workflows.command_line import exit_status, refuse_missing
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.restorer import Restorer
from workflows.evaluation.score import Row, score
from workflows.evaluation.sets import Job, find_jobs

LIMIT_SECONDS = 8
LIMIT_RATIO = 4.5  # time of centre windows over time of side-by-side windows


def main() -> int:
    """Measure, write the table, and fail if the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14", "B100"])
    parser.add_argument("--tasks", nargs="+", default=["sr2", "sr3", "sr4"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-basicsr", action="store_true", help="measure the suite alone")
    parser.add_argument("--checkpoint", type=Path, help="an IPT: compare the windows of v2 and v1 instead")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/scoring.csv"))
    options = parser.parse_args()
    refuse_missing("--checkpoint", [options.checkpoint] if options.checkpoint else [])
    jobs = find_jobs(options.sets, options.tasks, options.data_root)

    if options.checkpoint:
        return compare_windows(options, jobs)

    means = {}

    def suite() -> None:
        torch.set_num_threads(1)
        result = score(Restorer("bicubic"), jobs, Protocol(), threads=options.threads, progress=False)
        if result.failures:
            raise SystemExit("\n".join(result.failures))
        means["suite"] = mean_psnr(result.rows)

    def basicsr() -> None:
        torch.set_num_threads(options.threads)
        means["basicsr"] = with_basicsr(jobs)

    pipelines = {"suite": suite} if options.without_basicsr else {"suite": suite, "basicsr": basicsr}
    times = alternate(list(pipelines.values()), options.rounds, warm_up=0)
    best = {name: taken.loc[taken["wall"].idxmin()] for name, taken in zip(pipelines, times, strict=True)}
    rows = [
        {
            "sets": " ".join(options.sets),
            "tasks": " ".join(options.tasks),
            "images": sum(len(job.samples) for job in jobs),
            "pipeline": name,
            "seconds": fastest["wall"],
            "processor_seconds": fastest["processor"],
            "mean_psnr_y": means[name],
        }
        for name, fastest in best.items()
    ]
    report(rows, options.out, options.threads)
    return int(best["suite"]["wall"] > LIMIT_SECONDS)


def compare_windows(options: argparse.Namespace, jobs: list[Job]) -> int:
    """Time and memory of an IPT with `centre` and with `side-by-side` windows; fails if the ratio or the memory is too large."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    settings = ("side-by-side", "centre")
    models = {windows: Restorer(options.checkpoint, windows=windows) for windows in settings}
    means, memory = {}, dict.fromkeys(settings, 0.0)

    def run(windows: str) -> None:
        before = reset_peak_memory()
        result = score(models[windows], jobs, Protocol(), threads=options.threads, progress=False)
        means[windows] = mean_psnr(result.rows)
        memory[windows] = max(memory[windows], (peak_memory() - before) / 1e6)

    times = alternate([partial(run, windows) for windows in settings], options.rounds, warm_up=0)
    best = {windows: taken.loc[taken["processor"].idxmin()] for windows, taken in zip(settings, times, strict=True)}
    rows = [
        {
            **{"sets": " ".join(options.sets), "tasks": " ".join(options.tasks), "network": options.checkpoint.stem},
            **{"windows": windows, "seconds": best[windows]["wall"], "processor_seconds": best[windows]["processor"]},
            **{"megabytes": memory[windows], "mean_psnr_y": means[windows]},
            "ratio": best[windows]["processor"] / best["side-by-side"]["processor"],
        }
        for windows in settings
    ]
    report(rows, options.out.with_name("scoring_windows.csv"), options.threads)
    more_memory = (
        memory["centre"] > 1.05 * memory["side-by-side"] + 5
    )  # the memory that the system's allocator keeps varies
    return int(rows[-1]["ratio"] > LIMIT_RATIO or more_memory)


def mean_psnr(rows: list[Row]) -> float:
    return sum(row["psnr_y"] for row in rows) / len(rows)


def with_basicsr(jobs: list[Job]) -> float:
    """The pipeline that a user would write with basicsr: one image after the other, its `imresize`, its metrics. Mean PSNR-Y."""
    from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim
    from basicsr.utils.matlab_functions import imresize

    values = []
    for job in jobs:
        scale = job.task.scale
        for sample in job.samples:
            target = cv2.imread(str(sample.target))
            target = target[: target.shape[0] // scale * scale, : target.shape[1] // scale * scale]
            low = (imresize(target / 255.0, 1 / scale) * 255).round().clip(0, 255) / 255.0
            output = (imresize(low, scale) * 255).round().clip(0, 255).astype("uint8")
            values.append(calculate_psnr(output, target, scale, test_y_channel=True))
            calculate_ssim(output, target, scale, test_y_channel=True)
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
