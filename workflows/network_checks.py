"""Checks before the first job that every network of an experiment can be built.

They are built on torch's meta device, as shapes without values. That takes seconds, most of them for imports. So variants
without overridden arguments are not built, since the tests build them all, and networks that passed are not checked again
until they, the code or torch change.
"""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from baselines.own import complete, load_class, sources
from baselines.registry import NETWORK_OF
from ipt_models.variants import VARIANTS as IPTS
from workflows import models
from workflows.config.experiment import Experiment
from workflows.config.messages import ConfigError
from workflows.config.runs import Run
from workflows.config.schema import Method
from workflows.files import write_text
from workflows.provenance import ROOT

BYTES_PER_PARAMETER = 16  # weight, gradient and Adam's two moments in float32
ENOUGH_MEMORY_MB = 3000  # for every listed variant
PASSED = ".networks"  # in the experiment's folder: the networks that passed


def check(experiment: Experiment, scores: bool = True) -> None:
    """Build every network of the grid, and see whether the classes of external methods take their arguments.

    Args:
        scores: whether methods are scored.

    Raises:
        ConfigError: one line per network that cannot be built, with its arguments.
    """
    runs = {_spec(run): run for run in experiment.trainings().values() if not is_tested(run)}
    methods = [method for method in experiment.evaluation.methods if scores and method.network is not None]
    given = [[method.name, method.network, method.kwargs, sources(method.network, method.kwargs)] for method in methods]
    read = [json.dumps(one, sort_keys=True, default=str) for one in given]  # YAML has dates
    passed, digest = experiment.folder / PASSED, _digest(sorted([*runs, *read]))
    if not (runs or methods) or (passed.is_file() and passed.read_text(encoding="utf-8") == digest):
        return
    problems = [*(line for run in runs.values() for line in _problems(run)), *map(_unread, methods)]
    if lines := dict.fromkeys(filter(None, problems)):
        raise ConfigError(list(lines))
    if experiment.folder.is_dir():
        write_text(digest, passed)


def is_tested(run: Run) -> bool:
    """Whether the tests build exactly this network, for a task of the same kind."""
    listed = run.variant in IPTS or run.variant in NETWORK_OF
    enough = run.training.memory_mb >= ENOUGH_MEMORY_MB
    return listed and enough and not run.kwargs and all(task.startswith("sr") for task in run.tasks)


def _spec(run: Run) -> str:
    memory = None if run.training.accelerator == "cuda" else run.training.memory_mb
    files = sources(run.variant, run.kwargs)
    return json.dumps(
        [run.model, run.variant, run.kwargs, run.tasks, run.training.patch_size, memory, files],
        sort_keys=True,
        default=str,
    )


def _digest(specs: list[str]) -> str:
    digest = hashlib.sha256(json.dumps([specs, version("torch")]).encode())
    for path in (*sorted(ROOT.glob("ipt_models/*.py")), *sorted(ROOT.glob("baselines/*.py")), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _unread(method: Method) -> str | None:
    """Why the class of a method cannot be built with its arguments; None if it seems to be."""
    kwargs = {key: value for key, value in method.kwargs.items() if key != "match"}
    try:
        network = load_class(method.network)
        if kwargs or not models.is_native(method.checkpoint.expanduser()):  # otherwise the weights record them
            complete(network, method.network, 1, kwargs)
    except ValueError as error:
        return f"evaluation.methods: {method.name!r}: {' '.join(str(error).split())}"
    return None


def _problems(run: Run) -> Iterator[str]:
    try:
        parameters = models.check(run.variant, run.tasks, run.kwargs, run.training.patch_size)
    except Exception as error:  # whatever a network's constructor raises
        yield f"models: {run.model!r}: {' '.join(str(error).split()) or type(error).__name__}"
        return
    needed = BYTES_PER_PARAMETER * parameters / 1e6
    if run.training.accelerator != "cuda" and needed > run.training.memory_mb:
        yield (
            f"models: {run.model!r}: weights, gradients and Adam of {parameters:,} parameters take {needed:,.0f} MB, "
            f"but training.memory_mb is {run.training.memory_mb:,}"
        )
