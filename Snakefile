"""From a config to a report: `snakemake --cores all` runs the demo, `--configfile config/X.yaml` another experiment."""

import os
import re
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

from workflows import preflight
from workflows.config import grid, reading
from workflows.data.__main__ import synthesize
from workflows.training import reuse

min_version("9.5")


# An experiment is one whole file: Snakemake would merge a default into a config given on the command line.
if not workflow.configfiles:

    configfile: "config/demo.yaml"


try:
    # Jobs parse the Snakefile again; the checks before the first job are not repeated.
    for path in workflow.configfiles if workflow.is_main_process else ():
        reading.load(path)
    EXPERIMENT = grid.parse(config)
    if workflow.is_main_process:
        preflight.check(EXPERIMENT)
    elif (started := EXPERIMENT.folder / "experiment.yaml").is_file():
        EXPERIMENT = grid.read(started)  # the user's file may have been edited since the first job
except grid.ConfigError as error:
    raise WorkflowError(str(error)) from None

# The interpreter that runs Snakemake also runs the stages, activated or not and from any directory.
PROGRAMS, CODE_ROOT = os.path.dirname(sys.executable), str(workflow.basedir)
if "{" in os.path.relpath(CODE_ROOT):
    raise WorkflowError(
        f"{CODE_ROOT}: Snakemake takes braces in paths for wildcards; start it in this folder, or rename it"
    )
# The data root is not a parameter of a rule, since moving it changes no score: commands get it as a shell array.
DATA_ROOT = ["--data-root", EXPERIMENT.evaluation.data_root] if EXPERIMENT.evaluation.data_root else []
shell.prefix("export PATH={PROGRAMS:q}:$PATH PYTHONPATH={CODE_ROOT:q}; DATA_ROOT=({DATA_ROOT:q}); ")

RUNS = EXPERIMENT.runs()
TRIALS = EXPERIMENT.trials()
TRAININGS = EXPERIMENT.trainings()
REFERENCES = EXPERIMENT.references
OUT = EXPERIMENT.folder.as_posix()
SPEC, PLANNED = f"{OUT}/experiment.yaml", f"{OUT}/logs/plan.yaml"


report: "workflows/reporting/captions/workflow.rst"


onstart:
    # Jobs of a grid that runs at the same time follow experiment.yaml, so a plan has a file of its own.
    if "plan" in workflow.dag_settings.targets:
        grid.write(EXPERIMENT, Path(PLANNED))
    if set(workflow.dag_settings.targets) != {"plan"}:
        # What is due may need none, as with `--until manifest`.
        starts_here = workflow.local_exec and not workflow.touch
        needs_gpus = starts_here and any(job.resources.get("gpu") for job in workflow.dag.needrun_jobs())
        if needs_gpus and (lacking := preflight.lacking_gpus(EXPERIMENT)):
            raise WorkflowError(str(grid.ConfigError(lacking)))
        grid.write(EXPERIMENT, EXPERIMENT.folder / "experiment.yaml")
        # Generated images are no input of the trainings: Snakemake would repeat finished ones for images that were deleted.
        for source in DRAWN:
            unfinished = [
                run
                for run in TRAININGS.values()
                if run.source == source and not reuse.is_finished(Path(OUT, "runs", run.name), run)
            ]
            if unfinished and Path(OUT, source, "manifest.csv").is_file() and not images(source).is_dir():
                synthesize(images(source), SOURCES[source].seed, SOURCES[source].count, SOURCES[source].size)


onsuccess:
    # Second links to finished trainings: an interrupted Snakemake would have deleted the first ones.
    for kept in EXPERIMENT.folder.glob("resume/*/finished"):
        shutil.rmtree(kept)
        for answer in kept.parent.glob(".answer-*"):
            answer.unlink()
        if not any(kept.parent.iterdir()):
            kept.parent.rmdir()
    for path in dict(written().items() - WRITTEN_BEFORE.items()):
        logger.info(path.read_text(encoding="utf-8") if path.suffix == ".md" else f"Report: {path}")


wildcard_constraints:
    run="|".join(map(re.escape, TRAININGS)) or "none",
    reference="bicubic|identity",
    percent=r"[0-9.]+",
    seed=r"\d+",
    ensemble="averaged|x8",


include: "workflows/rules/common.smk"
include: "workflows/rules/data.smk"
include: "workflows/rules/train.smk"
include: "workflows/rules/evaluate.smk"
include: "workflows/rules/analyse.smk"
include: "workflows/rules/report.smk"
include: "workflows/rules/plan.smk"


localrules:
    all,
    results,
    report,
    plan,


rule all:
    default_target: True
    input:
        f"{OUT}/report.html",
