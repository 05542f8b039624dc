"""Benchmark sets on disk: common locations, and whether a copy is complete. Imports no torch.

`workflows/config/benchmark_sets.py` defines sets and how to request them. Folders are relative to the data root.
"""

import itertools
import os
import re
from collections.abc import Collection, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ipt_models.tasks import Task, parse_task
from workflows.config.benchmark_sets import SETS, BenchmarkSet, Request, SetError, parse_set
from workflows.evaluation.image_files import ImageError, inspect
from workflows.evaluation.protocol import border, cropped
from workflows.files import is_image

# Below the data root, in this order. {name} is the set's name or an alias, {scale} the task's scale.
LAYOUTS = (
    "benchmark/{name}/HR",
    "benchmark/{name}",
    "{name}/HR",
    "{name}/image_SRF_{scale}",
    "{name}/{name}/image_SRF_{scale}",
    "{name}_SR/image_SRF_{scale}",
    "{name}/GT",
    "{name}",
    "{name}/{name}",
)
# Of targets and of inputs, in this order. The archives of Rain100L and Rain100H by their authors have rain/X2.
PAIR_FOLDERS = (("norain", "rain/X2"), ("norain", "rain"), ("norain", "rainy"), ("target", "input"), ("gt", "rain"))
SRF = re.compile(r"(?P<image>.+)_SRF_(?P<scale>\d)_(?P<kind>\w+)")
RAIN = re.compile(r"(?P<clean>no)?rain-(?P<key>.+?)(x2)?", re.IGNORECASE)


class Sample(NamedTuple):
    """One image of a set; `input` is set if the degraded image is a file too."""

    image: str
    target: Path
    input: Path | None = None


class SizeError(ImageError):
    """An input whose size does not fit its target at the task's scale."""


class Job(NamedTuple):
    """One task on one set."""

    task: Task
    request: Request
    samples: tuple[Sample, ...]


def fetchable(names: Iterable[str], tasks: Iterable[str], data_root: Path | str) -> list[str]:
    """The sets among `names` that have a public address and are missing from the data root for all of the tasks."""
    parsed = [parse_task(name) for name in tasks]
    missing = {}
    for request in map(parse_set, names):
        benchmark = request.benchmark
        if benchmark and benchmark.download and not fetched_folder(benchmark, data_root).exists():
            fitting = [task for task in parsed if task.kind in request.kinds]
            if fitting and not any(_holds(request, task, data_root) for task in fitting):
                missing[benchmark.name] = None
    return list(missing)


def fetched_folder(benchmark: BenchmarkSet, data_root: Path | str) -> Path:
    """The folder that a set is fetched into."""
    return Path(data_root).expanduser() / benchmark.download["folder"]


def _holds(request: Request, task: Task, data_root: Path | str) -> bool:
    try:
        return bool(find(request, task, data_root))
    except SetError:
        return False


def find_jobs(
    names: Iterable[str], tasks: Iterable[str], data_root: Path | str | None, absent: Collection[str] = ()
) -> list[Job]:
    """The tasks scored on each set, and their files: every set with the tasks that the field scores on it.

    Args:
        absent: names of sets that are fetched later; their files are not needed yet.

    Raises:
        SetError: one message with everything that is unknown, missing, too few or without a partner, and the folders
            searched.
    """
    parsed = [parse_task(name) for name in tasks]
    jobs, problems = [], []
    requests = []
    for name in names:
        try:
            requests.append(parse_set(name))
        except SetError as error:
            problems.append(str(error))
    labels = [request.label for request in requests]
    asked = [*labels, *(f"task {task.name}" for task in parsed)]
    problems += [f"{name} is requested twice" for name in sorted({x for x in asked if asked.count(x) > 1})]
    for request in requests:
        fitting = [task for task in parsed if task.kind in request.kinds]
        if not fitting:
            kinds, given = " and ".join(request.kinds), ", ".join(task.name for task in parsed)
            problems.append(f"{request.label} is a set for {kinds}, and the tasks are {given}")
        fetched_later = request.benchmark is not None and request.benchmark.name in absent
        for task in fitting if not fetched_later else ():
            try:
                jobs.append(Job(task, request, tuple(find(request, task, data_root))))
            except SetError as error:
                if str(error) not in problems:
                    problems.append(str(error))
    for task in parsed:
        if requests and not any(task.kind in request.kinds for request in requests):
            fitting = ", ".join(s.name for s in SETS.values() if task.kind in s.tasks)
            problems.append(
                f"task {task.name}: none of {', '.join(labels)} is a set for it; sets that are: {fitting}, "
                "or NAME=FOLDER for any folder of images"
            )
    if problems:
        raise SetError("\n".join(problems))
    return jobs


def check(
    names: Sequence[str], data_root: Path | str | None, tasks: Sequence[str], absent: Collection[str] = ()
) -> None:
    """Check that every requested set can be scored: complete, headers readable, pairs of matching size, sides large enough.

    It reads headers, no pixels, and nothing of the sets named in `absent`, which are fetched later.

    Raises:
        SetError: one message with every problem and the folders searched.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    problems: dict[str, None] = {}  # in order, each once
    for job in find_jobs(names, tasks, data_root, absent):
        misfits: list[str] = []
        for sample in job.samples:
            try:
                for path in filter(None, (sample.target, sample.input)):
                    if path not in sizes:
                        sizes[path] = inspect(path)
                given = sizes[sample.input] if sample.input else None
                check_sizes(sample, job.task, sizes[sample.target], given)
            except SizeError as error:
                misfits.append(str(error))
            except ImageError as error:
                problems[str(error)] = None
        if misfits:
            of = f" (the first of {len(misfits)} such pairs)" if len(misfits) > 1 else ""
            problems[f"{misfits[0]}{of}; the task {job.task.name} comes from the key `tasks`"] = None
    if problems:
        raise SetError("\n".join(problems))


def check_sizes(sample: Sample, task: Task, target: tuple[int, int], given: tuple[int, int] | None) -> None:
    """Check that an image can be scored: pixels are left inside the border, and a given input fits its target.

    Args:
        target, given: height and width of the target and of the given input.

    Raises:
        ImageError: naming the file.
    """
    size, cut = cropped(*target, task), border(task)
    if min(size) <= 2 * cut:
        raise ImageError(
            f"{sample.target}: {target[1]}x{target[0]} pixels leave nothing inside the border of {cut} that {task.name} cuts"
        )
    if given and (given[0] * task.scale, given[1] * task.scale) != size:
        raise SizeError(
            f"{sample.input}: {given[1]}x{given[0]} pixels do not match "
            f"{sample.target.name} ({target[1]}x{target[0]}) at scale {task.scale}"
        )


def find(request: Request, task: Task, data_root: Path | str | None) -> list[Sample]:
    """The files of a set, sorted by image name.

    Raises:
        SetError: if files are missing, too few, too many or unpaired, with the folders searched.
    """
    if request.benchmark is None:
        return _find_folder(request, task, Path(data_root or ".").expanduser())
    benchmark = request.benchmark
    if benchmark.package:
        samples = _find_package(benchmark)
    elif data_root is None:
        raise SetError(f"{benchmark.name}: no data root given; it is the folder that holds {benchmark.name}/")
    else:
        samples = _find_benchmark(benchmark, request.first, task, Path(data_root).expanduser())
    return samples[: request.first]


def _find_package(benchmark: BenchmarkSet) -> list[Sample]:
    spec = find_spec(benchmark.package["name"])  # locates the folder without importing the package
    if spec is None or not spec.submodule_search_locations:
        raise SetError(f"{benchmark.name}: the package {benchmark.package['name']} is not installed")
    folder = Path(spec.submodule_search_locations[0]) / benchmark.package["folder"]
    missing = [name for name in benchmark.package["files"] if not (folder / name).is_file()]
    if missing:
        raise SetError(f"{benchmark.name}: no {', '.join(missing)} in {folder}")
    return sorted(Sample(Path(name).stem, folder / name) for name in benchmark.package["files"])


def _find_benchmark(benchmark: BenchmarkSet, first: int | None, task: Task, root: Path) -> list[Sample]:
    """The first folder that holds the whole set; if there is none, the message names the most complete one."""
    names = (benchmark.name, *benchmark.aliases)
    layouts = [*benchmark.folders, *(layout.format(name=n, scale=task.scale) for n in names for layout in LAYOUTS)]
    best: tuple[list[Sample], Path] | None = None
    trouble = []
    for layout in dict.fromkeys(layouts):
        folder = descend(root, layout)
        if folder is None:
            continue
        try:
            samples = [s for s in _samples(folder, task) if re.fullmatch(benchmark.names, s.image)]
        except SetError as error:
            trouble.append(f"{benchmark.name}: {error}")
            continue
        if len(samples) == benchmark.count:
            return samples
        if samples and (best is None or len(samples) > len(best[0])):
            best = (samples, folder)
    if best and first and first <= len(best[0]) < benchmark.count:
        return best[0]
    if trouble:
        raise SetError("\n".join(trouble))
    pairs = "pairs" if task.kind == "dr" else "images"
    if best:
        samples, folder = best
        hint = f"; {benchmark.name}@{len(samples)} scores these alone" if len(samples) < benchmark.count else ""
        raise SetError(
            f"{benchmark.name} has {benchmark.count} {pairs}, {folder} has {len(samples)} for {task.name}{hint}"
        )
    places = ", ".join((*benchmark.folders, *LAYOUTS)).format(name="NAME", scale="{2,3,4}")
    folders = ", ".join(f"{clean} with {rainy}" for clean, rainy in PAIR_FOLDERS)
    inside = f"; in it rain-NUMBER beside norain-NUMBER, or {folders}" if task.kind == "dr" else ""
    fetch = (
        f"; `python -m workflows.evaluation download --sets {benchmark.name} --data-root {root}` fetches it"
        if benchmark.download
        else ""
    )
    raise SetError(
        f"{benchmark.name}: no {pairs} below {root}; looked in {places}, where NAME is {' or '.join(names)}{inside}{fetch}"
    )


def _find_folder(request: Request, task: Task, root: Path) -> list[Sample]:
    targets = _folder(request, request.targets, root)
    if request.inputs is None:
        samples = _samples(targets, task)
        if not samples:
            wanted = "pairs such as rain-001.png and norain-001.png" if task.kind == "dr" else "images"
            raise SetError(f"{request.label}: no {wanted} in {targets}")
        return samples
    inputs = _folder(request, request.inputs, root)
    try:
        samples = _paired(_images(targets), _images(inputs), task.scale)
    except SetError as error:
        raise SetError(f"{request.label}: {error}") from None
    if not samples:
        raise SetError(f"{request.label}: no images in {targets}")
    return samples


def _folder(request: Request, name: str, root: Path) -> Path:
    """A folder below the data root, or else below the working directory."""
    places = dict.fromkeys((root / Path(name).expanduser(), Path(name).expanduser()))
    for folder in places:
        if folder.is_dir():
            return folder
    raise SetError(f"{request.label}: no folder at {' or '.join(str(place.absolute()) for place in places)}")


def _samples(folder: Path, task: Task) -> list[Sample]:
    """The images of one folder in any known layout; empty if it holds none for the task."""
    files = _images(folder)
    if task.kind == "dr":
        for clean, rainy in PAIR_FOLDERS:
            targets, inputs = (descend(folder, name) for name in (clean, rainy))
            if targets and inputs and _images(targets) and _images(inputs):
                return _paired(_images(targets), _images(inputs))
        matches = [(file, RAIN.fullmatch(file.stem)) for file in files]
        targets = [file for file, match in matches if match and match["clean"]]
        inputs = [file for file, match in matches if match and not match["clean"]]
        return _paired(targets, inputs)
    scaled = [(file, match) for file in files if (match := SRF.fullmatch(file.stem))]
    if scaled:
        return _unique(
            Sample(match["image"], file)
            for file, match in scaled
            if match["kind"] == "HR" and int(match["scale"]) == task.scale
        )
    return _unique(Sample(file.stem, file) for file in files)


def _paired(targets: list[Path], inputs: list[Path], scale: int = 1) -> list[Sample]:
    """Join two lists of files by name: equal stems, `rain-001` with `norain-001`, `babyx2` with `baby` at scale 2."""
    by_key = _by_key((_pair_key(file), file) for file in targets)
    keys = map(_pair_key, inputs)
    keys = (key if key in by_key or scale == 1 else key.removesuffix(f"x{scale}") for key in keys)
    given = _by_key(zip(keys, inputs, strict=True))
    alone = [by_key.get(key, given.get(key)) for key in sorted(by_key.keys() ^ given.keys())]
    if alone:
        some = ", ".join(map(str, alone[:5])) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        raise SetError(f"without a partner: {some}")
    return _unique(
        Sample(given[key].stem if RAIN.fullmatch(given[key].stem) else target.stem, target, given[key])
        for key, target in by_key.items()
    )


def _by_key(files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for key, file in files:
        if (other := found.setdefault(key, file)) is not file:
            raise SetError(f"{other} and {file} are the same image twice")
    return found


def _pair_key(file: Path) -> str:
    match = RAIN.fullmatch(file.stem)
    return match["key"] if match else file.stem


def _unique(samples: Iterable[Sample]) -> list[Sample]:
    samples = sorted(samples)
    for before, after in itertools.pairwise(samples):
        if before.image == after.image:
            raise SetError(f"{before.target} and {after.target} are the same image twice")
    return samples


def _images(folder: Path) -> list[Path]:
    files = sorted(f for f in folder.iterdir() if is_image(f) and f.is_file())
    for file in files:
        try:
            file.name.encode()
        except UnicodeEncodeError:
            raise SetError(
                f"{folder}: the name of the file {os.fsencode(file.name)!r} is not UTF-8; rename it"
            ) from None
    return files


def descend(root: Path, path: str) -> Path | None:
    """A folder below root, ignoring case; None if there is none."""
    folder = root
    for part in path.split("/"):
        exact = folder / part
        if not exact.is_dir():
            if not folder.is_dir():
                return None
            exact = next((c for c in sorted(folder.iterdir()) if c.name.lower() == part.lower() and c.is_dir()), None)
            if exact is None:
                return None
        folder = exact
    return folder
