"""Scores for images that any other program restored: a folder in place of a model. Imports no torch.

An image is looked for as `DIR/<task>/<set>/<image>.*`, `DIR/<set>/<image>.*` or `DIR/<image>.*`; after the image's name may
stand what other programs append (`baby_x2_SR.png`, `babyx2.png`), as long as one file fits.
"""

import re
from pathlib import Path

import numpy as np

from ipt_models.tasks import Task
from workflows.evaluation.image_files import ImageError, read
from workflows.evaluation.sets import Job, Sample
from workflows.files import is_image


class RestoredFolder:
    """Restored images on disk.

    Attributes:
        label: the method's name in tables: the folder's.
        setting: `plain`: what the other program did is its own affair.
        side_by_side: images are read and compared side by side, one a thread.
    """

    setting = "plain"
    side_by_side = True

    def __init__(self, folder: Path | str, jobs: list[Job]) -> None:
        """Look at a folder.

        Args:
            jobs: what is scored: with several tasks or sets the folder has to tell them apart.

        Raises:
            ImageError: no such folder, or no place in it for a task or set.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ImageError(f"{folder} is not a folder of restored images")
        self.label = self.folder.resolve().name
        one_task = len({job.task for job in jobs}) == 1
        one_set = len({job.request.label for job in jobs}) == 1
        self._places = {}
        for job in jobs:
            task, dataset = job.task.name, job.request.label
            places = [self.folder / task / dataset]
            places += [self.folder / dataset] if one_task else []
            places += [self.folder / task] if one_set else []
            places += [self.folder] if one_task and one_set else []
            found = next((place for place in places if place.is_dir() and _images(place)), None)
            if found is None:
                looked = ", ".join(map(str, places))
                raise ImageError(f"no restored images for {task} on {dataset}: looked for {looked}")
            self._places[task, dataset] = found

    def head(self, task: Task) -> str:
        """No head is known: always empty."""
        return ""

    def read(self, job: Job, sample: Sample, shape: tuple[int, int]) -> np.ndarray:
        """The restored image, uint8 (H, W, 3).

        Args:
            shape: height and width that it has to have.

        Raises:
            ImageError: missing, ambiguous, unreadable or of another size.
        """
        folder = self._places[job.task.name, job.request.label]
        path = _match(folder, sample.image, job.task)
        pixels = read(path).pixels
        if pixels.shape[:2] != shape:
            height, width = pixels.shape[:2]
            raise ImageError(f"{path}: is {width}x{height}, expected {shape[1]}x{shape[0]} for {job.task.name}")
        return pixels


def _match(folder: Path, image: str, task: Task) -> Path:
    files = _images(folder)
    exact = [f for f in files if f.stem == image]
    appended = re.compile(rf"{re.escape(image)}(x{task.scale})?([_-].*)?")
    fitting = exact or [f for f in files if appended.fullmatch(f.stem)]
    if len(fitting) != 1:
        what = f"{len(fitting)} files fit: {', '.join(f.name for f in fitting)}" if fitting else "no file fits"
        raise ImageError(f"{folder / image}: {what}")
    return fitting[0]


def _images(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.iterdir()) if is_image(f)]
