import pytest

from workflows.config.experiment import Experiment
from workflows.reporting import outline
from workflows.reporting.figures import __name__ as figures_package

IPT = {"name": "ipt", "variant": "ipt_tiny"}
TWIN = {"name": "twin", "variant": "ipt_tiny", "contrastive": {"weight": 0.1}}
DATA = {"psnr_fraction", "gains"}
ALL = DATA | {"contrastive_gain", "ablations", "quality_cost", "training_curves"}
SHOWN = {"dataset": "photos", "image": "chelsea", "task": "sr2"}


def experiment(*models, **report) -> Experiment:
    config = {"name": "x", "models": models, "training": {"patch_size": 24}, "report": report, "fractions": [0.2, 1.0]}
    return Experiment.model_validate(config)


@pytest.mark.parametrize(
    ("models", "drawn"),
    [
        ([], set()),
        ([IPT], DATA | {"training_curves"}),
        ([IPT, {"name": "edsr", "variant": "edsr_tiny"}], DATA | {"quality_cost", "training_curves"}),
        ([IPT, TWIN], DATA | {"contrastive_gain", "quality_cost", "training_curves"}),
        ([IPT, TWIN, {**TWIN, "name": "strong", "contrastive": {"weight": 0.5}}], ALL),
        ([IPT, {**IPT, "name": "p", "kwargs": {"position": "none"}}], ALL - {"contrastive_gain"}),
    ],
)
def test_figures_are_those_that_the_models_have_something_for(models, drawn):
    assert (ALL | {"psnr_patches"}) & set(outline.figures(experiment(*models))) == drawn


def test_one_fraction_has_no_figure_of_data():
    one = experiment(IPT, {"name": "edsr", "variant": "edsr_tiny"}).model_copy(update={"fractions": [1.0]})
    assert not (DATA | {"psnr_patches"}) & set(outline.figures(one))


def test_patches_are_counted_where_images_give_the_same_ones():
    fixed = Experiment.model_validate(experiment(IPT).model_dump() | {"data": {"fixed_crops": 8}})
    assert "psnr_patches" in outline.figures(fixed)


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
