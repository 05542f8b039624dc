import pytest

from workflows.config.grid import Experiment
from workflows.reporting import outline
from workflows.reporting.figures import __name__ as figures_package

IPT = {"name": "ipt", "variant": "ipt_tiny"}
TWIN = {"name": "twin", "variant": "ipt_tiny", "contrastive": {"weight": 0.1}}
SHOWN = {"dataset": "photos", "image": "chelsea", "task": "sr2"}


def experiment(*models, **report) -> Experiment:
    return Experiment.model_validate({"name": "x", "models": models, "training": {"patch_size": 24}, "report": report})


@pytest.mark.parametrize(
    ("models", "drawn"),
    [
        ([], set()),
        ([IPT], {"psnr_fraction", "training_curves"}),
        ([IPT, {"name": "edsr", "variant": "edsr_tiny"}], {"psnr_fraction", "quality_cost", "training_curves"}),
        ([IPT, TWIN], {"psnr_fraction", "contrastive_gain", "quality_cost", "training_curves"}),
        ([IPT, TWIN, {**TWIN, "name": "strong", "contrastive": {"weight": 0.5}}], set(outline.FIGURES)),
        ([IPT, {**IPT, "name": "p", "kwargs": {"position": "none"}}], set(outline.FIGURES) - {"contrastive_gain"}),
    ],
)
def test_figures_are_those_that_the_models_have_something_for(models, drawn):
    assert set(outline.figures(experiment(*models))) == drawn


def test_twins_are_mapped_on_the_first_compared_image_unless_another_is_asked_for():
    other = {**SHOWN, "image": "coffee"}
    assert outline.maps(experiment(IPT, TWIN, comparisons=[SHOWN])).models == ["ipt", "twin"]
    assert outline.maps(experiment(IPT, TWIN, comparisons=[SHOWN], similarity=other)).picture.image == "coffee"
    assert outline.maps(experiment(IPT, similarity=other)).models == ["ipt"]
    assert outline.maps(experiment(IPT, comparisons=[SHOWN])) is None
    assert outline.maps(experiment(IPT, TWIN)) is None


def test_every_figure_has_a_module():
    for name in outline.FIGURES:
        assert hasattr(__import__(f"{figures_package}.{name}", fromlist=["draw"]), "draw")
