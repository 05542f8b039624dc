"""The experiment: a config as a whole, and the runs that it expands to. Imports no torch and no stage."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from ipt_models.tasks import parse_task
from ipt_models.variants import VARIANTS as IPTS
from workflows.command_line import words
from workflows.config.choices import reference_restores
from workflows.config.runs import Run, fraction_label
from workflows.config.schema import FINETUNED, Data, Evaluation, Finetune, Model, Plan, Report, Section, Training
from workflows.config.values import FileName, Fraction, Seeds, Tasks, distinct


class Experiment(Section):
    """A whole experiment, as in one YAML file."""

    name: FileName = Field(description="results land in `results/<name>/`")
    seeds: Seeds = Field(
        [0], description="one run each; a seed decides initial weights, data order, augmentation, noise and subset"
    )
    fractions: Annotated[list[Fraction], AfterValidator(distinct), Field(min_length=1)] = Field(
        [1.0], description="fractions of the training images, in (0, 1]; with `finetune`, 0 skips pre-training"
    )
    more_seeds: dict[Fraction, Seeds] = Field(
        {}, description="further seeds at some of the fractions, in addition to `seeds`: `{0.2: [1, 2], 1.0: [1, 2]}`"
    )
    tasks: Tasks = Field(["sr2"], description="tasks to train on; each batch draws one")
    trial_seeds: Seeds = Field(
        [1000, 1001, 1002], description="seeds of the runs that try learning rates; none of the seeds that are compared"
    )
    data: Data = Field(Data(), description="training images")
    models: list[Model] = Field(description="the networks that are compared")
    training: Training = Field(Training(), description="the recipe")
    finetune: Finetune | None = Field(None, description="a second stage; empty: none")
    evaluation: Evaluation = Field(Evaluation(), description="what is scored")
    report: Report = Field(Report(), description="what the report shows")
    plan: Plan = Field(Plan(), description="how the plan estimates hours")

    def tasks_of(self, model: Model) -> list[str]:
        """The tasks that a model trains on."""
        return model.tasks or self.tasks

    @property
    def trained_tasks(self) -> list[str]:
        """The tasks of all models together."""
        tasks = dict.fromkeys(task for model in self.models for task in self.tasks_of(model))
        return list(tasks) or self.tasks

    @property
    def finetuned_task(self) -> str | None:
        """The task of the second stage; None without one."""
        return None if self.finetune is None else self.finetune.task or self.trained_tasks[0]

    @property
    def scored_tasks(self) -> list[str]:
        return self.trained_tasks if self.evaluation.tasks is None else self.evaluation.tasks

    def min_side(self, source: str = "data") -> int:
        """Smallest usable side of a source's image in pixels: a crop of the largest task of any of its runs must fit."""
        return max((run.min_side for run in self.trainings().values() if run.source == source), default=1)

    def pair_options(self, source: str = "data") -> list[str | int]:
        """The options by which the manifest finds a source's pairs; none for a source of clean images."""
        data = self.sources[source]
        if data.source != "paired_folders":
            return []
        tasks = {task for run in self.trainings().values() if run.source == source for task in run.tasks}
        (scale,) = {parse_task(task).scale for task in tasks}
        return [*words("--inputs", data.inputs), *words("--targets", data.targets), "--scale", scale]

    @property
    def references(self) -> list[str]:
        """The untrained references that are scored on some task."""
        names = self.evaluation.references
        if names is None:
            names = ["bicubic" if any(parse_task(task).kind == "sr" for task in self.scored_tasks) else "identity"]
        return [
            name
            for name in names
            if any(reference_restores(name, parse_task(t), self.evaluation.noise) for t in self.scored_tasks)
        ]

    @property
    def folder(self) -> Path:
        return Path("results") / self.name

    @property
    def sources(self) -> dict[str, Data]:
        """The source of each stage's images, by the folder of their tables."""
        return {"data": self.data} | ({"data/finetune": self.finetune.data} if self.finetune else {})

    def images(self, source: str) -> Path:
        """The folder of a source's images: the user's, or the one that they are drawn into."""
        return (self.sources[source].root or self.folder / source / "images").expanduser()

    def seeds_at(self, fraction: float) -> list[int]:
        """The seeds that are trained at a fraction."""
        return [*self.seeds, *self.more_seeds.get(fraction, [])]

    def recipe(self, model: Model, finetuned: bool = False, alone: bool = False) -> Training:
        """The training section with this model's overrides, and with those of the second stage or of it alone."""
        stage = {} if not finetuned else self.finetune.training
        if alone and self.finetune.alone is not None:
            stage = self.finetune.alone
        overrides = {**model.training, **stage}
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
                    # The contrastive loss belongs to pre-training: at fraction 0 its model equals the one without it.
                    if self.finetune is not None and (run is not None or not model.weighs_contrast):
                        tuned = self._finetuned(model, fraction, seed, run)
                        second[tuned.name] = tuned
        return first | second

    def ensembles(self) -> dict[str, list[str]]:
        """Each run's further tables of scores: an IPT's by the authors' averaged windows, the largest fraction's as asked."""
        largest = max(self.fractions)
        return {
            name: ["averaged"] * (run.variant in IPTS) + self.evaluation.ensembles * (run.fraction == largest)
            for name, run in self.runs().items()
        }

    def trials(self) -> dict[str, Run]:
        """The runs that try learning rates, by run name: each model's rates at the smallest and the largest fraction."""
        fractions = sorted(fraction for fraction in self.fractions if fraction)
        return {
            run.name: run
            for model in self.models
            for rate in model.learning_rates
            for fraction in dict.fromkeys((*fractions[:1], *fractions[-1:]))
            for seed in self.trial_seeds
            for run in [self._run(model, fraction, seed, rate)]
        }

    def trainings(self) -> dict[str, Run]:
        """Everything that may be trained: the grid and the trials."""
        return {**self.runs(), **self.trials()}

    def _run(self, model: Model, fraction: float, seed: int, rate: float | None = None) -> Run:
        recipe = self.recipe(model)
        tried = "" if rate is None else f"-lr-{rate:g}"
        return Run(
            experiment=self.name,
            name=f"{model.name}{tried}-{fraction_label(fraction)}-seed-{seed}",
            model=model.name,
            variant=model.variant,
            kwargs=model.kwargs,
            # λ = 0 is the same training as none, however it is written.
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
            name=f"{model.name}{FINETUNED}-{fraction_label(fraction)}-seed-{seed}",
            model=model.name + FINETUNED,
            variant=model.variant,
            kwargs=model.kwargs,
            contrastive=None,
            fraction=fraction,
            seed=seed,
            tasks=(self.finetuned_task,),
            data=self.finetune.data,
            training=self.recipe(model, finetuned=True, alone=pretrained is None),
            pretrained=pretrained,
        )
