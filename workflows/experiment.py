"""The experiment: the config's schema and the grid of runs that it expands to. Imports no torch.

A config is checked completely before any job starts. Whatever is wrong is told in one message that names
each key, its value and what is allowed.
"""

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from baselines.variants import ARGUMENTS as BASELINE_ARGUMENTS
from baselines.variants import UNTRAINED
from baselines.variants import VARIANTS as BASELINES
from ipt_models.tasks import ALLOWED as ALLOWED_TASKS
from ipt_models.tasks import parse_task
from ipt_models.variants import ARGUMENTS as IPT_ARGUMENTS
from ipt_models.variants import VARIANTS as IPTS
from workflows.evaluation.protocol import HeadError, can_restore, nearest_head
from workflows.evaluation.sets import SETS, fetchable, parse_set, plan
from workflows.evaluation.sets import check as check_sets
from workflows.sizes import SizeError, choose, sizes

TRAINABLE = (*IPTS, *(name for name in BASELINES if name not in UNTRAINED))


class ConfigError(ValueError):
    """What is wrong with a config, as one message for a person."""


def _one_of(kind: str, allowed: Iterable[str]):
    allowed = tuple(allowed)

    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"unknown {kind}{_nearest(value, allowed)}; allowed: {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def _nearest(value: str, allowed: Iterable[str]) -> str:
    match = difflib.get_close_matches(str(value), list(allowed), n=1)
    return f", did you mean {match[0]!r}?" if match else ""


def _task(value: str) -> str:
    known = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")
    try:
        parse_task(value)
    except ValueError:
        raise ValueError(f"unknown task{_nearest(value, known)}; allowed: {ALLOWED_TASKS}") from None
    return value


def _set(value: str) -> str:
    parse_set(value)
    return value


def _distinct(values: list) -> list:
    repeated = sorted({str(v) for v in values if values.count(v) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} stands there more than once; each may stand once")
    return values


TaskName = Annotated[str, AfterValidator(_task)]
Tasks = Annotated[list[TaskName], AfterValidator(_distinct), Field(min_length=1)]
SetName = Annotated[str, AfterValidator(_set)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_distinct), Field(min_length=1)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]

# What a fine-tuned network's name ends in.
FINETUNED = "-ft"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Data(Section):
    """Where training images come from and how they are fed."""

    source: Literal["dead_leaves", "image_folder"] = Field(
        "dead_leaves", description="`dead_leaves` draws synthetic images; `image_folder` reads what lies in `root`"
    )
    root: Path | None = Field(
        None,
        description="folder that holds ImageNet (`train/<class>/`, or its tar archives as they come), webdataset shards, "
        "DIV2K (`DIV2K_train_HR/`) or any images (`image_folder`)",
    )
    count: PositiveInt = Field(300, description="number of images to draw (`dead_leaves`)")
    size: Annotated[int, Field(ge=64)] = Field(192, description="side of a drawn image in pixels (`dead_leaves`)")
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="seed of the drawn images (`dead_leaves`) and of the choice of validation images"
    )
    validation: PositiveInt = Field(
        8, description="images held out of every fraction, for the learning curve alone; they choose nothing"
    )
    max_undecodable: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="largest share of files that cannot be decoded; above it the manifest stops with a message"
    )
    crops_per_image: PositiveInt = Field(1, description="crops taken each time an image is decoded")
    buffer_images: PositiveInt = Field(
        1024, description="images among which crops are shuffled; two crops of one decoded image never share a batch"
    )
    cache_mb: Annotated[int, Field(ge=0)] = Field(
        1024, description="memory for decoded images, in MB a training process; its loader processes share it out"
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        0, description="loader processes a run; 0 loads in the training process"
    )

    @model_validator(mode="after")
    def _root_belongs_to_folder(self):
        if (self.source == "image_folder") != (self.root is not None):
            raise ValueError("`root` goes with `source: image_folder`, and only with it")
        return self


class Contrastive(Section):
    """IPT's contrastive loss between patch features."""

    weight: Annotated[float, Field(ge=0)] = Field(0.1, description="λ beside the L1 loss on the 0-255 scale")
    formulation: Literal["supcon", "paper"] = Field("supcon", description="see `ipt_models/contrastive.py`")
    temperature: PositiveFloat | None = Field(
        None, description="temperature; empty: the formulation's own (0.07 for `supcon`, 1 for `paper`)"
    )
    group_size: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="images of a batch that are compared with one another: an anchor's negatives are the patches of the "
        "others, on however many devices and in however many micro-batches they are. Divides `training.batch_size`; "
        "empty: the whole batch",
    )


class Budget(Section):
    """How long a run trains. Exactly one of the three."""

    steps: PositiveInt | None = Field(None, description="optimizer steps, the same at every fraction")
    patches: PositiveInt | None = Field(None, description="training patches, the same at every fraction")
    epochs: PositiveFloat | None = Field(
        None, description="passes over the fraction: fewer steps on less data (an ablation, not the main comparison)"
    )

    @model_validator(mode="after")
    def _exactly_one(self):
        given = [key for key in ("steps", "patches", "epochs") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of steps, patches, epochs is needed, not {given or 'none'}")
        return self

    def resolve_steps(self, images: int, batch_size: int, crops_per_image: int) -> int:
        """Optimizer steps for a fraction of `images` images."""
        if self.steps is not None:
            return self.steps
        patches = self.patches if self.patches is not None else self.epochs * images * crops_per_image
        return max(1, round(patches / batch_size))


class Training(Section):
    """The recipe. A model may override each key under its own `training`."""

    budget: Budget = Field(Budget(steps=1000), description="how long a run trains: `steps`, `patches` or `epochs`")
    batch_size: PositiveInt = Field(16, description="patches a step, over all devices and micro-batches")
    micro_batch_size: PositiveInt | None = Field(
        None,
        description="patches that a device computes at a time; the gradients of several are accumulated. Empty: its whole "
        "share of the batch",
    )
    devices: PositiveInt = Field(1, description="devices of a run on each node, with a process each (DDP)")
    num_nodes: PositiveInt = Field(
        1, description="nodes of a run; on several, Slurm or `torchrun` starts the processes"
    )
    patch_size: PositiveInt = Field(48, description="side of the network's input patch in (low-resolution) pixels")
    learning_rate: PositiveFloat = Field(5e-5, description="Adam's learning rate after warm-up")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="Adam's betas"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(0, description="steps of linear warm-up")
    schedule: Literal["cosine", "paper", "constant"] = Field(
        "cosine", description="`cosine` to zero; `paper`: × 0.4 after two thirds (5e-5 to 2e-5); `constant`"
    )
    gradient_clip: PositiveFloat | None = Field(
        None, description="largest norm of the whole gradient; empty: no clipping"
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "64-true"] = Field(
        "auto",
        description="Fabric's precision; `auto` is `bf16-mixed` on GPUs with bf16 and on CPUs with AMX, else `32-true`",
    )
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        "highest",
        description="torch's arithmetic for float32 products: `high` allows TF32 on CUDA, in convolutions too; `highest` "
        "is float32",
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay a step of an exponential moving average of the weights, for example 0.999; the average after the "
        "last step is what is scored. Empty: none, the weights of the last step are scored",
    )
    compile: bool = Field(False, description="the network goes through `torch.compile`")
    gradient_checkpointing: bool = Field(
        False, description="less memory for more time: activations are computed again in the backward pass (IPT, RDN)"
    )
    channels_last: bool = Field(True, description="convolutions in channels-last memory order")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="Fabric's accelerator")
    threads: PositiveInt = Field(
        1, description="torch's threads a run. Part of the result's bits, therefore never taken from `--cores`"
    )
    log_every: PositiveInt = Field(50, description="steps between rows of train.csv")
    validate_every: PositiveInt = Field(250, description="steps between measurements on held-out images")
    checkpoint_minutes: PositiveFloat = Field(
        5, description="minutes between checkpoints that a killed run resumes from"
    )
    reuse: bool = Field(
        True,
        description="copy a finished run of the same training from another experiment beside this one, if there is one",
    )
    checkpoint_steps: PositiveInt | None = Field(None, description="steps between checkpoints, beside the minutes")
    tensorboard: bool = Field(
        False, description="the rows of train.csv also go to `runs/<run>/tensorboard`, for `tensorboard --logdir`"
    )
    memory_mb: PositiveInt = Field(3000, description="memory a run asks the scheduler for, in MB")
    runtime_minutes: PositiveInt = Field(240, description="time a run asks the scheduler for, in minutes")

    @property
    def processes(self) -> int:
        """Processes of a run, one a device."""
        return self.devices * self.num_nodes

    @property
    def division(self) -> dict[str, Any]:
        """How a batch is divided, see `DIVIDING`."""
        return self.model_dump(include=set(DIVIDING))


# These do not touch the weights, so changing them trains nothing again.
WATCHING = (
    *("log_every", "validate_every", "checkpoint_minutes", "checkpoint_steps", "tensorboard", "reuse"),
    *("memory_mb", "runtime_minutes"),
)
# These divide the same computation otherwise. Sums are rounded in another order, nothing else differs: a run may go on, and
# its results stay, on other devices than it began on. The provenance tells what a run was computed on.
DIVIDING = ("devices", "num_nodes", "micro_batch_size", "gradient_checkpointing")
FEEDING = ("cache_mb", "workers")


class Model(Section):
    """One line of the comparison."""

    name: FileName = Field(description="name in tables and folders, unique")
    label: str | None = Field(None, description="name in figures; empty: `name`")
    variant: Annotated[str, _one_of("model", TRAINABLE)] = Field(
        description="a network: `python -m ipt_models list`, `python -m baselines list`"
    )
    kwargs: dict[str, Any] = Field({}, description="arguments that override the variant's, for example `depth: 4`")
    contrastive: Contrastive | None = Field(None, description="IPT's contrastive loss; empty: none")
    tasks: Tasks | None = Field(None, description="tasks that this model trains on; empty: the experiment's")
    training: dict[str, Any] = Field({}, description="overrides of `training` for this model, at every fraction alike")
    learning_rates: Annotated[list[PositiveFloat], AfterValidator(_distinct)] = Field(
        [],
        description="rates that are tried before: trained at the smallest and the largest fraction, judged on held-out "
        "training-source images alone, told in `learning_rates.md`. The one to use stands in `training.learning_rate`",
    )

    @property
    def weighs_contrast(self) -> bool:
        """Whether it is trained with the contrastive loss."""
        return self.contrastive is not None and self.contrastive.weight > 0

    @model_validator(mode="after")
    def _network_takes_arguments(self):
        known = _arguments(self.variant) + (() if self.variant in IPTS else ("match",))
        for key in self.kwargs:
            if key not in known:
                raise ValueError(
                    f"kwargs.{key} of {self.name!r}: {self.variant!r} takes no such argument{_nearest(key, known)}; "
                    f"allowed: {', '.join(known)}"
                )
        return self

    @model_validator(mode="after")
    def _contrastive_needs_ipt(self):
        if self.contrastive is not None and self.variant not in IPTS:
            raise ValueError(
                f"`contrastive` compares IPT's patch features, which {self.variant!r} lacks; allowed for {', '.join(IPTS)}"
            )
        return self


class Finetune(Section):
    """A second stage: each trained network is trained further, on one task and on images of its own."""

    data: Data = Field(description="its training images, with the keys of `data`; all of them are used")
    task: TaskName | None = Field(
        None, description="the task; IPT's other heads, tails and embeddings are left out. Empty: the only trained task"
    )
    training: dict[str, Any] = Field({}, description="overrides of `training` for this stage, after the model's own")


class Evaluation(Section):
    """What is scored. The protocol itself stands in `workflows/evaluation/protocol.py`."""

    sets: Annotated[list[SetName], AfterValidator(_distinct), Field(min_length=1)] = Field(
        ["photos"],
        description="benchmark sets: `photos` or a set of `workflows/evaluation/sets.yaml`; `B100@20`: its first 20 images; "
        "`mine=FOLDER` or `mine=TARGETS,INPUTS`: your own",
    )
    tasks: Annotated[list[TaskName], AfterValidator(_distinct)] | None = Field(
        None, description="tasks to score; empty: the trained ones"
    )
    data_root: Path | None = Field(None, description="folder that holds the sets, for example `benchmark/Set5/HR`")
    references: Annotated[list[Literal["bicubic", "identity"]], AfterValidator(_distinct)] = Field(
        ["bicubic"], description="untrained rows: `bicubic` for sr, `identity` (the input itself) for dn and dr"
    )
    ensembles: Annotated[list[Literal["x8", "overlap"]], AfterValidator(_distinct)] = Field(
        [],
        description="further scores of the runs of the largest fraction, in a table of their own: `x8` is the mean "
        "over flips and turns, `overlap` that over IPT's overlapping windows",
    )
    gray: Literal["rgb", "matlab"] = Field("rgb", description="how gray files are scored; see the protocol")
    bicubic: Literal["uint8", "float"] = Field("uint8", description="MATLAB's rounding (`uint8`) or none (`float`)")
    noise: Literal["clipped", "unclipped"] = Field(
        "clipped", description="whether noisy inputs are clipped to 0-255; some papers do not"
    )
    download: bool = Field(
        False,
        description="fetch sets that are not below `data_root` and have a public address: "
        + ", ".join(name for name, benchmark in SETS.items() if benchmark.download),
    )
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="precision of scoring")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="device of scoring")
    threads: PositiveInt = Field(1, description="torch's threads of a scoring job")
    memory_mb: PositiveInt = Field(3000, description="memory a scoring job asks the scheduler for, in MB")

    @model_validator(mode="after")
    def _download_has_a_place(self):
        if self.download and self.data_root is None:
            raise ValueError("`download` needs `data_root`, the folder that the sets are fetched into")
        return self


class Picture(Section):
    """An image that was scored."""

    dataset: str = Field(description="the image's set")
    image: str = Field(description="the image's name without suffix")
    task: TaskName = Field(description="the task")


class Comparison(Picture):
    """One picture of the report: an image by all models."""

    crop: tuple[int, int, int, int] | None = Field(
        None, description="x, y, width, height of the zoomed crop in HR pixels; empty: where the models differ most"
    )
    whole: bool = Field(
        True, description="show the whole image above the crops; `false` for images that must not be passed on"
    )


class Report(Section):
    """What the report shows beside tables and curves."""

    comparisons: list[Comparison] = Field([], description="images to show, each by all models at the largest fraction")
    similarity: Picture | None = Field(
        None,
        description="image whose IPT patch features are mapped; empty: the first of `comparisons`, where an IPT has a twin "
        "with the contrastive loss",
    )

    @property
    def pictures(self) -> list[tuple[str, Picture]]:
        """All images that are asked for, with the key that asks."""
        maps = [] if self.similarity is None else [("similarity", self.similarity)]
        return [*(("comparisons", shown) for shown in self.comparisons), *maps]


class Plan(Section):
    """What `snakemake plan` reckons with. Nothing of it changes a result."""

    patches_per_second: dict[str, PositiveFloat] = Field(
        {}, description="training speed by the model's name, where it is known; the others are measured on this machine"
    )
    seconds: PositiveFloat = Field(20, description="length of a measurement, of training steps alone")


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
    fractions: Annotated[list[Fraction], AfterValidator(_distinct), Field(min_length=1)] = Field(
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
        kinds = {parse_task(task).kind for task in self.scored_tasks}
        for reference in self.evaluation.references:
            if not (("sr" in kinds) if reference == "bicubic" else (kinds - {"sr"})):
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


class Sizes(Section):
    """One file may hold an experiment in several sizes, for example one for a GPU and one for two CPU cores."""

    budget: str | None = Field(
        None, description="the size that is run, one of `budgets`; `snakemake --config budget=gpu` chooses another"
    )
    budgets: dict[str, dict[str, Any]] = Field(
        {},
        description="what differs, by the name of the size. Sections are merged key by key (`training.budget` is not), "
        "other values replaced; `models` takes changes by the model's name, and an empty one leaves the model out. "
        "Results land in `results/<name>-<budget>/`",
    )


def _check_division(model: Model, recipe: Training) -> None:
    """Whether a batch can be divided as the recipe says, and the network recompute what it asks for."""
    where = f"models: {model.name!r}: "
    if recipe.batch_size % recipe.processes:
        raise ValueError(
            f"{where}training.batch_size {recipe.batch_size} cannot be shared by {recipe.processes} processes (devices "
            f"{recipe.devices} × num_nodes {recipe.num_nodes}); it has to be a multiple of them"
        )
    able = sorted(variant for variant in TRAINABLE if "gradient_checkpointing" in _arguments(variant))
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


def _arguments(variant: str) -> tuple[str, ...]:
    """What a variant's network takes beside its tasks."""
    return IPT_ARGUMENTS if variant in IPTS else BASELINE_ARGUMENTS[BASELINES[variant]["network"]]


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
                f"report.{key}: {shown.dataset} has no image {shown.image!r}{_nearest(shown.image, images)}; it has {few}"
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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


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
            lines.append(f"{key}: unknown key{_nearest(location[-1], allowed)}; allowed: {', '.join(allowed)}")
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


def sections(annotation: Any) -> Iterable[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from sections(argument)
