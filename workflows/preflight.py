"""Checks beyond the schema's: folders, weights, benchmark sets, images of the report, and networks.

Called once before the first job, by the Snakefile and by commands that take a config.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from baselines.own import matched, source_file
from baselines.registry import NETWORK_OF
from baselines.vgg_weights import vgg_file
from ipt_models import weights_file
from ipt_models.suggestions import nearest
from workflows import launch, network_checks
from workflows.config.benchmark_sets import SetError, parse_set
from workflows.config.experiment import Experiment
from workflows.config.messages import ConfigError
from workflows.data.overlap import trained_on
from workflows.data.pairs import find_pairs
from workflows.data.sources import holds_images
from workflows.evaluation import sets
from workflows.evaluation.image_files import ImageError, inspect
from workflows.evaluation.job_options import JobOptions
from workflows.evaluation.outputs import RestoredFolder


def check(experiment: Experiment, scores: bool = True) -> None:
    """Check that everything that the experiment needs exists.

    Args:
        scores: whether networks are scored too, which needs the benchmark sets.

    Raises:
        ConfigError: one message that names each key, its value and what would be right.
    """
    lines = [*_training_folders(experiment), *_weights(experiment), *_contrasts(experiment)]
    if scores:
        lines += _scoring(experiment)
    if lines:
        raise ConfigError(lines)
    network_checks.check(experiment, scores)


def _scoring(experiment: Experiment) -> Iterator[str]:
    scored = experiment.evaluation
    absent = sets.fetchable(scored.sets, experiment.scored_tasks, scored.data_root) if scored.data_root else []
    try:
        sets.check(scored.sets, scored.data_root, experiment.scored_tasks, absent if scored.download else ())
    except (SetError, OSError) as error:
        hint = f"\n`evaluation.download: true` fetches {', '.join(absent)}" if absent and not scored.download else ""
        yield f"evaluation.sets, evaluation.data_root: {error}{hint}"
    else:
        yield from (*_pictures(experiment, absent), *_methods(experiment, absent), *_seen(experiment, absent))


def _training_folders(experiment: Experiment) -> Iterator[str]:
    keys = {"data": experiment.data} | ({"finetune.data": experiment.finetune.data} if experiment.finetune else {})
    for key, data in keys.items():
        if data.root is None:
            continue
        root = data.root.expanduser()
        if not root.is_dir():
            hint = "; name the folder that holds it" if root.is_file() else ""
            yield f"{key}.root: {str(data.root)!r} is not a folder (working directory: {os.getcwd()}){hint}"
        elif data.source == "paired_folders":
            try:
                find_pairs(root, data.inputs, data.targets)
            except (ValueError, OSError) as error:
                yield f"{key}: {error}"
        else:
            try:
                if not holds_images(root):
                    yield f"{key}.root: no images in {str(data.root)!r}"
            except OSError as error:
                yield f"{key}.root: {error}"


def _seen(experiment: Experiment, absent: Iterable[str]) -> Iterator[str]:
    """A line for each set and section of training images that have images in common."""
    scored = experiment.evaluation
    jobs = sets.find_jobs(scored.sets, experiment.scored_tasks, scored.data_root, absent)
    of_set: dict[str, dict[Path, None]] = {}
    for job in jobs:
        of_set.setdefault(job.request.label, {}).update(dict.fromkeys(sample.target for sample in job.samples))
    for source, data in experiment.sources.items():
        if data.root is None or not data.root.expanduser().is_dir():
            continue  # drawn images; or a folder that another line reports
        pairs = (data.inputs, data.targets) if data.source == "paired_folders" else None
        manifest = experiment.folder / source / "manifest.csv"
        try:
            seen = trained_on(
                {file for files in of_set.values() for file in files}, data.root.expanduser(), manifest, pairs
            )
        except (ValueError, OSError):
            continue  # likewise
        key = "data" if source == "data" else "finetune.data"
        for label, files in of_set.items():
            if common := [file for file in files if file in seen]:
                more = f" (and {len(common) - 1} more)" if len(common) > 1 else ""
                yield (
                    f"evaluation.sets: {label}: {common[0]}{more} is also a training image, {seen[common[0]]} in {key}.root; "
                    "train and score on different images"
                )


def lacking_gpus(experiment: Experiment, scores: bool = True) -> list[str]:
    """A line for each section whose unfinished jobs need more GPUs than CUDA shows on this machine."""
    trainings, scored = experiment.trainings(), experiment.evaluation
    networks = [*experiment.runs(), *(method.name for method in scored.methods if method.checkpoint)]
    needed = {
        "training": max(
            (
                run.training.devices
                for name, run in trainings.items()
                if run.training.accelerator == "cuda" and _lacks(experiment, name, "provenance.json")
            ),
            default=0,
        ),
        "evaluation": int(
            scores
            and scored.accelerator == "cuda"
            and any(_lacks(experiment, name, "metrics.csv") for name in networks)
        ),
    }
    seen = len(launch.visible_gpus()) if any(needed.values()) else 0
    return [
        f"{section}.accelerator: cuda: needs {count} GPU{'s' * (count > 1)}, but CUDA shows {seen or 'none'} here; "
        "`auto` takes a GPU where there is one"
        for section, count in needed.items()
        if count > seen
    ]


def _lacks(experiment: Experiment, name: str, result: str) -> bool:
    return not (experiment.folder / "runs" / name / result).is_file()


def _contrasts(experiment: Experiment) -> Iterator[str]:
    """The contrastive loss needs two images at every fraction; before listing, only drawn images have a known number."""
    for run in experiment.trainings().values():
        if run.contrastive and run.data.source == "dead_leaves":
            from workflows.data.fractions import count_of  # loads pandas

            images = count_of(run.subset_fraction, run.data.count - run.data.validation)
            if images < 2:
                yield (
                    f"fractions: {run.fraction:g} is one image, and the contrastive loss of {run.model!r} compares two or more; "
                    "raise data.count or the fraction"
                )
                return


def _weights(experiment: Experiment) -> Iterator[str]:
    for model in experiment.models:
        variant = NETWORK_OF[model.variant].variants[model.variant] if model.variant in NETWORK_OF else {}
        arguments = {**variant, **model.kwargs}
        if arguments.get("graph_features") == "vgg":
            weights = arguments.get("vgg_weights")
            if not isinstance(weights, str | None):
                yield f"models: kwargs.vgg_weights of {model.name!r}: {weights!r}: expected a path"
            elif not (path := vgg_file(weights)).is_file():
                yield (
                    f"models: kwargs.vgg_weights of {model.name!r}: {str(path)!r} is not a file; put torchvision's VGG19 there, "
                    "or choose `graph_features: encoder`"
                )


def _methods(experiment: Experiment, absent: Iterable[str]) -> Iterator[str]:
    """A line for each file that is no checkpoint, and each folder that lacks outputs."""
    scored = experiment.evaluation
    for method in scored.methods:
        key = f"evaluation.methods: {method.name!r}: "
        if method.checkpoint is not None and not method.checkpoint.expanduser().is_file():
            yield f"{key}checkpoint {str(method.checkpoint)!r} is not a file (working directory: {os.getcwd()})"
        elif method.checkpoint is not None:
            try:
                if not weights_file.begins_like_weights(method.checkpoint.expanduser()):
                    yield f"{key}checkpoint {str(method.checkpoint)!r} is neither a safetensors file nor one of PyTorch"
            except OSError as error:
                yield f"{key}checkpoint: {error}"
        for named, variant in (("network", method.network), ("kwargs.match", matched(method.kwargs))):
            try:
                if variant is not None:
                    source_file(variant)
            except ValueError as error:
                yield f"{key}{named} {error}"
        if method.restored is not None:
            tasks, scored_on = JobOptions(experiment).scored_sets(method.name)
            jobs = sets.find_jobs(scored_on, tasks, scored.data_root, absent)
            try:
                incomplete = RestoredFolder(method.restored.expanduser(), jobs).lacking(jobs)
            except ImageError as error:
                incomplete = [str(error)]
            if incomplete:
                more = f" and {len(incomplete) - 3} more" if len(incomplete) > 3 else ""
                yield f"{key}{'; '.join(incomplete[:3])}{more}"


def _pictures(experiment: Experiment, absent: Iterable[str]) -> Iterator[str]:
    """A line for each image of the report that is missing from its set, if the set is on disk."""
    for key, picture in experiment.report.pictures:
        asked = next(name for name in experiment.evaluation.sets if parse_set(name).label == picture.dataset)
        if parse_set(asked).name in absent:
            continue
        (job,) = sets.find_jobs([asked], [picture.task], experiment.evaluation.data_root)
        images = [sample.image for sample in job.samples]
        if picture.image not in images:
            some = ", ".join(images if len(images) <= 20 else [*images[:3], "…", images[-1]])
            near = nearest(picture.image, images)
            yield f"report.{key}: {picture.dataset} has no image {picture.image!r}{near}; it has {some}"
        elif crop := getattr(picture, "crop", None):
            height, width = inspect(job.samples[images.index(picture.image)].target)
            if crop[0] + crop[2] > width or crop[1] + crop[3] > height:
                yield (
                    f"report.{key}: crop {list(crop)} of {picture.image!r} is x, y, width, height, and reaches beyond its "
                    f"{width}x{height} pixels"
                )
