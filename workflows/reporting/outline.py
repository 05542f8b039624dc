"""What a report holds: its tables and figures in reading order, and which figures an experiment has something for."""

from collections.abc import Mapping
from typing import NamedTuple

from workflows.analysis.factors import WEIGHT, groups, settings, twin
from workflows.config.grid import Experiment, Run
from workflows.config.schema import Picture

TABLES = {
    "summary": "Scores",
    "published": "Beside the published numbers",
    "differences": "Differences between models",
    "crossovers": "Where the transformer overtakes",
    "data": "What data bought",
    "gaps": "Training and held-out loss",
    "costs": "Costs",
    "ensembled": "With overlap averaging or self-ensemble",
}

# Drawn from the tables and the training logs alone.
FIGURES = {
    "psnr_fraction": "PSNR against the share of the training images",
    "contrastive_gain": "Gain of the contrastive loss",
    "ablations": "Single settings",
    "quality_cost": "Quality against cost",
    "training_curves": "Learning curves",
}
# Drawn from images and features, one for each image.
PICTURES = {"similarity": "Similarity of patch features", "comparison": "Image comparison"}


class Maps(NamedTuple):
    """Of which image, and by which models, IPT's patch features are mapped."""

    picture: Picture
    models: list[str]


def figures(experiment: Experiment) -> list[str]:
    """Those of `FIGURES` that show something in this experiment."""
    runs = experiment.runs()
    if not runs:
        return []
    known = {run.model: settings(run.model_dump(mode="json")) for run in runs.values()}
    # The contrastive loss on and off is the other figure's.
    ablated = any(group.factor != WEIGHT or len(group.members) > 2 for group in groups(known))
    shown = {"contrastive_gain": bool(_twins(runs)), "ablations": ablated, "quality_cost": len(known) > 1}
    return [name for name in FIGURES if shown.get(name, True)]


def maps(experiment: Experiment) -> Maps | None:
    """The similarity maps that the experiment asks for, or else those of its twins on its first compared image."""
    runs, report = experiment.runs(), experiment.report
    ipts = dict.fromkeys(run.model for run in runs.values() if run.variant.startswith("ipt"))
    twins = _twins(runs)
    picture = report.similarity or next(iter(report.comparisons), None)
    if picture is None or not ipts or not (report.similarity or twins):
        return None
    return Maps(picture, twins[0] if twins else list(ipts))


def _twins(runs: Mapping[str, Run]) -> list[list[str]]:
    """Models that differ in the contrastive loss alone, each pair without and with it."""
    config = {run.model: run.model_dump(mode="json") for run in runs.values()}
    return [
        [plain, other]
        for other in config
        for plain in config
        if config[other]["contrastive"]
        and not config[plain]["contrastive"]
        and twin(config[plain]) == twin(config[other])
    ]
