import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment

import workflows.reporting
from tests.helpers import assert_names

CAPTIONS = sorted((Path(workflows.reporting.__file__).parent / "captions").glob("*.rst"))
ONE = {"name": "demo", "seeds": [0], "training": {"budget": {"steps": 800}}}
MORE = {"name": "demo", "seeds": [0], "more_seeds": {"0.2": [1, 2]}, "fractions": [0.1, 0.2]}
MANY = {"name": "demo", "seeds": [0, 1, 2], "training": {"budget": {"epochs": 3}}}


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


@pytest.mark.parametrize("name", ["psnr_fraction", "psnr_patches", "contrastive_gain", "tables", "workflow"])
def test_captions_say_what_intervals_are_over(name):
    path = next(path for path in CAPTIONS if path.stem == name)
    one, many = render(path, ONE).lower(), render(path, MANY)
    assert "one seed" in one
    assert "between trainings" in " ".join(one.split()) or "due to the seed" in one
    assert "seeds" in many
    assert "one seed:" not in many.lower()


@pytest.mark.parametrize("name", ["psnr_fraction", "workflow"])
def test_captions_say_whether_steps_are_equal(name):
    path = next(path for path in CAPTIONS if path.stem == name)
    assert "same number of steps at every fraction" in render(path, ONE).replace("\n", " ")
    assert "epochs" in render(path, MANY)


def test_captions_say_where_numbers_of_seeds_differ():
    texts = {path.stem: " ".join(render(path, MORE).split()) for path in CAPTIONS}
    assert_names(texts["psnr_fraction"], "10 % has 1", "20 % has 3")
    assert "one seed and no interval" in texts["contrastive_gain"]
    assert "more seeds at some fractions" in texts["workflow"]
    assert not any("intervals over images" in text for text in texts.values())
