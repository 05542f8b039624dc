"""Time of scoring whole benchmark sets, against the pipeline that a user would write.

`python -m benchmarks.scoring --data-root DIR` runs bicubic and a straightforward basicsr pipeline on the same files. With
`--checkpoint IPT.safetensors` it runs an IPT with the windows of protocol v2 (`centre`) and of v1 (`side-by-side`). Timed are
reading files, degrading, restoring, PSNR and SSIM, without the start of the process and its imports. All pipelines alternate,
and the best round of each counts. Memory is the peak of the process above its size before.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

import baselines.basicsr_alias  # noqa: F401  (before basicsr)
from benchmarks.hardware import peak_memory, report, reset_peak_memory
from workflows.command_line import exit_status, refuse_missing
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.restorer import Restorer
from workflows.evaluation.score import score
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

    def suite() -> float:
        result = score(Restorer("bicubic"), jobs, Protocol(), threads=options.threads, progress=False)
        if result.failures:
            raise SystemExit("\n".join(result.failures))
        return sum(row["psnr_y"] for row in result.rows) / len(result.rows)

    seconds: dict[str, list[tuple[float, float]]] = {"suite": [], "basicsr": []}
    means = {}
    for _ in range(options.rounds):
        torch.set_num_threads(1)
        seconds["suite"].append(timed(suite, means, "suite"))
        if not options.without_basicsr:
            torch.set_num_threads(options.threads)
            seconds["basicsr"].append(timed(lambda: with_basicsr(jobs), means, "basicsr"))
    best = {name: min(times) for name, times in seconds.items() if times}
    rows = [
        {
            "sets": " ".join(options.sets),
            "tasks": " ".join(options.tasks),
            "images": sum(len(job.samples) for job in jobs),
            "pipeline": name,
            "seconds": wall,
            "processor_seconds": processor,
            "mean_psnr_y": means[name],
        }
        for name, (wall, processor) in best.items()
    ]
    report(rows, options.out, options.threads)
    return int(best["suite"][0] > LIMIT_SECONDS)


def compare_windows(options: argparse.Namespace, jobs: list[Job]) -> int:
    """Time and memory of an IPT with `centre` and with `side-by-side` windows; fails if the ratio or the memory is too large."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    settings = ("side-by-side", "centre")
    models = {windows: Restorer(options.checkpoint, windows=windows) for windows in settings}
    rounds, means, memory = {windows: [] for windows in settings}, {}, dict.fromkeys(settings, 0.0)
    for _ in range(options.rounds):
        for windows in settings:

            def run(windows: str = windows) -> float:
                result = score(models[windows], jobs, Protocol(), threads=options.threads, progress=False)
                return sum(row["psnr_y"] for row in result.rows) / len(result.rows)

            before = reset_peak_memory()
            rounds[windows].append(timed(run, means, windows))
            memory[windows] = max(memory[windows], (peak_memory() - before) / 1e6)
    best = {windows: min(times, key=lambda time: time[1]) for windows, times in rounds.items()}
    rows = [
        {
            **{"sets": " ".join(options.sets), "tasks": " ".join(options.tasks), "network": options.checkpoint.stem},
            **{"windows": windows, "seconds": best[windows][0], "processor_seconds": best[windows][1]},
            **{"megabytes": memory[windows], "mean_psnr_y": means[windows]},
            "ratio": best[windows][1] / best["side-by-side"][1],
        }
        for windows in settings
    ]
    report(rows, options.out.with_name("scoring_windows.csv"), options.threads)
    more_memory = (
        memory["centre"] > 1.05 * memory["side-by-side"] + 5
    )  # the memory that the system's allocator keeps varies
    return int(rows[-1]["ratio"] > LIMIT_RATIO or more_memory)


def timed(run: Callable[[], float], means: dict[str, float], name: str) -> tuple[float, float]:
    """Wall-clock and processor seconds; the latter approximate the wall-clock time on an idle machine."""
    wall, processor = time.perf_counter(), time.process_time()
    means[name] = run()
    return time.perf_counter() - wall, time.process_time() - processor


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
