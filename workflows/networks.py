"""Whether each network of an experiment can be built and takes its patches, found out on torch's meta device.

There a network is shapes without numbers: nothing is allocated and nothing computed. That costs seconds, most of them
for imports. So a variant without arguments of its own is not built, since the tests build them all; and an experiment whose
networks passed once is not checked again until they, the code or torch change.
"""

import hashlib
import inspect
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from baselines.variants import VARIANTS as BASELINES
from ipt_models.tasks import parse_task
from ipt_models.variants import VARIANTS as IPTS
from workflows import models
from workflows.config.grid import ConfigError, Experiment, Run
from workflows.files import write_text
from workflows.provenance import ROOT

LARGEST = 4096  # of a number in `kwargs`; the paper's largest is 256
BYTES_PER_PARAMETER = 16  # weight, gradient and Adam's two moments in float32
TESTED_MEMORY_MB, TESTED_PATCH = 3000, 24
PASSED = ".networks"  # in the experiment's folder: what passed


def check(experiment: Experiment) -> None:
    """Build every network of the grid, and let it restore a patch.

    Raises:
        ConfigError: one line per network that cannot, with its key and value.
    """
    runs = {_spec(run): run for run in experiment.trainings().values() if not is_tested(run)}
    passed, digest = experiment.folder / PASSED, _digest(sorted(runs))
    if not runs or (passed.is_file() and passed.read_text(encoding="utf-8") == digest):
        return
    lines = dict.fromkeys(line for run in runs.values() for line in _problems(run))
    if lines:
        raise ConfigError(list(lines))
    if experiment.folder.is_dir():
        write_text(digest, passed)


def is_tested(run: Run) -> bool:
    """Whether the tests build this very network, for a task and a patch of no smaller size."""
    variant = BASELINES.get(run.variant, {})
    known = run.variant in IPTS or (variant and variant.get("graph_features") != "vgg")
    common = run.training.memory_mb >= TESTED_MEMORY_MB and run.training.patch_size >= TESTED_PATCH
    return bool(known) and common and not run.kwargs and all(task in ("sr2", "sr3", "sr4") for task in run.tasks)


def _spec(run: Run) -> str:
    recipe = run.training
    limit = None if recipe.accelerator == "cuda" else recipe.memory_mb
    return json.dumps([run.model, run.variant, run.kwargs, run.tasks, recipe.patch_size, limit], sort_keys=True)


def _digest(specs: list[str]) -> str:
    files = sorted(path for package in ("ipt_models", "baselines") for path in (ROOT / package).glob("*.py"))
    digest = hashlib.sha256(json.dumps([specs, version("torch")]).encode())
    for path in (*files, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _problems(run: Run) -> Iterator[str]:
    if lines := list(_values(run)):
        yield from lines
        return
    import torch

    where = f"models: {run.model!r} ({run.variant}), kwargs {json.dumps(run.kwargs, default=str)}"

    try:
        network = _shape(run)
    except Exception as error:  # whatever a network raises is what is wrong with its arguments
        yield f"{where}: the network cannot be built: {_one_line(error)}"
        return
    needed = BYTES_PER_PARAMETER * sum(parameter.numel() for parameter in network.parameters()) / 1e6
    if run.training.accelerator != "cuda" and needed > run.training.memory_mb:
        yield (
            f"{where}: weights, gradients and Adam take {needed:,.0f} MB, but training.memory_mb is "
            f"{run.training.memory_mb:,}"
        )
    size = run.training.patch_size
    for task in run.tasks:
        side = parse_task(task).scale * size
        try:
            with torch.no_grad():
                shape = tuple(network(torch.zeros(1, 3, size, size, device="meta"), task).shape)
        except NotImplementedError:
            continue  # an operation that the meta device lacks says nothing of the network
        except Exception as error:
            yield f"{where}: cannot restore a {size}x{size} patch ({task}): {_one_line(error)}"
            return
        if shape != (1, 3, side, side):
            yield f"{where}: makes {shape} of a {size}x{size} patch ({task}), not (1, 3, {side}, {side})"


def _shape(run: Run) -> Any:
    """The network on the meta device."""
    import torch

    try:
        with torch.device("meta"):
            return models.build(run.variant, run.tasks, **run.kwargs)
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
    return models.build(run.variant, run.tasks, **run.kwargs).to("meta")  # some read numbers while they are built


def _values(run: Run) -> Iterator[str]:
    """A line for each argument that is of another type than the network's, or out of range."""
    arguments = {key: value for key, value in run.kwargs.items() if key != "match"}
    if not arguments:
        return
    where = f"models: kwargs.{{}} of {run.model!r} ({run.variant})"
    parameters = inspect.signature(models.network_class(run.variant), eval_str=True).parameters
    for key, value in arguments.items():
        wanted = parameters[key].annotation if key in parameters else inspect.Parameter.empty
        if wanted is not inspect.Parameter.empty and not _is(value, wanted):
            yield f"{where.format(key)}: {value!r}: expected {inspect.formatannotation(wanted)}"
        elif odd := [number for number in _numbers(value) if not 0 < number <= LARGEST]:
            yield f"{where.format(key)}: {odd[0]!r}: expected a number above 0 and up to {LARGEST}"


def _is(value: Any, wanted: Any) -> bool:
    """Whether a value of YAML is what an annotation asks for, without conversion; lists pass for tuples."""
    try:
        return _same(value, TypeAdapter(wanted).validate_python(value))
    except ValidationError:
        return False


def _same(value: Any, read: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) == len(read) and all(map(_same, value, read))
    if isinstance(read, Path):
        return isinstance(value, str)
    return value == read and (type(value) is type(read) or (type(value) is int and type(read) is float))


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
