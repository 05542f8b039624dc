"""Scores for images that another program restored: a folder in place of a model. Imports no torch.

The folder of a task and set is `DIR/<task>/<set>`; with one task also `DIR/<set>`, with one set also `DIR/<task>`, with one of
each also `DIR` itself. The set has any of its names in any case. There an image's output has the image's name, with or without
appended words: `baby.png`, `baby_x2_SR.png`, `babyx2.png`. A file belongs to the longest image name that it begins with; files
for another scale and copies of targets or inputs match no image. Outputs may also keep the name of an exported input,
`baby_LR.png`, where no `baby_HR.png` shows that they are the inputs themselves; those of rainy images may have their target's
name.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from ipt_models.tasks import Task
from workflows.evaluation.image_files import ImageError, read
from workflows.evaluation.sets import Job, Sample, descend
from workflows.files import is_image

SCALE = re.compile(r"(?<![a-z\d])(?:x(\d)|(\d)x|srf_?(\d))(?![a-z\d])", re.IGNORECASE)
NO_OUTPUTS = ("hr", "gt", "lr", "target", "input")  # words that mark inputs and targets


class RestoredFolder:
    """Restored images on disk.

    Attributes:
        label: the method's name in tables: the folder's.
        setting: `plain`; the other program's settings are not known.
        parallel_images: images are read and compared in parallel, one per thread.
    """

    setting = "plain"
    parallel_images = True

    def __init__(self, folder: Path | str, jobs: list[Job]) -> None:
        """Find each image's file.

        Args:
            jobs: what is scored; with several tasks or sets the folder needs a folder for each.

        Raises:
            ImageError: no such folder, or no folder in it for a task or set.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ImageError(f"{folder} is not a folder of restored images")
        self.label = self.folder.resolve().name
        one_task = len({job.task for job in jobs}) == 1
        one_set = len({job.request.label for job in jobs}) == 1
        self._files: dict[tuple[str, str], dict[str, list[Path]]] = {}
        self._places: dict[tuple[str, str], Path] = {}
        for job in jobs:
            task, dataset = job.task.name, job.request.label
            benchmark = job.request.benchmark
            names = dict.fromkeys((dataset, job.request.name, *(benchmark.aliases if benchmark else ())))
            places = [f"{task}/{name}" for name in names]
            places += names if one_task else []
            places += [task] if one_set else []
            places += ["."] if one_task and one_set else []
            folders = (descend(self.folder, place) for place in places)
            place = next((folder for folder in folders if folder and _images(folder)), None)
            if place is None:
                looked = ", ".join(str(self.folder / place) for place in places)
                several = [what for what, one in (("task", one_task), ("set", one_set)) if not one]
                hint = f"; with several {'s and '.join(several)}s, each has a folder of its own" if several else ""
                raise ImageError(f"no restored images for {task} on {dataset}: looked for {looked}{hint}")
            self._places[task, dataset] = place
            self._files[task, dataset] = _outputs(_images(place), job)

    def head(self, task: Task) -> str:
        """Always empty: the other program's head is not known."""
        return ""

    def find(self, job: Job, sample: Sample) -> Path:
        """An image's file.

        Raises:
            ImageError: if there is none, or several fit.
        """
        where = job.task.name, job.request.label
        files = self._files[where].get(sample.image, [])
        if len(files) != 1:
            what = f"{len(files)} files fit: {', '.join(f.name for f in files)}" if files else "no file fits"
            if not files and (near := self._near(*where, sample.image)):
                what += f"; {', '.join(near)}: named as an input, as a target, or for another scale"
            elif not files and (other := self._other(*where)):
                what += f"; a file's name begins with the image's, as in {sample.image}.png, and {other} fits none"
            raise ImageError(f"{self._places[where] / sample.image}: {what}")
        return files[0]

    def _near(self, task: str, dataset: str, image: str) -> list[str]:
        """Names of files that match no image although they begin with this one's name and a word."""
        taken = {file for files in self._files[task, dataset].values() for file in files}
        pattern = re.compile(re.escape(image) + r"(?:[_.\- ]|x\d)")
        rest = (file for file in _images(self._places[task, dataset]) if file not in taken)
        return [file.name for file in rest if pattern.match(file.stem)]

    def _other(self, task: str, dataset: str) -> str | None:
        """Name of a file that is no image's output, if there is one."""
        taken = {file for files in self._files[task, dataset].values() for file in files}
        return next((file.name for file in _images(self._places[task, dataset]) if file not in taken), None)

    def lacking(self, jobs: list[Job]) -> list[str]:
        """A line for each image without a file or with several."""
        lines = []
        for job in jobs:
            for sample in job.samples:
                try:
                    self.find(job, sample)
                except ImageError as error:
                    lines.append(str(error))
        return lines

    def lossy(self, jobs: list[Job]) -> list[str]:
        """Names of the outputs that are JPEG files: their scores include what saving them lost."""
        files = (
            file for job in jobs for found in self._files[job.task.name, job.request.label].values() for file in found
        )
        return [file.name for file in files if file.suffix.lower() in (".jpg", ".jpeg")]

    def read(self, job: Job, sample: Sample, shape: tuple[int, int]) -> np.ndarray:
        """The restored image, uint8 (H, W, 3).

        Args:
            shape: height and width that it must have.

        Raises:
            ImageError: if it is missing, ambiguous, unreadable, of another size, or the target itself.
        """
        path = self.find(job, sample)
        if path.samefile(sample.target):
            raise ImageError(f"{path}: is the target of {sample.image} itself, not an output")
        pixels = read(path).pixels
        if pixels.shape[:2] != shape:
            height, width = pixels.shape[:2]
            raise ImageError(f"{path}: is {width}x{height}, expected {shape[1]}x{shape[0]} for {job.task.name}")
        return pixels


def _outputs(files: Collection[Path], job: Job) -> dict[str, list[Path]]:
    """`matches`, also by the names of the targets of given inputs: `norain-001` for `rain-001`."""
    by_target = {sample.target.stem: sample.image for sample in job.samples if sample.input}
    found = {by_target[target]: outputs for target, outputs in matches(files, by_target, job.task).items()}
    return found | matches(files, {sample.image for sample in job.samples}, job.task)


def matches(files: Collection[Path], images: Collection[str], task: Task) -> dict[str, list[Path]]:
    """For each image the files that may be its output: the one with exactly its name, or else all with words appended, or else
    the one with the name of its exported input.

    No file is among the outputs of two images.
    """
    exact: dict[str, list[Path]] = {}
    appended: dict[str, list[Path]] = {}
    as_inputs: dict[str, list[Path]] = {}
    stems = {file.stem for file in files}
    for file in files:
        name = file.stem.removesuffix("_LR")
        if file.stem in images:
            exact.setdefault(file.stem, []).append(file)
        elif name != file.stem and name in images and f"{name}_HR" not in stems:
            as_inputs.setdefault(name, []).append(file)
        elif image := next((name for name in _beginnings(file.stem, task.scale) if name in images), None):
            appended.setdefault(image, []).append(file)
    return as_inputs | appended | exact


def _beginnings(stem: str, scale: int) -> Iterator[str]:
    """Possible image names at the start of a file's name, longest first; none if the rest names another scale or a target."""
    for end in range(len(stem) - 1, 0, -1):
        rest = stem[end:]
        if not re.match(r"[_.\- ]|x\d(?![^_.\- ])", rest):
            continue  # the image's name continues
        scales = {int("".join(groups)) for groups in SCALE.findall(rest)}
        if scales <= {scale} and not set(re.split(r"[_.\- ]", rest.lower())).intersection(NO_OUTPUTS):
            yield stem[:end]


def _images(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if is_image(file) and file.is_file()]
