"""Exports inputs and targets, so that another program can be scored on the same pixels."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ipt_models.files import replacing
from workflows.evaluation import image_files
from workflows.evaluation.image_files import ImageError
from workflows.evaluation.inputs import decode, degraded_pixels, target_pixels
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.sets import Job


def export_inputs(
    jobs: Sequence[Job], protocol: Protocol, folder: Path, only: Collection[str] | None = None
) -> list[str]:
    """Write `<task>/<set>/<image>_LR.png` and `<image>_HR.png` below a folder.

    Noise and synthetic rain are not whole numbers: their `<image>_LR.npy` holds float32 (H, W, 3) on the 0-255 scale,
    bit for bit the models' input before the division by 255.

    Args:
        only: names of images; None writes all.

    Returns:
        A line for each image that could not be read.
    """
    failures = []
    work = [(job, sample) for job in jobs for sample in job.samples if only is None or sample.image in only]
    for job, sample in tqdm(work, unit="image", disable=None):
        stem = folder / job.task.name / job.request.label / sample.image
        try:
            files = decode(sample, job.task)
        except ImageError as error:
            failures.append(str(error))
            continue
        degraded = degraded_pixels(files, job.request, sample, job.task, protocol.with_gray(job.request.gray))
        image_files.write(Path(f"{stem}_HR.png"), target_pixels(files, job.task))
        if degraded.dtype == np.uint8:
            image_files.write(Path(f"{stem}_LR.png"), degraded)
        else:
            _write_array(Path(f"{stem}_LR.npy"), degraded)
    return failures


def _write_array(path: Path, array: np.ndarray) -> None:
    with replacing(path) as temporary:
        np.save(temporary, array)
