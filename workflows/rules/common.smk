"""Values that several rules take from the experiment and the machine."""

import json
import math
import os
import re
import signal
from functools import cache
from pathlib import Path

from baselines import own
from workflows import launch, provenance
from workflows.command_line import words
from workflows.config.benchmark_sets import SETS, parse_set
from workflows.data import listing
from workflows.evaluation.job_options import JobOptions
from workflows.evaluation.protocol import VERSION
from workflows.evaluation.set_digests import set_digests, sha256_of_folder
from workflows.evaluation.sets import fetchable
from workflows.reporting import outline

SCORING = EXPERIMENT.evaluation
COMPARISONS = EXPERIMENT.report.comparisons
SHOWN = sorted({shown.image for shown in COMPARISONS})
JOBS = JobOptions(EXPERIMENT)
METHODS = JOBS.methods
ENSEMBLED = [f"{OUT}/runs/{name}/metrics-{how}.csv" for name, hows in EXPERIMENT.ensembles().items() for how in hows]
# Similarity maps of IPT's patch features, for one image and models without and with the contrastive loss.
MAPS = outline.maps(EXPERIMENT)
MAPPED_RUNS = [
    name for name in JOBS.compared if MAPS and RUNS[name].model in MAPS.models and MAPS.picture.task in RUNS[name].tasks
]


# Sets that are fetched before scoring. Receipts represent them as files of the workflow: Snakemake
# removes a rule's declared outputs before the rule runs again, which must not delete a data set.
FETCHED = []
if SCORING.download:
    lacking = fetchable(SCORING.sets, EXPERIMENT.scored_tasks, SCORING.data_root)
    receipts = {name: f"{OUT}/data/sets/{name}.json" for name in SETS}
    FETCHED = [name for name, receipt in receipts.items() if name in lacking or exists(receipt)]
RECEIPTS = [f"{OUT}/data/sets/{name}.json" for name in FETCHED]


def written():
    """When the page and the plan were written."""
    paths = [Path(OUT, name) for name in ("plan.md", "report.html")]
    return {path: path.stat().st_mtime_ns for path in paths if path.exists()}


WRITTEN_BEFORE = written()


# The source of the images of each stage of training.
SOURCES = EXPERIMENT.sources
DRAWN = [name for name, data in SOURCES.items() if data.source == "dead_leaves"]


def images(source):
    """The folder of a stage's images, as a Path, which Snakemake does not record: the folder may move."""
    return EXPERIMENT.images(source)


def of_run(pick):
    """A rule's value, from the job's training."""
    return lambda wildcards: pick(TRAININGS[wildcards.run])


def either(names):
    """The constraint of a wildcard to one of these names."""
    return "|".join(map(re.escape, names)) or "none"


def method_options(name):
    """The input of a method's scores, and its description in tables."""
    method = METHODS[name]
    source = ["--model", method.checkpoint] if method.checkpoint else ["--restored", method.restored]
    network = words("--network", method.network) if method.network else []
    arguments = ["--kwargs", json.dumps(method.kwargs)] if method.kwargs else []
    parameters = ["--parameters", method.parameters] if method.parameters else []
    stated = words("--training-data", method.training_data)
    return [source[0], source[1].expanduser(), *network, *arguments, *stated, *parameters]


def method_digest(name):
    """A hash of a method's checkpoint and of the user's classes that decide its network; or of the folder of its outputs."""
    method = METHODS[name]
    digest = sha256_of_folder((method.checkpoint or method.restored).expanduser())
    return " ".join([digest, *(own.sources(method.network, method.kwargs).values() if method.network else ())])


def scored_images(name=None):
    """Hashes of the images of the sets that are scored: an added or replaced image is scored again."""
    return digests_of(*map(tuple, JOBS.scored_sets(name)))


@cache
def digests_of(tasks, sets):
    """These hashes, once for all runs with the same tasks and sets."""
    return set_digests(sets, tasks, SCORING.data_root, FETCHED, f"{OUT}/data/sets")


def sources(module, *patterns):
    """A module below workflows, all that it imports, and further files, as inputs: a change of one makes outputs again."""
    files = (path for pattern in patterns for path in (provenance.ROOT / "workflows").glob(pattern))
    # Relative, since Snakemake takes braces in an input's path for wildcards, and the checkout's path may contain some.
    return sorted(map(os.path.relpath, {*provenance.sources([f"workflows.{module}"]), *files}))


def environment(wildcards):
    """The environment of every rule. Snakemake formats its path, so braces in the checkout's path are doubled."""
    return str(Path(workflow.basedir) / "environment.yml").replace("{", "{{").replace("}", "}}")


# On a cluster the login node sizes the jobs, and its GPUs do not matter: there `auto` means no GPU.
HERE = workflow.local_exec and workflow.is_main_process
ACCELERATORS = {SCORING.accelerator, *(run.training.accelerator for run in RUNS.values())}
GPUS = launch.visible_gpus() if HERE and ACCELERATORS - {"cpu"} else []
if GPUS:
    # Without --resources gpu=N, one job per GPU; with N above the number of GPUs, N jobs share them.
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", len(GPUS))
    os.environ.update(RUNS_PER_GPU=str(max(1, math.ceil(workflow.global_resources["gpu"].value / len(GPUS)))))


def gpus(accelerator, devices=1):
    """The number of GPUs that a job requests."""
    return devices if accelerator == "cuda" or (accelerator == "auto" and GPUS) else 0


def slurm_options(run):
    """Slurm options: a warning before a job is stopped, so that a training saves and ends; and equal GPUs on every node."""
    warning = f"--signal=USR1@{min(120, 15 * run.training.runtime_minutes)}"
    even = f" --gpus-per-node={run.training.devices}" if run.training.num_nodes > 1 else ""
    return warning + even * bool(gpus(run.training.accelerator))


if workflow.remote_exec:
    # Slurm signals all processes of the job; the training saves, but the signal would kill Snakemake.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


class Alike(str):
    """A value for a command, for which Snakemake records another one that gives the same output."""

    def __new__(cls, value, recorded):
        alike = super().__new__(cls, value)
        alike.recorded = recorded
        return alike

    def __repr__(self):
        return repr(self.recorded)


@cache
def content(source):
    """A name for a source's images: it changes with them."""
    data = SOURCES[source]
    if source in DRAWN:
        return f"{data.count} {data.size}"
    folder, paired = Path(OUT, source), data.source == "paired_folders"
    files = (images(source), folder / "manifest.csv", folder / ".listing.npz")
    return listing.state(*files, workflow.is_main_process, paired, note=not workflow.dryrun)


@cache
def limits(source):
    """The limits of a source's manifest. Others that leave out the same images list, choose and train nothing again."""
    wanted = listing.Limits(EXPERIMENT.min_side(source), SOURCES[source].max_undecodable)
    recorded = wanted
    if workflow.is_main_process:
        recorded = listing.limits(Path(OUT, source), wanted, content(source), note=not workflow.dryrun)
    return listing.Limits(*map(Alike, wanted, recorded))


# Tables and weights depend on a source's content, not on its location: the content is a parameter of their rules.
@cache
def holds(source):
    """The values that determine a source's manifest: its images, and their division."""
    data, least = SOURCES[source], limits(source).min_side.recorded
    return f"{content(source)}, {data.validation} held out, seed {data.seed}, from {least} pixels"


def picture(known):
    """A picture's options on the command line."""

    def options(wildcards):
        shown = known[wildcards.picture]
        return [f"--{key}={getattr(shown, key)}" for key in ("task", "dataset", "image")]

    return options


def label(known):
    """A picture's labels in Snakemake's own report."""
    return lambda wildcards: {key: getattr(known[wildcards.picture], key) for key in ("task", "dataset", "image")}


def comparison_options(wildcards):
    """A comparison's section of the config."""
    shown = COMPARED[wildcards.picture]
    return (["--crop", *shown.crop] if shown.crop else []) + ["--crops-only"] * (not shown.whole)
