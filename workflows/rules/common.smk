"""What several rules ask of the experiment."""

from ipt_models.tasks import parse_task
from workflows.evaluation.sets import SETS, fetchable, parse_set
from workflows.imports import sources
from workflows.reporting import contents

SCORING = EXPERIMENT.evaluation
SCORED_TASKS = EXPERIMENT.scored_tasks
COMPARISONS = EXPERIMENT.report.comparisons
SHOWN = sorted({shown.image for shown in COMPARISONS})
# Compared models are those of the largest fraction and the first seed.
SHOWN_RUNS = [
    name for name, run in RUNS.items() if run.fraction == max(EXPERIMENT.fractions) and run.seed == EXPERIMENT.seeds[0]
]
# IPT's patch features are mapped for one image, by models without and with the contrastive loss.
MAPS = contents.maps(EXPERIMENT)
MAPPED_RUNS = [name for name in SHOWN_RUNS if MAPS and RUNS[name].model in MAPS.models]


# Sets that are fetched before anything is scored. Their receipts stand in for them as files of the workflow: Snakemake
# removes what a rule declares before the rule runs again, and a data set should not be lost so.
FETCHED = []
if SCORING.download:
    lacking = fetchable(SCORING.sets, SCORED_TASKS, SCORING.data_root)
    receipts = {name: f"{OUT}/data/sets/{name}.json" for name in SETS}
    FETCHED = [name for name, receipt in receipts.items() if name in lacking or exists(receipt)]
RECEIPTS = [f"{OUT}/data/sets/{name}.json" for name in FETCHED]


# Shared by trained models and references: the same protocol for both.
PROTOCOL = (
    f"--gray {SCORING.gray} --bicubic {SCORING.bicubic} --precision {SCORING.precision} --threads {SCORING.threads}"
    f" --noise {SCORING.noise} --device {SCORING.accelerator} --experiment {EXPERIMENT.name}"
    + (f" --data-root '{SCORING.data_root}'" if SCORING.data_root else "")
)


def scope(reference=None):
    """The tasks and sets to score; of an untrained reference, those that it has a meaning for."""
    kinds = {"bicubic": {"sr"}, "identity": {"dn", "dr"}, None: {"sr", "dn", "dr"}}[reference]
    tasks = [task for task in SCORED_TASKS if parse_task(task).kind in kinds]
    kinds = {parse_task(task).kind for task in tasks}
    sets = [name for name in SCORING.sets if kinds & set(parse_set(name).kinds)]
    return f"--tasks {' '.join(tasks)} --sets {' '.join(map(repr, sets))}"


def title(picture):
    """A picture in the names of files."""
    return f"{picture.task}-{picture.dataset}-{picture.image}"


def saved(run):
    """Outputs are kept of the images that the report shows, from the models that it compares."""
    return f"--save-images {OUT}/runs/{run}/images --images {' '.join(SHOWN)}" if SHOWN else ""


def code(*modules):
    """The report's sources that some of its modules work by: when one changes, what they made is made again."""
    return sources((f"workflows.reporting.{module}" for module in modules), "workflows.reporting")
