"""What several rules ask of the experiment, and of the machine."""

import math
import os
import re
import signal
from pathlib import Path

from ipt_models.tasks import can_restore, parse_task
from workflows import launch
from workflows.config.benchmark_sets import SETS, parse_set
from workflows.evaluation.sets import fetchable
from workflows.models import is_ipt
from workflows.reporting import outline

SCORING = EXPERIMENT.evaluation
SCORED_TASKS = EXPERIMENT.scored_tasks
COMPARISONS = EXPERIMENT.report.comparisons
SHOWN = sorted({shown.image for shown in COMPARISONS})
# Compared models are those of the largest fraction and the first seed.
SHOWN_RUNS = [
    name for name, run in RUNS.items() if run.fraction == max(EXPERIMENT.fractions) and run.seed == EXPERIMENT.seeds[0]
]
# Ensembled scores are those of the largest fraction too, of all seeds; only IPT has windows to overlap.
ENSEMBLED = [
    f"{OUT}/runs/{name}/metrics-{ensemble}.csv"
    for name, run in RUNS.items()
    for ensemble in SCORING.ensembles
    if run.fraction == max(EXPERIMENT.fractions) and (ensemble == "x8" or is_ipt(run.variant))
]
# IPT's patch features are mapped for one image, by models without and with the contrastive loss.
MAPS = outline.maps(EXPERIMENT)
MAPPED_RUNS = [
    name for name in SHOWN_RUNS if MAPS and RUNS[name].model in MAPS.models and MAPS.picture.task in RUNS[name].tasks
]


# Sets that are fetched before anything is scored. Their receipts stand in for them as files of the workflow: Snakemake
# removes what a rule declares before the rule runs again, and a data set should not be lost so.
FETCHED = []
if SCORING.download:
    lacking = fetchable(SCORING.sets, SCORED_TASKS, SCORING.data_root)
    receipts = {name: f"{OUT}/data/sets/{name}.json" for name in SETS}
    FETCHED = [name for name, receipt in receipts.items() if name in lacking or exists(receipt)]
RECEIPTS = [f"{OUT}/data/sets/{name}.json" for name in FETCHED]


# Where the images of each stage of training come from.
SOURCES = EXPERIMENT.sources
DRAWN = [name for name, data in SOURCES.items() if data.source == "dead_leaves"]


def images(source):
    """The folder of a stage's images. Snakemake records no parameter that is a Path: a folder may move."""
    return Path(OUT, source, "images") if source in DRAWN else SOURCES[source].root.expanduser()


def of_run(pick):
    """A rule's value, from the training that the job is for."""
    return lambda wildcards: pick(TRAININGS[wildcards.run])


def either(names):
    """The constraint of a wildcard that is one of these names."""
    return "|".join(map(re.escape, names)) or "none"


# Shared by trained models and references: the same protocol for both.
PROTOCOL = (
    f"--gray {SCORING.gray} --bicubic {SCORING.bicubic} --precision {SCORING.precision} --threads {SCORING.threads}"
    f" --noise {SCORING.noise} --experiment {EXPERIMENT.name}"
    + (f" --data-root '{SCORING.data_root}'" if SCORING.data_root else "")
)


def restores(name, task):
    """Whether a run's network, or an untrained reference, has a meaning for a task."""
    if name in REFERENCES:
        return parse_task(task).kind in {"bicubic": {"sr"}, "identity": {"dn", "dr"}}[name]
    return can_restore(RUNS[name].tasks, parse_task(task))


def scope(name=None):
    """The tasks and sets to score: those that a run's network or an untrained reference can restore; without a name all."""
    tasks = [task for task in SCORED_TASKS if name is None or restores(name, task)]
    kinds = {parse_task(task).kind for task in tasks}
    sets = [name for name in SCORING.sets if kinds & set(parse_set(name).kinds)]
    return f"--tasks {' '.join(tasks)} --sets {' '.join(map(repr, sets))}"


def title(picture):
    """A picture in the names of files."""
    return f"{picture.task}-{picture.dataset}-{picture.image}"


def comparison_options(wildcards):
    """What the config says of one picture."""
    wanted = (wildcards.task, wildcards.dataset, wildcards.image)
    shown = next(shown for shown in COMPARISONS if (shown.task, shown.dataset, shown.image) == wanted)
    crop = f"--crop {' '.join(map(str, shown.crop))}" if shown.crop else ""
    return crop + ("" if shown.whole else " --crops-only")


def saved(name):
    """Outputs are kept of the images that the report shows, from the models that it compares."""
    images = sorted({shown.image for shown in COMPARISONS if restores(name, shown.task)})
    return f"--save-images {OUT}/runs/{name}/images --images {' '.join(images)}" if images else ""


def sources(*patterns):
    """Source files that a rule depends on, by their names below workflows/: when one changes, what it made is made again."""
    folder = Path(workflow.basedir) / "workflows"
    return sorted(path.as_posix() for pattern in patterns for path in folder.glob(pattern))


# A cluster's jobs are sized where they are submitted, and not by what that machine has: there `auto` means no GPU.
HERE = workflow.local_exec and workflow.is_main_process
ACCELERATORS = {SCORING.accelerator, *(run.training.accelerator for run in RUNS.values())}
GPUS = launch.visible_gpus() if HERE and ACCELERATORS - {"cpu"} else []
if GPUS:
    # Without --resources gpu=N, one job a GPU; with N above their number, that many share them.
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", len(GPUS))
    os.environ.update(RUNS_PER_GPU=str(max(1, math.ceil(workflow.global_resources["gpu"].value / len(GPUS)))))


def gpus(accelerator, devices=1):
    """How many GPUs a job asks for."""
    return devices if accelerator == "cuda" or (accelerator == "auto" and GPUS) else 0


def slurm_options(run):
    """A warning before Slurm stops a job, on which a training saves and ends; and as many GPUs on every node."""
    warning = f"--signal=USR1@{min(120, 15 * run.training.runtime_minutes)}"
    even = f" --gpus-per-node={run.training.devices}" if run.training.num_nodes > 1 else ""
    return warning + even * bool(gpus(run.training.accelerator))


if workflow.remote_exec:
    # Slurm warns a whole job of its end; the training saves, Snakemake would die of it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
