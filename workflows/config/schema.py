"""The sections of a config: every key, what it may be, and what it means. Imports no torch."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from baselines.own import is_own, matched, source_file
from baselines.registry import NETWORK_OF, UNTRAINED
from ipt_models.suggestions import nearest
from ipt_models.variants import ARGUMENTS as IPT_ARGUMENTS
from ipt_models.variants import VARIANTS as IPTS
from workflows.config.benchmark_sets import SETS
from workflows.config.choices import Bicubic, Gray, Noise
from workflows.config.values import (
    Cores,
    Count,
    FileName,
    Line,
    Megabytes,
    NotNegative,
    Number,
    Pixels,
    Positive,
    Seed,
    SetName,
    Share,
    Switch,
    TaskName,
    Tasks,
    UserPath,
    distinct,
    whole,
)

TRAINABLE = (*IPTS, *(name for name in NETWORK_OF if name not in UNTRAINED))


def _variant(value: str) -> str:
    if is_own(value):
        source_file(value)
    elif value not in TRAINABLE:
        raise ValueError(
            f"unknown model{nearest(value, TRAINABLE)}; allowed: {', '.join(TRAINABLE)}, and path/to/net.py:Class or "
            "package.module:Class"
        )
    return value


# Suffix of a fine-tuned network's name.
FINETUNED = "-ft"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Data(Section):
    """Where training images come from and how they are loaded."""

    source: Literal["dead_leaves", "image_folder", "paired_folders"] = Field(
        "dead_leaves",
        description="`dead_leaves` generates synthetic images; `image_folder` reads the images in `root`; `paired_folders` reads "
        "real pairs of degraded and clean images",
    )
    root: UserPath | None = Field(
        None,
        description="folder that holds ImageNet (`train/<class>/`, its tar archives or Hugging Face's parquet files), "
        "webdataset shards, BasicSR's LMDB, DIV2K (`DIV2K_train_HR/`), any images (`image_folder`) or pairs "
        "(`paired_folders`)",
    )
    inputs: str | None = Field(
        None,
        description="degraded images of pairs: a folder in `root`, or a pattern with one `*`, for example `rain-*.png`",
    )
    targets: str | None = Field(
        None,
        description="clean images of pairs: a folder in `root`, or a pattern, for example `norain-*.png`. The text "
        "matched by `*`, or the path in the folder, pairs them with the inputs",
    )
    count: whole(2, 10**7) = Field(300, description="number of images to generate (`dead_leaves`)")
    size: whole(64, 8192) = Field(192, description="side of a generated image in pixels (`dead_leaves`)")
    seed: Seed = Field(
        0,
        description="seed of the generated images (`dead_leaves`), the choice of validation images and the positions of fixed "
        "crops",
    )
    validation: Count = Field(
        8, description="images held out of every fraction, for learning curves and learning-rate trials"
    )
    max_undecodable: Share = Field(
        0.01, description="largest fraction of undecodable files; above it the run stops with a message"
    )
    fixed_crops: whole(1, 10**6) | None = Field(
        None,
        description="number of crops per image, the same throughout training, placed by `data.seed` and the image "
        "only: a fixed set of patches for all models and seeds. Empty: a new crop each time",
    )
    crops_per_image: whole(1, 10**6) = Field(1, description="crops taken each time an image is decoded")
    buffer_images: Count = Field(
        1024, description="images among which crops are shuffled; two crops of one decoded image never share a batch"
    )
    cache_mb: whole(0, 10**9) = Field(
        1024,
        description="memory for decoded images, or for fixed crops, in MB per training process, divided among its loader "
        "processes",
    )
    workers: whole(0, 1024) = Field(0, description="loader processes per run; 0 loads in the training process")

    @property
    def epoch_crops(self) -> int:
        """Crops taken from an image per epoch."""
        return self.fixed_crops or self.crops_per_image

    @model_validator(mode="after")
    def _some_are_trained_on(self):
        if self.source == "dead_leaves" and self.validation >= self.count:
            raise ValueError(
                f"validation: all {self.count} generated images would be held out; `count` has to be larger"
            )
        return self

    @model_validator(mode="after")
    def _root_belongs_to_folder(self):
        drawn, paired = self.source == "dead_leaves", self.source == "paired_folders"
        for key, needed in {"root": not drawn, "inputs": paired, "targets": paired}.items():
            given = getattr(self, key) is not None
            if needed and not given:
                raise ValueError(f"`{key}` is missing; `source: {self.source}` needs it")
            if given and not needed:
                fitting = "image_folder` and `paired_folders" if key == "root" else "paired_folders"
                raise ValueError(f"`{key}` goes with `source: {fitting}`, not with `{self.source}`")
        for key in ("count", "size"):  # experiment.yaml spells out their defaults
            if not drawn and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"`{key}` goes with `source: dead_leaves`; `{self.source}` takes all images of `root`")
        return self


class Contrastive(Section):
    """IPT's contrastive loss between patch features."""

    weight: NotNegative = Field(0.1, description="λ, the weight relative to the L1 loss on the 0-255 scale")
    formulation: Literal["supcon", "paper"] = Field("supcon", description="see `ipt_models/contrastive.py`")
    temperature: Annotated[Positive, Field(ge=0.003)] | None = Field(
        None, description="temperature; empty: the formulation's own (0.07 for `supcon`, 1 for `paper`)"
    )
    group_size: whole(2, 10**6) | None = Field(
        None,
        description="images of a batch that are compared with one another: an anchor's negatives are the patches of the "
        "others, regardless of device or micro-batch. Divides `training.batch_size`; empty: the whole batch",
    )


class Budget(Section):
    """How long a run trains. Exactly one of the three."""

    steps: Count | None = Field(None, description="optimizer steps, the same at every fraction")
    patches: Count | None = Field(None, description="training patches, the same at every fraction")
    epochs: Positive | None = Field(
        None,
        description="passes over the fraction's images, or over its patches where crops are fixed: fewer steps on less data "
        "(an ablation, not the main comparison)",
    )

    @model_validator(mode="after")
    def _exactly_one(self):
        given = [key for key in ("steps", "patches", "epochs") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of steps, patches, epochs is needed, not {given or 'none'}")
        return self

    def resolve_steps(self, images: int, batch_size: int, epoch_crops: int) -> int:
        """Optimizer steps for a fraction of `images` images, with `epoch_crops` crops per image and epoch."""
        if self.steps is not None:
            return self.steps
        patches = self.patches if self.patches is not None else self.epochs * images * epoch_crops
        return max(1, round(patches / batch_size))


Decay = Annotated[Number, Field(ge=0, lt=1)]


class Training(Section):
    """The recipe. A model may override each key under its own `training`."""

    budget: Budget = Field(Budget(steps=1000), description="how long a run trains: `steps`, `patches` or `epochs`")
    batch_size: whole(1, 10**6) = Field(16, description="patches per step, over all devices and micro-batches")
    micro_batch_size: whole(1, 10**6) | None = Field(
        None,
        description="patches that a device computes at a time; the gradients of several are accumulated. Empty: its whole "
        "share of the batch",
    )
    devices: Cores = Field(1, description="devices per run on each node, one process each (DDP)")
    num_nodes: Cores = Field(1, description="nodes per run; with several, Slurm or `torchrun` starts the processes")
    augment: Switch = Field(
        True, description="flip and rotate patches, by one of the eight symmetries drawn anew each time"
    )
    patch_size: Pixels = Field(48, description="side of the network's input patch in (low-resolution) pixels")
    learning_rate: Positive = Field(5e-5, description="Adam's learning rate after warm-up")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's betas")
    warmup_steps: whole(0, 10**15) = Field(0, description="steps of linear warm-up")
    schedule: Literal["cosine", "paper", "constant"] = Field(
        "cosine", description="`cosine` to zero; `paper`: × 0.4 after two thirds (5e-5 to 2e-5); `constant`"
    )
    gradient_clip: Positive | None = Field(
        None,
        description="largest norm of the whole gradient, a safeguard against outliers: about four times the median norm, "
        "see `gradient_norm` and `clipped_share` in train.csv. Empty: no clipping",
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "64-true"] = Field(
        "auto",
        description="Fabric's precision; `auto` is `bf16-mixed` if that is faster (GPUs with bf16, CPUs with AMX, AMD's with "
        "AVX512-BF16), else `32-true`; provenance.json says why",
    )
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        "highest",
        description="torch's arithmetic for float32 products: `high` allows TF32 on CUDA, in convolutions too; `highest` "
        "is float32",
    )
    ema: Annotated[Decay, Field(gt=0)] | None = Field(
        None,
        description="decay per step of an exponential moving average of the weights, for example 0.999; lower during the "
        "first 10 / (1 - decay) steps. The average after the last step is what is scored. Empty: none, the weights of the last "
        "step are scored",
    )
    compile: Literal[False, True, "cuda-graphs"] = Field(
        False,
        description="compile the network with `torch.compile`; `cuda-graphs` also replays its kernels as CUDA graphs, for "
        "networks whose kernels run for less time than their launch takes (not with micro-batches or the contrastive loss)",
    )
    gradient_checkpointing: Switch = Field(
        False, description="trade time for memory: recompute activations in the backward pass (IPT, RDN)"
    )
    channels_last: Switch = Field(True, description="convolutions in channels-last memory order")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="Fabric's accelerator")
    threads: Cores = Field(
        1,
        description="torch's threads per run. They affect the result's bits and are therefore never taken from `--cores`",
    )
    log_every: Count = Field(50, description="steps between rows of train.csv")
    validate_every: Count = Field(
        250, description="steps between measurements on held-out images, each a row of train.csv"
    )
    checkpoint_minutes: Positive = Field(5, description="minutes between checkpoints, from which a killed run resumes")
    reuse: Switch = Field(
        True,
        description="copy a finished run of the same training from another experiment in `results/`, if there is one",
    )
    checkpoint_steps: Count | None = Field(
        None, description="steps between checkpoints, in addition to `checkpoint_minutes`"
    )
    loggers: Annotated[list[Literal["tensorboard", "wandb"]], AfterValidator(distinct)] = Field(
        [],
        description="where else to write the rows of train.csv: `tensorboard` (`runs/<run>/tensorboard`), `wandb` (Weights & "
        "Biases, see docs/training.md)",
    )
    memory_mb: Megabytes = Field(3000, description="memory that a run requests from the scheduler, in MB")
    runtime_minutes: whole(1, 10**7) = Field(240, description="time that a run requests from the scheduler, in minutes")

    @property
    def processes(self) -> int:
        """Processes of a run, one per device."""
        return self.devices * self.num_nodes

    @property
    def division(self) -> dict[str, Any]:
        """How a batch is divided, see `DIVIDING`."""
        return self.model_dump(include=set(DIVIDING))


# These do not affect the weights, so changing them retrains nothing.
WATCHING = (
    *("log_every", "validate_every", "checkpoint_minutes", "checkpoint_steps", "loggers", "reuse"),
    *("memory_mb", "runtime_minutes"),
)
# These divide the same computation differently, which only changes the order of sums: a run may continue on other devices,
# and its results stay valid. The provenance says which devices computed it.
DIVIDING = ("devices", "num_nodes", "micro_batch_size", "gradient_checkpointing")
FEEDING = ("cache_mb", "workers")
# Where images are stored and when listing stops; the tables of images identify them.
PLACING = ("root", "max_undecodable")


class Model(Section):
    """One network of the comparison."""

    name: FileName = Field(description="name in tables and folders, unique")
    label: Line | None = Field(None, description="name in figures and tables, no other model's; empty: `name`")
    variant: Annotated[str, AfterValidator(_variant)] = Field(
        description="a network: `python -m ipt_models list`, `python -m baselines list`; or a class of yours, "
        "`path/to/net.py:Class` or `package.module:Class` (docs/models.md)"
    )
    kwargs: dict[str, Any] = Field({}, description="arguments that override the variant's, for example `depth: 4`")
    contrastive: Contrastive | None = Field(None, description="IPT's contrastive loss; empty: none")
    tasks: Tasks | None = Field(None, description="tasks that this model trains on; empty: the experiment's")
    training: dict[str, Any] = Field(
        {}, description="overrides of `training` for this model, the same at every fraction"
    )
    learning_rates: Annotated[list[Positive], AfterValidator(distinct)] = Field(
        [],
        description="rates to try first: trained at the smallest and the largest fraction, judged on held-out "
        "images of the training source, shown in `learning_rates.md`. A trial that diverges ends early, and its L1 counts as "
        "infinite. Set the chosen one as `training.learning_rate`",
    )

    @model_validator(mode="after")
    def _matched_class_exists(self):
        if (target := matched(self.kwargs)) is not None:
            try:
                source_file(target)
            except ValueError as error:
                raise ValueError(f"kwargs.match of {self.name!r}: {error}") from None
        return self

    @property
    def weighs_contrast(self) -> bool:
        """Whether the model trains with the contrastive loss."""
        return self.contrastive is not None and self.contrastive.weight > 0

    @model_validator(mode="after")
    def _network_takes_arguments(self):
        if is_own(self.variant):
            return self  # the class's arguments are only known once it is imported, in `workflows.preflight`
        known = arguments_of(self.variant) + (() if self.variant in IPTS else ("match",))
        for key in self.kwargs:
            if key not in known:
                raise ValueError(
                    f"kwargs.{key} of {self.name!r}: {self.variant!r} takes no such argument{nearest(key, known)}; "
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
        None, description="the task; IPT's other heads, tails and embeddings are dropped. Empty: the only trained task"
    )
    training: dict[str, Any] = Field({}, description="overrides of `training` for this stage, after the model's own")
    alone: dict[str, Any] | None = Field(
        None,
        description="overrides of `training` at fraction 0, instead of those above: a `budget` here lets that run train for "
        "as many steps as the other runs' two stages combined; empty: this stage's recipe",
    )


class Method(Section):
    """An external method: a checkpoint, or images that another program restored. Exactly one of the two."""

    name: FileName = Field(description="name in tables and folders, unique")
    label: Line | None = Field(None, description="name in figures and tables, no other model's; empty: `name`")
    checkpoint: UserPath | None = Field(
        None, description="file of a trained network, see docs/models.md for what is read"
    )
    network: Line | None = Field(
        None,
        description="the class that the checkpoint's weights are for, `path/to/net.py:Class` or `package.module:Class`, if it "
        "is one of yours; empty: recognised",
    )
    kwargs: dict[str, Any] = Field(
        {},
        description="arguments of `network`, for example `num_feat: 32`; empty: those recorded with the weights, if any",
    )
    restored: UserPath | None = Field(
        None,
        description="folder of restored images, `<task>/<set>/<image>.png`; see docs/evaluation.md for other names",
    )
    tasks: Tasks | None = Field(None, description="tasks to score it on; empty: all scored tasks that it can restore")
    sets: Annotated[list[SetName], AfterValidator(distinct), Field(min_length=1)] | None = Field(
        None, description="sets to score it on, of `evaluation.sets`; empty: all"
    )
    parameters: Count | None = Field(
        None, description="parameters of the network behind `restored`, as its authors state; counted for a checkpoint"
    )
    training_data: Line = Field("not stated", description="what it was trained on, shown in tables")

    @model_validator(mode="after")
    def _one_source(self):
        if (self.checkpoint is None) == (self.restored is None):
            raise ValueError(f"{self.name!r} needs exactly one of `checkpoint` and `restored`")
        if self.checkpoint is not None and self.parameters is not None:
            raise ValueError(f"{self.name!r}: `parameters` goes with `restored`; those of a checkpoint are counted")
        if self.network is not None and (self.checkpoint is None or not is_own(self.network)):
            raise ValueError(
                f"{self.name!r}: `network` goes with `checkpoint` and is path/to/net.py:Class or package.module:Class"
            )
        if self.kwargs and self.network is None:
            raise ValueError(f"{self.name!r}: `kwargs` goes with `network`, a class of yours")
        if "-seed-" in self.name:
            raise ValueError(
                f"{self.name!r} looks like a run of the grid, whose names contain '-seed-'; choose another name"
            )
        return self


class Evaluation(Section):
    """What is scored. docs/protocol.md describes the protocol."""

    sets: Annotated[list[SetName], AfterValidator(distinct), Field(min_length=1)] = Field(
        ["photos"],
        description="benchmark sets: `photos` or another of `workflows/config/benchmark_sets.yaml`; `B100@20`: its first 20 "
        "images; `mine=FOLDER` or `mine=TARGETS,INPUTS`: your own",
    )
    tasks: Annotated[list[TaskName], AfterValidator(distinct)] | None = Field(
        None, description="tasks to score; empty: the trained ones"
    )
    data_root: UserPath | None = Field(
        None, description="folder that holds the sets, for example as `benchmark/Set5/HR/*.png`"
    )
    references: Annotated[list[Literal["bicubic", "identity"]], AfterValidator(distinct)] | None = Field(
        None,
        description="untrained rows: `bicubic` for sr, `identity` (the input itself) for dr and for dn with clipped noise; "
        "empty: `bicubic`, or `identity` if no task is sr",
    )
    methods: list[Method] = Field([], description="external methods, scored as well and marked as such in tables")
    windows: Literal["centre", "side-by-side"] = Field(
        "centre",
        description="IPT's windows in the main tables: half a window apart (`centre`, the protocol) or without overlap "
        "(`side-by-side`, as protocol v1; named in the rows). The authors' averaged windows are always scored as well",
    )
    ensembles: Annotated[list[Literal["x8"]], AfterValidator(distinct)] = Field(
        [],
        description="additional scores of the runs at the largest fraction, in a separate table: `x8` is the mean over "
        "flips and rotations",
    )
    gray: Gray = Field("rgb", description="how gray files are scored; see the protocol")
    bicubic: Bicubic = Field(
        "uint8", description="MATLAB's rounding after each axis (`uint8`), or one rounding at the end (`float`)"
    )
    noise: Noise = Field(
        "clipped", description="whether noisy inputs are clipped to 0-255; some papers do not clip them"
    )
    download: Switch = Field(
        False,
        description="download sets that are missing from `data_root` and have a public address: "
        + ", ".join(name for name, benchmark in SETS.items() if benchmark.download),
    )
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="precision of scoring")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="device of scoring")
    threads: Cores = Field(1, description="torch's threads per scoring job")
    memory_mb: Megabytes = Field(3000, description="memory that a scoring job requests from the scheduler, in MB")
    runtime_minutes: whole(1, 10**6) = Field(
        60,
        description="time that a scoring job requests from the scheduler, in minutes; jobs of ensembles and external methods "
        "request four times as much. A job that is stopped and submitted again continues with the set it was working on",
    )

    @model_validator(mode="after")
    def _download_has_a_place(self):
        if self.download and self.data_root is None:
            raise ValueError("`download` needs `data_root`, the folder that the sets are fetched into")
        return self


class Picture(Section):
    """An image that was scored."""

    dataset: Line = Field(description="the image's set")
    image: Line = Field(description="the image's name without suffix")
    task: TaskName = Field(description="the task")
    whole: Switch = Field(
        True, description="show the whole image too; `false` for images that may not be redistributed"
    )


class Comparison(Picture):
    """One picture of the report: an image by all models."""

    crop: tuple[whole(0, 10**6), whole(0, 10**6), whole(1, 10**6), whole(1, 10**6)] | None = Field(
        None,
        description="x, y, width, height of the zoomed crop in HR pixels; empty: a detailed region where models differ most",
    )


class Style(Section):
    """How the report's figures look. A figure is drawn at the size at which a paper shows it."""

    font: Literal["sans-serif", "serif"] = Field("sans-serif", description="family of the figures' text")
    width: Annotated[Positive, Field(ge=1, le=20)] = Field(
        3.5, description="width of a paper's column in inches; figures with several panels span two columns"
    )
    titles: Switch = Field(
        True, description="titles and notes in the figures; `false` if a paper's caption replaces them"
    )


class Report(Section):
    """What the report shows besides tables and curves."""

    comparisons: list[Comparison] = Field(
        [], description="images to show, each restored by all models at the largest fraction"
    )
    similarity: Picture | None = Field(
        None,
        description="image for the maps of IPT's patch features; empty: the first of `comparisons`, if an IPT also trains "
        "with the contrastive loss",
    )
    subjects: Annotated[list[str], AfterValidator(distinct)] = Field(
        [],
        description="names of the models that the claims are about: whether each gains more from data than the other models, and "
        "overtakes them; empty: every IPT",
    )
    style: Style = Field(Style(), description="how figures look")

    @property
    def pictures(self) -> list[tuple[str, Picture]]:
        """All requested images, each with the key that requests it."""
        maps = [] if self.similarity is None else [("similarity", self.similarity)]
        return [*(("comparisons", shown) for shown in self.comparisons), *maps]


class Plan(Section):
    """What `snakemake plan` needs for its estimates. It changes no result."""

    patches_per_second: dict[str, Positive] = Field(
        {}, description="known training speeds by model name; the others are measured on this machine"
    )
    seconds: Positive = Field(20, description="length of a measurement in seconds, training steps only")


class Presets(Section):
    """One file may hold several presets of an experiment, for example one for a GPU and one for two CPU cores."""

    preset: str | None = Field(
        None, description="the one to run, a name in `presets`; `snakemake --config preset=gpu` chooses another"
    )
    presets: dict[str, dict[str, Any]] = Field(
        {},
        description="what differs, by the name of the preset. Sections are merged key by key (`training.budget` is not, and "
        "another `data.source` does not inherit what only the first takes, such as `count`), "
        "other values replaced; `models` takes changes by the model's name, and an empty one leaves the model out. "
        "Results land in `results/<name>-<preset>/`",
    )


def arguments_of(variant: str) -> tuple[str, ...]:
    """The arguments that a variant's network takes besides its tasks."""
    return IPT_ARGUMENTS if variant in IPTS else NETWORK_OF[variant].arguments


def sections(annotation: Any) -> Iterable[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from sections(argument)
