"""Checks across the sections of a config. Each check raises ValueError with the key, its value and what is right."""

from collections.abc import Iterator

from pydantic import ValidationError

from baselines.registry import UNTRAINED
from ipt_models.suggestions import nearest
from ipt_models.tasks import HeadError, can_restore, nearest_head, parse_task
from ipt_models.variants import VARIANTS as IPTS
from workflows.config.benchmark_sets import parse_set
from workflows.config.experiment import Experiment
from workflows.config.messages import lines_of
from workflows.config.runs import fraction_label
from workflows.config.schema import FINETUNED, TRAINABLE, Model, Training, arguments_of


def across_sections(experiment: Experiment) -> None:
    """All checks, most important first."""
    for check in (
        *(_seeds, _trials, _names, _models, _drawn, _finetuning, _pairs, _planning, _duplicates),
        *(_scoring, _methods, _subjects, _pictures),
    ):
        check(experiment)


def _seeds(experiment: Experiment) -> None:
    labels = [fraction_label(fraction) for fraction in experiment.fractions]
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(
            f"fractions: two are named {', '.join(repeated)} % in files; they have to differ in six digits"
        )
    for fraction, label in zip(experiment.fractions, labels, strict=True):
        if float(label) != round(100 * fraction, 12):
            raise ValueError(f"fractions: {fraction!r} is named {label} % in files; write it as {float(label) / 100:g}")
    for fraction, seeds in experiment.more_seeds.items():
        if fraction not in experiment.fractions:
            allowed = ", ".join(f"{f:g}" for f in experiment.fractions)
            raise ValueError(f"more_seeds: {fraction:g} is not one of the fractions; allowed: {allowed}")
        if repeated := sorted(set(seeds) & set(experiment.seeds)):
            raise ValueError(
                f"more_seeds: seed {', '.join(map(str, repeated))} at {fraction:g} is one of `seeds` already"
            )


def _trials(experiment: Experiment) -> None:
    trials = {model.name: len(model.learning_rates) for model in experiment.models if model.learning_rates}
    if len(set(trials.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in trials.items())
        raise ValueError(f"models: learning_rates differ in number ({counts}); every network must have the same number")
    compared = {seed for fraction in experiment.fractions for seed in experiment.seeds_at(fraction)}
    if trials and (shared := sorted(compared & {*experiment.trial_seeds})):
        raise ValueError(
            f"trial_seeds: {', '.join(map(str, shared))} is among the seeds that are compared; trials need others"
        )


def _names(experiment: Experiment) -> None:
    scoring = experiment.evaluation
    names = [*(model.name for model in experiment.models), *experiment.references, *(m.name for m in scoring.methods)]
    for name in names:
        where = "evaluation.methods" if name in (m.name for m in scoring.methods) else "models"
        if names.count(name) > 1:
            raise ValueError(f"{where}: two models are named {name!r}; names must be unique")
        if name in UNTRAINED and name not in experiment.references:
            raise ValueError(f"{where}: {name!r} is the name of an untrained reference; choose another name")
    tuned = {model.name + FINETUNED: model.name for model in experiment.models if experiment.finetune}
    for name in (method.name for method in scoring.methods if method.name in tuned):
        raise ValueError(
            f"evaluation.methods: {name!r} is what {tuned[name]!r} is called once it is fine-tuned; name it otherwise"
        )
    shown = {
        model.name: " ".join((model.label or model.name).split()) for model in (*experiment.models, *scoring.methods)
    }
    shown |= {name: name for name in experiment.references} | {
        name: f"{shown[tuned[name]]}, fine-tuned" for name in tuned
    }
    for name, label in shown.items():
        if other := next((one for one in shown if one != name and label in (one, shown[one])), None):
            section = "evaluation.methods" if name in {method.name for method in scoring.methods} else "models"
            raise ValueError(
                f"{section}: {name!r} has the label {label!r}, which is a name or label of {other!r}; tables and figures need "
                "one for each"
            )


def _models(experiment: Experiment) -> None:
    for model in experiment.models:
        tasks = experiment.tasks_of(model)
        if model.variant not in IPTS and len(tasks) > 1:
            raise ValueError(
                f"models: {model.name!r} ({model.variant}) restores one task, but tasks are {', '.join(tasks)}; "
                "only IPT has a head and a tail for each. A model may have its own `tasks`"
            )
        if not any(can_restore(tasks, parse_task(task)) for task in experiment.scored_tasks):
            raise ValueError(
                f"models: {model.name!r} trains on {', '.join(tasks)} and can restore none of the scored tasks "
                f"{', '.join(experiment.scored_tasks)}"
            )
        for stage, recipe in _recipes(experiment, model):
            _division(model, recipe, stage)
            if recipe.budget.epochs is None:
                steps = recipe.budget.resolve_steps(0, recipe.batch_size, 1)
                if recipe.warmup_steps >= steps:
                    raise ValueError(
                        f"models: {model.name!r}: {stage}.warmup_steps: {recipe.warmup_steps} is not less than the {steps} "
                        "steps of the run, which would never reach its learning rate"
                    )
            takes = {**IPTS.get(model.variant, {}), **model.kwargs}.get("patch_size", recipe.patch_size)
            if takes != recipe.patch_size:
                raise ValueError(
                    f"models: {model.name!r} takes patches of {takes} pixels, but {stage}.patch_size is "
                    f"{recipe.patch_size}; set one to the other"
                )


def _recipes(experiment: Experiment, model: Model) -> Iterator[tuple[str, Training]]:
    """The recipe of each stage, by the name of its section."""
    for stage in ("training", "finetune.training", "finetune.alone") if experiment.finetune else ("training",):
        try:
            yield stage, experiment.recipe(model, finetuned=stage != "training", alone=stage == "finetune.alone")
        except ValidationError as error:
            raise ValueError(f"models: {model.name!r}: " + "; ".join(lines_of(error, Training, stage))) from None


def _division(model: Model, recipe: Training, stage: str) -> None:
    """Whether a batch can be divided as the recipe says, and the network computed as it says."""
    where = f"models: {model.name!r}: "
    rows, rest = divmod(recipe.batch_size, recipe.processes)
    if rest:
        raise ValueError(
            f"{where}{stage}.batch_size {recipe.batch_size} cannot be shared by {recipe.processes} processes (devices "
            f"{recipe.devices} × num_nodes {recipe.num_nodes}); it has to be a multiple of them"
        )
    able = sorted(variant for variant in TRAINABLE if "gradient_checkpointing" in arguments_of(variant))
    if recipe.gradient_checkpointing and model.variant not in able:
        raise ValueError(
            f"{where}{stage}.gradient_checkpointing: {model.variant!r} cannot recompute its activations; allowed for "
            f"{', '.join(able)}"
        )
    contrastive = model.weighs_contrast and stage == "training"  # fine-tuning does without
    if recipe.compile == "cuda-graphs":
        # Graphs reuse memory: the next micro-batch overwrites the gradients of the one before, and a backward pass may
        # overwrite saved tensors, which the contrastive loss's share of the gradient needs for further passes.
        against = {
            f"{stage}.accelerator cpu": recipe.accelerator == "cpu",
            f"{stage}.micro_batch_size {recipe.micro_batch_size}": (recipe.micro_batch_size or rows) < rows,
            "a contrastive loss": contrastive,
        }
        if refused := [what for what, given in against.items() if given]:
            raise ValueError(
                f"{where}{stage}.compile: cuda-graphs does not go with {' or '.join(refused)}; allowed there: false, true"
            )
    if not contrastive:
        return
    if recipe.batch_size < 2:
        raise ValueError(f"{where}training.batch_size 1: the contrastive loss compares images; it needs at least 2")
    group = model.contrastive.group_size
    if group and (recipe.batch_size % group or (group < recipe.batch_size and rows % group)):
        raise ValueError(
            f"{where}contrastive.group_size {group} has to be the whole training.batch_size ({recipe.batch_size}), or divide "
            f"each process's rows ({rows})"
        )


def _drawn(experiment: Experiment) -> None:
    """Whether generated images are large enough for a patch."""
    for folder, data in experiment.sources.items():
        side, key = experiment.min_side(folder), folder.replace("/", ".").replace("data.finetune", "finetune.data")
        if data.source == "dead_leaves" and data.size < side:
            raise ValueError(f"{key}.size: {data.size} pixels are too few for a training patch, which takes {side}")


def _finetuning(experiment: Experiment) -> None:
    if experiment.finetune is None:
        if 0 in experiment.fractions:
            raise ValueError("fractions: 0 means training only on the images of `finetune`, which this config lacks")
        return
    task, trained = experiment.finetuned_task, experiment.trained_tasks
    allowed = [name for name in trained if name in experiment.scored_tasks]
    if experiment.finetune.task is None and len(trained) > 1:
        raise ValueError(f"finetune.task: is required when several tasks are trained; allowed: {', '.join(allowed)}")
    if task not in allowed:
        raise ValueError(f"finetune.task: {task!r} is not both trained and scored; allowed: {', '.join(allowed)}")
    names = [model.name for model in experiment.models]
    for model in experiment.models:
        if task not in experiment.tasks_of(model):
            raise ValueError(
                f"finetune.task: {model.name!r} trains on {', '.join(experiment.tasks_of(model))} and has no head for {task}"
            )
        if model.name + FINETUNED in names:
            raise ValueError(
                f"models: {model.name + FINETUNED!r} is what {model.name!r} is called once it is fine-tuned"
            )


def _pairs(experiment: Experiment) -> None:
    for source, data in experiment.sources.items():
        tasks = {task for run in experiment.trainings().values() if run.source == source for task in run.tasks}
        if data.source == "paired_folders" and len(tasks) > 1:
            key = "finetune.data" if "/" in source else "data"
            trained = ", ".join(sorted(tasks))
            raise ValueError(f"{key}.source: paired_folders supports one task, but the config trains {trained}")


def _planning(experiment: Experiment) -> None:
    names = [model.name for model in experiment.models]
    for name in experiment.plan.patches_per_second:
        if name not in names:
            raise ValueError(f"plan.patches_per_second.{name}: no model has this name; allowed: {', '.join(names)}")


def _duplicates(experiment: Experiment) -> None:
    first: dict[str, str] = {}
    for run in (run for run in experiment.runs().values() if not run.finetuned):
        if (other := first.setdefault(run.digest, run.model)) != run.model:
            raise ValueError(
                f"models: {other!r} and {run.model!r} are the same training under two names; one of them is enough"
            )


def _scoring(experiment: Experiment) -> None:
    for task in experiment.scored_tasks if experiment.models else ():
        try:
            nearest_head(parse_task(task), experiment.trained_tasks, "each model")
        except HeadError as error:
            raise ValueError(f"evaluation.tasks: {error}") from None
    kinds = {parse_task(task).kind for task in experiment.scored_tasks}
    for reference, fitting in (("bicubic", {"sr"}), ("identity", {"dn", "dr"})):
        if reference in (experiment.evaluation.references or ()) and not kinds & fitting:
            raise ValueError(
                f"evaluation.references: {reference!r} goes with {' and '.join(sorted(fitting))} tasks, "
                f"but the tasks are {', '.join(experiment.scored_tasks)}"
            )


def _methods(experiment: Experiment) -> None:
    for method in experiment.evaluation.methods:
        for key, allowed in (("tasks", experiment.scored_tasks), ("sets", experiment.evaluation.sets)):
            if unknown := [value for value in getattr(method, key) or () if value not in allowed]:
                raise ValueError(
                    f"evaluation.methods: {key} of {method.name!r}: {', '.join(unknown)} is not scored; "
                    f"the config scores {', '.join(allowed)}"
                )
        sets = method.sets or experiment.evaluation.sets
        kinds = {kind for name in sets for kind in parse_set(name).kinds}
        tasks = method.tasks or experiment.scored_tasks
        if not any(parse_task(task).kind in kinds for task in tasks):
            raise ValueError(
                f"evaluation.methods: {method.name!r} has nothing to score: of sets {', '.join(sets)} none is for tasks "
                f"{', '.join(tasks)}"
            )


def _subjects(experiment: Experiment) -> None:
    names = [model.name for model in experiment.models]
    for name in experiment.report.subjects:
        if name not in names:
            raise ValueError(
                f"report.subjects: {name!r}: no model has this name{nearest(name, names)}; allowed: {', '.join(names)}"
            )


def _pictures(experiment: Experiment) -> None:
    kinds = {request.label: request.kinds for request in map(parse_set, experiment.evaluation.sets)}
    for key, picture in experiment.report.pictures:
        unfit = parse_task(picture.task).kind not in kinds.get(picture.dataset, ())
        if unfit or picture.task not in experiment.scored_tasks:
            raise ValueError(
                f"report.{key}: {picture.image!r} is of {picture.dataset}, {picture.task}, but the config "
                f"scores {', '.join(kinds)} and {', '.join(experiment.scored_tasks)}, each set by its own tasks"
            )
