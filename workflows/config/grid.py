"""The experiment: a config as a whole, what must hold between its sections, and the grid of runs that it expands to.

Imports no torch. A config is checked completely before any job starts. Whatever is wrong is told in one message that names
each key, its value and what is allowed.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ipt_models.tasks import parse_task
from ipt_models.variants import VARIANTS as IPTS
from workflows.config.presets import SizeError, choose, sizes
from workflows.config.schema import (
    DIVIDING,
    FEEDING,
    FINETUNED,
    TRAINABLE,
    WATCHING,
    Contrastive,
    Data,
    Evaluation,
    FileName,
    Finetune,
    Fraction,
    Model,
    Plan,
    Report,
    Section,
    Seeds,
    Sizes,
    Tasks,
    Training,
    arguments_of,
    distinct,
    nearest,
    sections,
)
from workflows.evaluation.protocol import HeadError, can_restore, nearest_head, reference_restores
from workflows.evaluation.sets import check as check_sets
from workflows.evaluation.sets import fetchable, parse_set, plan
from workflows.files import write_text


class ConfigError(ValueError):
    """What is wrong with a config, as one message for a person."""


class Run(Section):
    """One training: everything that decides its weights, and what it is called.

    A fine-tuned run begins from the weights of `pretrained` and has its `fraction`; at fraction 0 there is none.
    """

    experiment: str
    name: str
    model: str
    variant: str
    kwargs: dict[str, Any]
    contrastive: Contrastive | None
    fraction: float
    seed: int
    tasks: tuple[str, ...]
    data: Data
    training: Training
    pretrained: "Run | None" = None

    @property
    def percent(self) -> str:
        return percent(self.fraction)

    @property
    def min_side(self) -> int:
        """Smallest usable side of a training image in pixels."""
        return self.training.patch_size * max(parse_task(task).scale for task in self.tasks)

    @property
    def finetuned(self) -> bool:
        """Whether this is the second stage, or, at fraction 0, the second stage alone."""
        return self.pretrained is not None or self.fraction == 0

    @property
    def source(self) -> str:
        """Folder, in the experiment's, of the tables of its images."""
        return "data/finetune" if self.finetuned else "data"

    @property
    def share(self) -> float:
        """The share of its source's images that it trains on: `fraction` is the first stage's."""
        return 1.0 if self.finetuned else self.fraction

    @property
    def subset(self) -> str:
        """Table, in the experiment's folder, of its training images."""
        return f"{self.source}/fraction-{percent(self.share)}-seed-{self.seed}.csv"

    @property
    def cores(self) -> int:
        """Cores that a process of the run keeps busy: torch's threads and the loader's processes."""
        return self.training.threads + self.data.workers

    @property
    def group_size(self) -> int | None:
        """Images whose features meet in the contrastive loss; None without it."""
        if self.contrastive is None or self.contrastive.weight == 0:
            return None
        return self.contrastive.group_size or self.training.batch_size

    @property
    def digest(self) -> str:
        """Changes exactly when something changes that the weights depend on by more than the order of sums.

        `threads` is in it, because sums in another order are all it does and whoever sets it wants other bits or none;
        `DIVIDING` is not, because a run of weeks has to go on where there are devices.
        """
        spec = self.model_dump(mode="json", exclude={"experiment", "name", "model", "pretrained"})
        if self.pretrained is not None:
            spec["pretrained"] = self.pretrained.digest
        for key in (*WATCHING, *DIVIDING):
            del spec["training"][key]
        for key in FEEDING:
            del spec["data"][key]
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


class Experiment(Section):
    """A whole experiment, as one YAML file states it."""

    name: FileName = Field(description="results land in `results/<name>/`")
    seeds: Seeds = Field(
        [0], description="one run each; a seed decides initial weights, data order, augmentation, noise and subset"
    )
    fractions: Annotated[list[Fraction], AfterValidator(distinct), Field(min_length=1)] = Field(
        [1.0],
        description="shares of the training images, in (0, 1]; with `finetune` also 0: trained on its images alone",
    )
    more_seeds: dict[Fraction, Seeds] = Field(
        {}, description="further seeds at some of the fractions, beside `seeds`: `{0.2: [1, 2], 1.0: [1, 2]}`"
    )
    tasks: Tasks = Field(["sr2"], description="tasks to train on; each batch draws one")
    trial_seed: Annotated[int, Field(ge=0)] = Field(
        1000, description="seed of the runs that try learning rates; none of the seeds that are compared"
    )
    data: Data = Field(Data(), description="training images")
    models: list[Model] = Field(description="the networks that are compared")
    training: Training = Field(Training(), description="the recipe")
    finetune: Finetune | None = Field(None, description="a second stage; empty: none")
    evaluation: Evaluation = Field(Evaluation(), description="what is scored")
    report: Report = Field(Report(), description="what the report shows")
    plan: Plan = Field(Plan(), description="how the plan's hours are reckoned")

    @model_validator(mode="after")
    def _more_seeds_are_more(self):
        for fraction, seeds in self.more_seeds.items():
            if fraction not in self.fractions:
                raise ValueError(
                    f"more_seeds: {fraction:g} is none of the fractions; allowed: {', '.join(f'{f:g}' for f in self.fractions)}"
                )
            if repeated := sorted(set(seeds) & set(self.seeds)):
                raise ValueError(
                    f"more_seeds: seed {', '.join(map(str, repeated))} at {fraction:g} stands in `seeds` already"
                )
        return self

    @model_validator(mode="after")
    def _trials_are_fair(self):
        tried = {model.name: len(model.learning_rates) for model in self.models if model.learning_rates}
        if len(set(tried.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in tried.items())
            raise ValueError(f"models: learning_rates differ in number ({told}); every network gets as many trials")
        if tried and self.trial_seed in {seed for fraction in self.fractions for seed in self.seeds_at(fraction)}:
            raise ValueError(
                f"trial_seed: {self.trial_seed} is one of the seeds that are compared; trials need another"
            )
        return self

    @model_validator(mode="after")
    def _grid_is_sound(self):
        names = [model.name for model in self.models]
        for name in (*names, *self.evaluation.references):
            if (*names, *self.evaluation.references).count(name) > 1:
                raise ValueError(f"models: two models are named {name!r}; each name may stand once")
        for model in self.models:
            tasks = self.tasks_of(model)
            if model.variant not in IPTS and len(tasks) > 1:
                raise ValueError(
                    f"models: {model.name!r} ({model.variant}) restores one task, but tasks are {', '.join(tasks)}; "
                    "only IPT has a head and a tail for each. A model may have `tasks` of its own"
                )
            if not any(can_restore(tasks, parse_task(task)) for task in self.scored_tasks):
                raise ValueError(
                    f"models: {model.name!r} trains on {', '.join(tasks)} and can restore none of the scored tasks "
                    f"{', '.join(self.scored_tasks)}"
                )
            for stage in ("training", "finetune.training") if self.finetune else ("training",):
                try:
                    recipe = self.recipe(model, finetuned=stage != "training")
                except ValidationError as error:
                    raise ValueError(f"models: {model.name!r}: " + "; ".join(_lines(error, Training, stage))) from None
                _check_division(model, recipe)
                takes = {**IPTS.get(model.variant, {}), **model.kwargs}.get("patch_size", recipe.patch_size)
                if takes != recipe.patch_size:
                    raise ValueError(
                        f"models: {model.name!r} takes patches of {takes} pixels, but {stage}.patch_size is "
                        f"{recipe.patch_size}; set one to the other"
                    )
        self._check_finetune(names)
        for name in self.plan.patches_per_second:
            if name not in names:
                raise ValueError(f"plan.patches_per_second.{name}: no model has this name; allowed: {', '.join(names)}")
        first: dict[str, str] = {}
        for run in (run for run in self.runs().values() if not run.finetuned):
            if (other := first.setdefault(run.digest, run.model)) != run.model:
                raise ValueError(
                    f"models: {other!r} and {run.model!r} are the same training under two names; one of them is enough"
                )
        for task in self.scored_tasks if self.models else ():
            try:
                nearest_head(parse_task(task), self.trained_tasks, "each model")
            except HeadError as error:
                raise ValueError(f"evaluation.tasks: {error}") from None
        for reference in self.evaluation.references:
            # Without clipping nothing is left for `identity` on noise: it is omitted there.
            if not any(reference_restores(reference, parse_task(task)) for task in self.scored_tasks):
                raise ValueError(
                    f"evaluation.references: {reference!r} goes with {'sr' if reference == 'bicubic' else 'dn and dr'} tasks, "
                    f"but the tasks are {', '.join(self.scored_tasks)}"
                )
        scored = [parse_set(name).label for name in self.evaluation.sets]
        for key, shown in self.report.pictures:
            if shown.dataset not in scored or shown.task not in self.scored_tasks:
                raise ValueError(
                    f"report.{key}: {shown.image!r} is of {shown.dataset}, {shown.task}, but scored are "
                    f"{', '.join(scored)} and {', '.join(self.scored_tasks)}"
                )
        return self

    def tasks_of(self, model: Model) -> list[str]:
        """The tasks that a model trains on."""
        return model.tasks or self.tasks

    @property
    def trained_tasks(self) -> list[str]:
        """The tasks of all models together."""
        tasks = dict.fromkeys(task for model in self.models for task in self.tasks_of(model))
        return list(tasks) or self.tasks

    def _check_finetune(self, names: list[str]) -> None:
        if self.finetune is None:
            if 0 in self.fractions:
                raise ValueError("fractions: 0 is a training on the images of `finetune` alone, which is not there")
            return
        allowed = [task for task in self.trained_tasks if task in self.scored_tasks]
        if self.finetune.task is None and len(self.trained_tasks) > 1:
            raise ValueError(f"finetune.task: is missing, and there is more than one; allowed: {', '.join(allowed)}")
        if self.finetuned_task not in allowed:
            raise ValueError(
                f"finetune.task: {self.finetuned_task!r} is not both trained and scored; allowed: {', '.join(allowed)}"
            )
        for model in self.models:
            if self.finetuned_task not in self.tasks_of(model):
                raise ValueError(
                    f"finetune.task: {model.name!r} trains on {', '.join(self.tasks_of(model))} and has no head for "
                    f"{self.finetuned_task}"
                )
        for name in names:
            if name + FINETUNED in names:
                raise ValueError(f"models: {name + FINETUNED!r} is what {name!r} is called once it is fine-tuned")

    @property
    def finetuned_task(self) -> str | None:
        """The task of the second stage; None without one."""
        return None if self.finetune is None else self.finetune.task or self.trained_tasks[0]

    @property
    def scored_tasks(self) -> list[str]:
        return self.trained_tasks if self.evaluation.tasks is None else self.evaluation.tasks

    def min_side(self, source: str = "data") -> int:
        """Smallest usable side of a source's image in pixels: room for a crop of the largest task of any of its runs."""
        return max((run.min_side for run in self.trainings().values() if run.source == source), default=1)

    @property
    def references(self) -> list[str]:
        """The untrained references that are scored on some task."""
        return [
            name
            for name in self.evaluation.references
            if any(reference_restores(name, parse_task(t), self.evaluation.noise) for t in self.scored_tasks)
        ]

    @property
    def folder(self) -> Path:
        return Path("results") / self.name

    @property
    def sources(self) -> dict[str, Data]:
        """Where the images of each stage come from, by the folder of their tables."""
        return {"data": self.data} | ({"data/finetune": self.finetune.data} if self.finetune else {})

    def seeds_at(self, fraction: float) -> list[int]:
        """The seeds that are trained at a fraction."""
        return [*self.seeds, *self.more_seeds.get(fraction, [])]

    def recipe(self, model: Model, finetuned: bool = False) -> Training:
        """The training section with this model's overrides, and with those of the second stage."""
        overrides = {**model.training, **(self.finetune.training if finetuned else {})}
        return Training.model_validate({**self.training.model_dump(exclude_unset=True), **overrides})

    def runs(self) -> dict[str, Run]:
        """The grid: models × fractions × the fraction's seeds, by run name; then, if asked for, each of them fine-tuned."""
        first, second = {}, {}
        for model in self.models:
            for fraction in self.fractions:
                for seed in self.seeds_at(fraction):
                    run = self._run(model, fraction, seed) if fraction else None
                    if run is not None:
                        first[run.name] = run
                    # The contrastive loss belongs to pre-training: at fraction 0 there is nothing to tell its model by.
                    if self.finetune is not None and (run is not None or not model.weighs_contrast):
                        tuned = self._finetuned(model, fraction, seed, run)
                        second[tuned.name] = tuned
        return first | second

    def trials(self) -> dict[str, Run]:
        """The runs that try learning rates, by run name: each model's rates at the smallest and the largest fraction."""
        fractions = sorted(fraction for fraction in self.fractions if fraction)
        return {
            run.name: run
            for model in self.models
            for rate in model.learning_rates
            for fraction in dict.fromkeys((*fractions[:1], *fractions[-1:]))
            for run in [self._run(model, fraction, self.trial_seed, rate)]
        }

    def trainings(self) -> dict[str, Run]:
        """Everything that may be trained: the grid and the trials."""
        return {**self.runs(), **self.trials()}

    def _run(self, model: Model, fraction: float, seed: int, rate: float | None = None) -> Run:
        recipe = self.recipe(model)
        tried = "" if rate is None else f"-lr-{rate:g}"
        return Run(
            experiment=self.name,
            name=f"{model.name}{tried}-{percent(fraction)}-seed-{seed}",
            model=model.name,
            variant=model.variant,
            kwargs=model.kwargs,
            # λ = 0 is the training without it, whichever way it is written.
            contrastive=model.contrastive if model.weighs_contrast else None,
            fraction=fraction,
            seed=seed,
            tasks=tuple(self.tasks_of(model)),
            data=self.data,
            training=recipe if rate is None else recipe.model_copy(update={"learning_rate": rate}),
        )

    def _finetuned(self, model: Model, fraction: float, seed: int, pretrained: Run | None) -> Run:
        return Run(
            experiment=self.name,
            name=f"{model.name}{FINETUNED}-{percent(fraction)}-seed-{seed}",
            model=model.name + FINETUNED,
            variant=model.variant,
            kwargs=model.kwargs,
            contrastive=None,
            fraction=fraction,
            seed=seed,
            tasks=(self.finetuned_task,),
            data=self.finetune.data,
            training=self.recipe(model, finetuned=True),
            pretrained=pretrained,
        )


def _check_division(model: Model, recipe: Training) -> None:
    """Whether a batch can be divided as the recipe says, and the network recompute what it asks for."""
    where = f"models: {model.name!r}: "
    if recipe.batch_size % recipe.processes:
        raise ValueError(
            f"{where}training.batch_size {recipe.batch_size} cannot be shared by {recipe.processes} processes (devices "
            f"{recipe.devices} × num_nodes {recipe.num_nodes}); it has to be a multiple of them"
        )
    able = sorted(variant for variant in TRAINABLE if "gradient_checkpointing" in arguments_of(variant))
    if recipe.gradient_checkpointing and model.variant not in able:
        raise ValueError(
            f"{where}training.gradient_checkpointing: {model.variant!r} cannot recompute its activations; allowed for "
            f"{', '.join(able)}"
        )
    group = model.contrastive and model.contrastive.group_size
    if group and (
        recipe.batch_size % group or (group < recipe.batch_size and recipe.batch_size // recipe.processes % group)
    ):
        raise ValueError(
            f"{where}contrastive.group_size {group} has to be the whole training.batch_size ({recipe.batch_size}), or divide "
            f"what each process has of it ({recipe.batch_size // recipe.processes})"
        )


def percent(fraction: float) -> str:
    """0.2 → `20`, 0.005 → `0.5`: a fraction in the names of files."""
    return f"{100 * fraction:g}"


def parse(config: Mapping[str, Any], check_files: bool = True) -> Experiment:
    """Check a config and the files that it names.

    Args:
        config: as YAML gives it. Where it has several sizes, all are checked and the one that `budget` names is returned.
        check_files: whether the training folder and the benchmark sets have to be there.

    Raises:
        ConfigError: one message that names each key, its value and what is allowed.
    """
    experiment = _one_size(config)
    if check_files:
        sources = {"data": experiment.data} | (
            {"finetune.data": experiment.finetune.data} if experiment.finetune else {}
        )
        for key, source in sources.items():
            if source.root is not None and not source.root.expanduser().is_dir():
                hint = "; name the folder that holds it" if source.root.expanduser().is_file() else ""
                raise ConfigError(
                    f"The config is not valid:\n  {key}.root: {str(source.root)!r} is not a folder "
                    f"(seen from {os.getcwd()}){hint}"
                )
        for model in experiment.models:
            weights = model.kwargs.get("vgg_weights")
            if weights is not None and not Path(weights).expanduser().is_file():
                raise ConfigError(
                    f"The config is not valid:\n  models: kwargs.vgg_weights of {model.name!r}: {weights!r} is not a file"
                )
        scored = experiment.evaluation
        absent = fetchable(scored.sets, experiment.scored_tasks, scored.data_root) if scored.data_root else []
        try:
            check_sets(scored.sets, scored.data_root, experiment.scored_tasks, absent if scored.download else ())
        except (ValueError, OSError) as error:
            hint = (
                f"\n`evaluation.download: true` fetches {', '.join(absent)}" if absent and not scored.download else ""
            )
            raise ConfigError(
                f"The config is not valid:\n  evaluation.sets, evaluation.data_root: {error}{hint}"
            ) from None
        if lines := _absent_pictures(experiment, absent):
            raise ConfigError("The config is not valid:\n" + "\n".join(f"  {line}" for line in lines))
    return experiment


def _one_size(config: Mapping[str, Any]) -> Experiment:
    try:
        budget, found = choose(config), sizes(config)
    except SizeError as error:
        raise ConfigError(f"The config is not valid:\n  {error}") from None
    valid, lines = {}, []
    for name, size in found.items() if budget is not None else [(None, config)]:
        try:
            valid[name] = Experiment.model_validate(size)
        except ValidationError as error:
            where = "" if name is None else f"with budget {name}: "
            lines += [where + line for line in _lines(error)]
    if lines:
        raise ConfigError("The config is not valid:\n" + "\n".join(f"  {line}" for line in lines))
    return valid[budget]


def _absent_pictures(experiment: Experiment, absent: Iterable[str]) -> list[str]:
    """A line for each image that the report is to show and that its set, where it is there, does not have."""
    lines = []
    for key, shown in experiment.report.pictures:
        asked = next(name for name in experiment.evaluation.sets if parse_set(name).label == shown.dataset)
        if parse_set(asked).origin in absent:
            continue
        (job,) = plan([asked], [shown.task], experiment.evaluation.data_root)
        images = [sample.image for sample in job.samples]
        if shown.image not in images:
            few = ", ".join(images if len(images) <= 20 else [*images[:3], "…", images[-1]])
            lines.append(
                f"report.{key}: {shown.dataset} has no image {shown.image!r}{nearest(shown.image, images)}; it has {few}"
            )
    return lines


def read(path: Path | str, check_files: bool = False) -> Experiment:
    """Read an experiment's YAML file; see `parse`."""
    with open(path) as file:
        return parse(yaml.safe_load(file), check_files)


def write(experiment: Experiment, path: Path) -> None:
    """Write the resolved config, every default spelled out; leaves an equal file alone."""
    text = yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text() == text:
        return
    write_text(text, path)


def _lines(error: ValidationError, schema: type[Section] = Experiment, prefix: str = "") -> list[str]:
    """One line a problem: key, value, and what is allowed."""
    lines = []
    for problem in error.errors():
        location = [part for part in problem["loc"] if isinstance(part, int | str) and part != "[key]"]
        key = prefix
        for part in location:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
        value, kind, message = problem["input"], problem["type"], problem["msg"]
        if kind == "extra_forbidden":
            allowed = _keys(schema, location[:-1])
            lines.append(f"{key}: unknown key{nearest(location[-1], allowed)}; allowed: {', '.join(allowed)}")
        elif kind == "missing":
            lines.append(f"{key}: is missing")
        elif kind == "value_error":
            message = message.removeprefix("Value error, ")
            lines.append(message if not key else f"{key}: {_short(value)}: {message}")
        else:
            lines.append(f"{key}: {_short(value)}: {message[0].lower()}{message[1:]}")
    return lines


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _keys(schema: type[Section], location: list[int | str]) -> list[str]:
    """The keys that the section at `location` knows."""
    if not location and schema is Experiment:
        return [*schema.model_fields, *Sizes.model_fields]
    for part in location:
        if isinstance(part, int):
            continue
        annotation = schema.model_fields[part].annotation
        schema = next(t for t in sections(annotation))
    return list(schema.model_fields)
