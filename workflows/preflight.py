"""What a config names and no schema can check: folders, weights, benchmark sets and the images of the report.

Called once before the first job, by the Snakefile and by commands that take a config. Imports torch only where a network has
arguments of its own.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from baselines.registry import is_own
from workflows.config.benchmark_sets import SetError, parse_set
from workflows.config.grid import ConfigError, Experiment
from workflows.config.schema import nearest
from workflows.evaluation import sets


def check(experiment: Experiment) -> None:
    """Whether everything that the experiment needs is there.

    Raises:
        ConfigError: one message that names each key, its value and what would be right.
    """
    scored = experiment.evaluation
    absent = sets.fetchable(scored.sets, experiment.scored_tasks, scored.data_root) if scored.data_root else []
    lines = [*_training_folders(experiment), *_weights(experiment), *_networks(experiment)]
    try:
        sets.check(scored.sets, scored.data_root, experiment.scored_tasks, absent if scored.download else ())
    except (SetError, OSError) as error:
        hint = f"\n`evaluation.download: true` fetches {', '.join(absent)}" if absent and not scored.download else ""
        lines.append(f"evaluation.sets, evaluation.data_root: {error}{hint}")
    else:
        lines += _pictures(experiment, absent)
    if lines:
        raise ConfigError(lines)


def _training_folders(experiment: Experiment) -> Iterator[str]:
    keys = {"data": experiment.data} | ({"finetune.data": experiment.finetune.data} if experiment.finetune else {})
    for key, data in keys.items():
        if data.root is not None and not data.root.expanduser().is_dir():
            hint = "; name the folder that holds it" if data.root.expanduser().is_file() else ""
            yield f"{key}.root: {str(data.root)!r} is not a folder (seen from {os.getcwd()}){hint}"


def _networks(experiment: Experiment) -> Iterator[str]:
    """A line for each network that cannot be built as the config says. Networks as they are listed are known to build."""
    for model in experiment.models:
        if model.kwargs or is_own(model.variant):
            from workflows import models

            try:
                models.check(model.variant, experiment.tasks_of(model), model.kwargs)
            except ValueError as error:
                yield f"models: {model.name!r}: {error}"


def _weights(experiment: Experiment) -> Iterator[str]:
    for model in experiment.models:
        weights = model.kwargs.get("vgg_weights")
        if weights is not None and not Path(weights).expanduser().is_file():
            yield f"models: kwargs.vgg_weights of {model.name!r}: {weights!r} is not a file"


def _pictures(experiment: Experiment, absent: Iterable[str]) -> Iterator[str]:
    """A line for each image that the report is to show and that its set, where it is on disk, does not have."""
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
