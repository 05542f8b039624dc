"""Scores every image of every job: decode, degrade, restore, compare. One row per image.

A network restores one image at a time with all threads, while the next is prepared and the last is compared. Without a
network, images are scored in parallel, one per thread. Either way only a few images are in memory at once. An image that
cannot be read, that the network cannot take or whose output is not finite is listed as a failure; the others are still scored.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from workflows.evaluation import image_files
from workflows.evaluation.image_files import ImageError
from workflows.evaluation.inputs import decode, degraded_pixels, target_pixels
from workflows.evaluation.metrics import compute_scores
from workflows.evaluation.outputs import RestoredFolder
from workflows.evaluation.protocol import Protocol, border
from workflows.evaluation.restorer import Restorer
from workflows.evaluation.sets import Job, Sample

Row = dict[str, Any]


@dataclass
class Result:
    """Rows in the order of jobs and images, and a line for each image that failed."""

    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Prepared(NamedTuple):
    """An image before restoring: the model's input (None for restored folders) and the target."""

    degraded: np.ndarray | None
    target: np.ndarray
    full_range: bool


def score(
    source: Restorer | RestoredFolder,
    jobs: Sequence[Job],
    protocol: Protocol,
    save_dir: Path | None = None,
    save_only: Collection[str] | None = None,
    threads: int = 1,
    progress: bool = True,
    finished: Callable[[Job, list[Row]], None] | None = None,
) -> Result:
    """Score a model, a reference or a folder of restored images.

    Args:
        jobs: as `sets.find_jobs` gives them.
        save_dir: folder for outputs, `<task>/<set>/<image>.png`; None saves none.
        save_only: names of the images to save; None saves all.
        threads: images processed at once; the caller sets torch's own threads.
        progress: show a bar.
        finished: called with each job of which every image was scored, and its rows.

    Returns:
        Rows with the columns task, dataset, image, psnr_y, ssim_y, psnr_rgb, height, width, head, protocol, setting.
    """

    def prepare(job: Job, sample: Sample) -> Prepared:
        files = decode(sample, job.task)
        rules = protocol.with_gray(job.request.gray)
        reads_output = isinstance(source, RestoredFolder)
        degraded = None if reads_output else degraded_pixels(files, job.request, sample, job.task, rules)
        return Prepared(degraded, target_pixels(files, job.task), files.target.gray and rules.gray == "matlab")

    def restore(job: Job, sample: Sample, prepared: Prepared) -> np.ndarray:
        if isinstance(source, RestoredFolder):
            return source.read(job, sample, prepared.target.shape[:2])
        return source.pixels(prepared.degraded, job.task, sample.target)

    def finish(job: Job, sample: Sample, prepared: Prepared, output: np.ndarray) -> Row:
        task, dataset = job.task, job.request.label
        if save_dir is not None and (save_only is None or sample.image in save_only):
            image_files.write(save_dir / task.name / dataset / f"{sample.image}.png", output)
        scores = compute_scores(output, prepared.target, border(task), prepared.full_range)
        return {
            "task": task.name,
            "dataset": dataset,
            "image": sample.image,
            "psnr_y": scores.psnr_y,
            "ssim_y": None if math.isnan(scores.ssim_y) else scores.ssim_y,
            "psnr_rgb": scores.psnr_rgb if task.kind == "dn" else None,
            "height": prepared.target.shape[0],
            "width": prepared.target.shape[1],
            "head": source.head(task),
            "protocol": protocol.with_gray(job.request.gray).label(task),
            "setting": source.setting,
        }

    def whole(job: Job, sample: Sample) -> Row:
        prepared = prepare(job, sample)
        return finish(job, sample, prepared, restore(job, sample, prepared))

    result = Result()
    work = [(job, sample) for job in jobs for sample in job.samples]
    with (
        ThreadPoolExecutor(threads) if threads > 1 else contextlib.nullcontext(Inline()) as pool,
        tqdm(total=len(work), unit="image", disable=None if progress else True) as bar,
    ):

        def collect(job: Job, future: Future[Row]) -> None:
            try:
                result.rows.append(future.result())
            except ImageError as error:
                fail(error)
                return
            bar.update()
            mine = [row for row in result.rows[-len(job.samples) :] if is_of(row, job)]
            if finished and len(mine) == len(job.samples):
                finished(job, mine)

        def fail(error: ImageError) -> None:
            result.failures.append(str(error))
            bar.update()

        if source.parallel_images:
            for (job, _), future in zip(work, _ahead(pool, whole, work, threads), strict=True):
                bar.set_description(f"{job.request.label} {job.task.name}", refresh=False)
                collect(job, future)
            return result

        behind: deque[tuple[Job, Future[Row]]] = deque()
        for (job, sample), future in zip(work, _ahead(pool, prepare, work, min(threads, 2)), strict=True):
            bar.set_description(f"{job.request.label} {job.task.name}", refresh=False)
            while len(behind) >= threads:
                collect(*behind.popleft())
            try:
                prepared = future.result()
                output = restore(job, sample, prepared)
            except ImageError as error:
                while behind:  # this keeps rows and failures in order
                    collect(*behind.popleft())
                fail(error)
                continue
            behind.append((job, pool.submit(finish, job, sample, prepared, output)))
        while behind:
            collect(*behind.popleft())
    return result


def is_of(row: Row, job: Job) -> bool:
    """Whether a row is one of a job's."""
    return (row["task"], row["dataset"]) == (job.task.name, job.request.label)


def _ahead(
    pool: Executor, function: Callable[..., Any], work: Sequence[tuple[Job, Sample]], depth: int
) -> Iterator[Future]:
    """Futures of `function` over `work`, in order, at most `depth` of them submitted at a time."""
    remaining = iter(work)
    running = deque(pool.submit(function, *item) for item in islice(remaining, depth))
    while running:
        future = running.popleft()
        yield future
        running.extend(pool.submit(function, *item) for item in islice(remaining, 1))


class Inline(Executor):
    """An executor that works in the caller's thread."""

    def submit(self, function, /, *args, **kwargs) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def summary(rows: Sequence[Row]) -> list[str]:
    """One line per task and set: means over its images, without those whose PSNR is infinite, which are named."""
    lines = []
    for (task, dataset), group in groupby(rows, key=lambda row: (row["task"], row["dataset"])):
        group = list(group)
        exact = [row["image"] for row in group if math.inf in (row["psnr_y"], row["psnr_rgb"])]
        scored = [row for row in group if row["image"] not in exact]
        parts = [f"{_mean(scored, 'psnr_y'):.3f} dB PSNR-Y" if scored else "no finite PSNR"]
        if scored and scored[0]["psnr_rgb"] is not None:
            parts.append(f"{_mean(scored, 'psnr_rgb'):.3f} dB PSNR-RGB")
        if scored and all(row["ssim_y"] is not None for row in scored):
            parts.append(f"{_mean(scored, 'ssim_y'):.4f} SSIM-Y")
        if group[0]["head"] not in ("", task):
            parts.append(f"by the head for {group[0]['head']}")
        counted = f"{len(scored)} image{'s' if len(scored) != 1 else ''}, {group[0]['protocol']}"
        if exact:
            counted += f"; {len(exact)} restored exactly and left out: {', '.join(exact)}"
        lines.append(f"{dataset} {task}: {', '.join(parts)} ({counted})")
    return lines


def _mean(rows: Sequence[Row], column: str) -> float:
    return sum(row[column] for row in rows) / len(rows)
