"""The report's tables and figures in reading order, and which figures apply to an experiment."""

from collections.abc import Mapping
from typing import NamedTuple

from workflows.config.experiment import Experiment
from workflows.config.pictures import slugs
from workflows.config.runs import Run
from workflows.config.schema import Picture
from workflows.factors import IPT, WEIGHT, family, groups, pair_key, training_settings

TABLES = {
    "claims": "Claims",
    "summary": "Scores",
    "gains": "Gains from data",
    "data": "Whether data limited a model",
    "crossovers": "Crossovers",
    "differences": "Differences between models",
    "contrastive": "Gain from the contrastive loss",
    "ablations": "Ablations",
    "published": "Published scores",
    "gaps": "Training and held-out loss",
    "costs": "Costs",
    "ensembled": "Averaged windows and self-ensemble",
    "learning_rates": "How the learning rates were chosen",
}

# Drawn only from tables and training logs.
FIGURES = {
    "psnr_fraction": "PSNR against the fraction of the training images",
    "psnr_patches": "PSNR against the number of distinct patches",
    "gains": "Gains from data",
    "contrastive_gain": "Gain from the contrastive loss",
    "ablations": "Ablations",
    "quality_cost": "Quality against cost",
    "training_curves": "Learning curves",
}
# Drawn from images and features, one for each image.
PICTURES = {"similarity": "Similarity of patch features", "comparison": "Image comparison"}
# Figures of the effect of more data: they need two fractions.
_OF_DATA = ("psnr_fraction", "psnr_patches", "gains")


class Maps(NamedTuple):
    """The image and the models of a similarity map of IPT's patch features."""

    picture: Picture
    models: list[str]


class Drawn(NamedTuple):
    """A figure: its file without suffix, its name in `FIGURES` or `PICTURES`, and the image that it shows."""

    stem: str
    name: str
    picture: Picture | None = None


def figures(experiment: Experiment) -> list[str]:
    """The `FIGURES` that apply to this experiment."""
    runs = experiment.runs()
    if not runs:
        return []
    settings = {run.model: training_settings(run.model_dump(mode="json")) for run in runs.values()}
    # Switching the contrastive loss on is shown by its own figure.
    ablated = any(group.factor != WEIGHT or len(group.members) > 2 for group in groups(settings))
    drawn = {
        "contrastive_gain": bool(_contrastive_pairs(runs)),
        "ablations": ablated,
        "quality_cost": len(settings) > 1,
    }
    if len({run.fraction for run in runs.values()}) == 1:
        drawn |= dict.fromkeys(_OF_DATA, False)
    elif not any(getattr(run.data, "fixed_crops", None) for run in runs.values()):
        drawn["psnr_patches"] = False  # new crops each time: their number depends on the training, not on the data
    return [name for name in FIGURES if drawn.get(name, True)]


def maps(experiment: Experiment) -> Maps | None:
    """The similarity maps in the config, or else those of a contrastive pair on the first compared image."""
    runs, report = experiment.runs(), experiment.report
    ipts = dict.fromkeys(run.model for run in runs.values() if family(run.variant) == IPT)
    pairs = _contrastive_pairs(runs)
    picture = report.similarity or next(iter(report.comparisons), None)
    if picture is None or not ipts or not (report.similarity or pairs):
        return None
    return Maps(picture, pairs[0] if pairs else list(ipts))


def drawn(experiment: Experiment) -> list[Drawn]:
    """Every figure of this experiment's report, in reading order; its folder may hold others of an earlier config."""
    mapped = maps(experiment)
    images = {"similarity": [mapped.picture] if mapped else [], "comparison": experiment.report.comparisons}
    return [Drawn(name, name) for name in figures(experiment)] + [
        Drawn(f"{name}-{slug}", name, picture) for name in PICTURES for slug, picture in slugs(images[name]).items()
    ]


def _contrastive_pairs(runs: Mapping[str, Run]) -> list[list[str]]:
    """Models that differ in the contrastive loss alone, each pair without and with it."""
    config = {run.model: run.model_dump(mode="json") for run in runs.values()}
    return [
        [plain, other]
        for other in config
        for plain in config
        if config[other]["contrastive"]
        and not config[plain]["contrastive"]
        and pair_key(config[plain]) == pair_key(config[other])
    ]
