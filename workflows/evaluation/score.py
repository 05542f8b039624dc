"""Scores every image of every job: decode, degrade, restore, compare, one row an image.

Decoding runs ahead and comparing behind in threads while the model computes; at most a few images are in memory at once.
A file that cannot be read or does not fit costs its own row only: it is listed as a failure.
"""

import contextlib
import math
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from workflows.evaluation import images
from workflows.evaluation.images import ImageError
from workflows.evaluation.inference import Restorer
from workflows.evaluation.inputs import Files, as_batch, as_pixels, decode, degraded_pixels, target_pixels
from workflows.evaluation.metrics import compare
from workflows.evaluation.protocol import RULES, Protocol, border
from workflows.evaluation.restored import RestoredFolder
from workflows.evaluation.sets import Job, Sample

Row = dict[str, Any]


@dataclass
class Result:
    """What came of it: rows in the order of jobs and images, and a line for each image that has none."""

    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def score(
    source: Restorer | RestoredFolder,
    jobs: Sequence[Job],
    protocol: Protocol,
    save_dir: Path | None = None,
    save_only: Collection[str] | None = None,
    threads: int = 1,
    progress: bool = True,
) -> Result:
    """Score a model, a reference or a folder of restored images.

    Args:
        jobs: as `sets.plan` gives them.
        save_dir: where outputs are kept as `<task>/<set>/<image>.png`; None keeps none.
        save_only: names of the images that are kept; None keeps all.
        threads: beyond 1, decoding and comparing run beside the model in as many threads.
        progress: show a bar.

    Returns:
        Rows with the columns task, dataset, image, psnr_y, ssim_y, psnr_rgb, height, width, head, protocol, setting.
    """
    result = Result()
    work = [(job, sample) for job in jobs for sample in job.samples]
    with (
        ThreadPoolExecutor(threads) if threads > 1 else contextlib.nullcontext(Inline()) as pool,
        tqdm(total=len(work), unit="image", disable=None if progress else True) as bar,
    ):
        ahead: deque[Future[Files]] = deque()
        behind: deque[Future[Row]] = deque()
        upcoming = iter(work)

        def collect() -> None:
            try:
                result.rows.append(behind.popleft().result())
            except ImageError as error:
                result.failures.append(str(error))
            bar.update()

        for job, sample in work:
            while len(ahead) < threads and (following := next(upcoming, None)):
                ahead.append(pool.submit(decode, following[1], following[0].task))
            bar.set_description(f"{job.request.label} {job.task.name}", refresh=False)
            keep = save_dir if save_only is None or sample.image in save_only else None
            try:
                files = ahead.popleft().result()
                target = target_pixels(files, job.task)
                output = _output(source, files, target.shape[:2], job, sample, protocol)
            except ImageError as error:
                while behind:
                    collect()
                result.failures.append(str(error))
                bar.update()
                continue
            head = source.head(job.task) if isinstance(source, Restorer) else ""
            full_range = files.target.gray and protocol.gray == "matlab"
            arguments = (job, sample, output, target, full_range, protocol, keep, head, source.setting)
            behind.append(pool.submit(_row, *arguments))
            while len(behind) >= threads:
                collect()
        while behind:
            collect()
    return result


def _output(
    source: Restorer | RestoredFolder,
    files: Files,
    shape: tuple[int, int],
    job: Job,
    sample: Sample,
    protocol: Protocol,
) -> np.ndarray:
    if isinstance(source, RestoredFolder):
        return source.read(job, sample, shape)
    degraded = degraded_pixels(files, job.request, sample, job.task, protocol)
    return as_pixels(source(as_batch(degraded), job.task))


def _row(
    job: Job,
    sample: Sample,
    output: np.ndarray,
    target: np.ndarray,
    full_range: bool,
    protocol: Protocol,
    save_dir: Path | None,
    head: str,
    setting: str,
) -> Row:
    task, dataset = job.task, job.request.label
    if save_dir is not None:
        images.write(save_dir / task.name / dataset / f"{sample.image}.png", output)
    scores = compare(output, target, border(task), full_range)
    return {
        "task": task.name,
        "dataset": dataset,
        "image": sample.image,
        "psnr_y": scores.psnr_y,
        "ssim_y": None if math.isnan(scores.ssim_y) else scores.ssim_y,
        "psnr_rgb": scores.psnr_rgb if "rgb" in RULES[task.kind].channels else None,
        "height": target.shape[0],
        "width": target.shape[1],
        "head": head,
        "protocol": protocol.label(task),
        "setting": setting,
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """One line a task and set: means over its images."""
    lines = []
    for (task, dataset), group in groupby(rows, key=lambda row: (row["task"], row["dataset"])):
        group = list(group)
        line = f"{dataset} {task}: {_mean(group, 'psnr_y'):.3f} dB PSNR-Y"
        if group[0]["psnr_rgb"] is not None:
            line += f", {_mean(group, 'psnr_rgb'):.3f} dB PSNR-RGB"
        if all(row["ssim_y"] is not None for row in group):
            line += f", {_mean(group, 'ssim_y'):.4f} SSIM-Y"
        if group[0]["head"] not in ("", task):
            line += f", by the head for {group[0]['head']}"
        lines.append(f"{line} ({len(group)} image{'s' if len(group) > 1 else ''}, {group[0]['protocol']})")
    return lines


def _mean(rows: Sequence[Row], column: str) -> float:
    return sum(row[column] for row in rows) / len(rows)


class Inline(Executor):
    """An executor that works in the caller's thread: one thread is one thread."""

    def submit(self, function, /, *args, **kwargs) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
