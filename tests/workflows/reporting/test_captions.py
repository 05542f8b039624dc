import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment

import workflows.reporting
from ipt_models.variants import VARIANTS
from tests.helpers import assert_names

CAPTIONS = sorted((Path(workflows.reporting.__file__).parent / "captions").glob("*.rst"))
ONE = {"name": "demo", "seeds": [0], "training": {"budget": {"steps": 800}}}
MORE = {"name": "demo", "seeds": [0], "more_seeds": {"0.2": [1, 2]}, "fractions": [0.1, 0.2]}
MANY = {"name": "demo", "seeds": [0, 1, 2], "training": {"budget": {"epochs": 3}}}
MIXED = {**ONE, "models": [{"name": "a", "training": {"budget": {"epochs": 3}}}, {"name": "b"}]}


def render(path: Path, config: dict) -> str:
    """A caption's HTML, made as Snakemake makes it."""
    text = (
        Environment(trim_blocks=True)
        .from_string(path.read_text(encoding="utf-8"))
        .render(snakemake=SimpleNamespace(config=config, wildcards={}))
    )
    return publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("config", [ONE, MORE, MANY, {}], ids=["one", "more", "many", "defaults"])
def test_captions_render_to_sound_html(path, config):
    assert len(render(path, config)) > 20
    assert not re.search(r"[a-z]\.[A-Z]", render(path, config)), "a space after each sentence"


def words(name: str, config: dict) -> str:
    path = next(path for path in CAPTIONS if path.stem == name)
    return " ".join(render(path, config).split())


@pytest.mark.parametrize(
    "name", ["psnr_fraction", "psnr_patches", "contrastive_gain", "ablations", "tables", "workflow"]
)
@pytest.mark.parametrize("config", [ONE, MANY], ids=["one", "many"])
def test_captions_say_what_intervals_are_over_however_many_seeds_are_scored(name, config):
    assert "over seeds" in words(name, config)
    assert re.search("nothing about the variation between trainings|due to the seed", words(name, config))


@pytest.mark.parametrize("name", ["psnr_fraction", "workflow"])
@pytest.mark.parametrize("config", [ONE, MANY, MIXED], ids=["steps", "epochs", "mixed"])
def test_captions_say_which_models_have_equal_steps(name, config):
    assert "the same number of steps at every fraction, unless its budget is in epochs" in words(name, config)


@pytest.mark.parametrize(("name", "word"), [("psnr_fraction", "diamond"), ("gains", "window"), ("gains", "IPT")])
def test_captions_speak_of_ipt_only_where_one_is(name, word):
    assert word not in words(name, {**ONE, "models": [{"name": "edsr", "variant": "edsr_tiny"}]})
    for variant in VARIANTS:
        assert word in words(name, {**ONE, "models": [{"name": "ipt", "variant": variant}]})


def test_captions_speak_of_the_networks_that_the_claims_are_about():
    own = {**ONE, "models": [{"name": "edsr", "variant": "edsr_tiny"}], "report": {"subjects": ["edsr"]}}
    assert "diamond" in words("psnr_fraction", own)
    assert "claims are about" in words("gains", own)
    assert "window" not in words("gains", own)


def test_captions_say_where_more_seeds_are_planned():
    assert_names(words("psnr_fraction", MORE), "10 % has 1", "20 % has 3")
    assert "more at some fractions" in words("workflow", MORE)
    assert "more at some fractions" not in words("workflow", MANY)
