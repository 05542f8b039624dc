"""Images of a benchmark set with their scores by the protocol, for benchmarks that restore them in several ways."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import Tensor

from workflows.evaluation.inputs import as_batch, decode, degraded_pixels, target_pixels
from workflows.evaluation.metrics import psnr_y
from workflows.evaluation.protocol import Protocol, border
from workflows.evaluation.sets import Job


class Scored(NamedTuple):
    """A model's input, float (1, 3, h, w) in [0, 1], and the PSNR-Y of restored pixels."""

    x: Tensor
    psnr_y: Callable[[np.ndarray], float]


def scored(job: Job) -> Iterator[Scored]:
    """Each image of a set in turn."""
    for sample in job.samples:
        files = decode(sample, job.task)
        x = as_batch(degraded_pixels(files, job.request, sample, job.task, Protocol()))
        yield Scored(x, partial(psnr_y, target=target_pixels(files, job.task), border=border(job.task)))
