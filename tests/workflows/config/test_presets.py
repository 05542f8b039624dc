"""One file holds an experiment in several sizes, and says which one is made."""

import copy

import pytest

from tests.helpers import raises_naming
from workflows.config import grid
from workflows.config.grid import parse
from workflows.config.messages import ConfigError

CONFIG = {
    "name": "small",
    "preset": "cpu",
    "fractions": [0.5, 1.0],
    "models": [
        {"name": "edsr", "variant": "edsr_tiny", "kwargs": {"num_feat": 16, "num_block": 4}},
        {"name": "ipt", "variant": "ipt_tiny", "training": {"budget": {"steps": 7}}},
        {"name": "ignn", "variant": "ignn_tiny"},
    ],
    "training": {"budget": {"steps": 10}, "patch_size": 24, "learning_rate": 1e-3},
    "presets": {
        "cpu": {"models": {"ignn": None}},
        "gpu": {
            "fractions": [0.1, 1.0],
            "training": {"budget": {"patches": 4800}, "batch_size": 48},
            "models": {
                "edsr": {"variant": "edsr_baseline", "kwargs": {"num_feat": 64}},
                "ipt": {"training": {"budget": {"steps": 70}, "learning_rate": 1e-4}},
            },
        },
    },
}


def changed(**changes) -> dict:
    return {**copy.deepcopy(CONFIG), **changes}


def test_preset_says_which_size_is_made_and_where_it_lands():
    cpu, gpu = parse(CONFIG), parse(changed(preset="gpu"))
    assert (cpu.name, gpu.name) == ("small-cpu", "small-gpu")
    assert (cpu.fractions, gpu.fractions) == ([0.5, 1.0], [0.1, 1.0])
    assert [m.name for m in cpu.models] == ["edsr", "ipt"]
    assert [m.name for m in gpu.models] == ["edsr", "ipt", "ignn"]


def test_sections_merge_key_by_key_and_the_training_budget_as_a_whole():
    gpu = parse(changed(preset="gpu"))
    assert (gpu.training.learning_rate, gpu.training.batch_size, gpu.training.patch_size) == (1e-3, 48, 24)
    assert (gpu.training.budget.steps, gpu.training.budget.patches) == (None, 4800)
    edsr, ipt = gpu.models[:2]
    assert (edsr.variant, edsr.kwargs) == ("edsr_baseline", {"num_feat": 64, "num_block": 4})
    assert ipt.training == {"budget": {"steps": 70}, "learning_rate": 1e-4}
    assert CONFIG["models"][1]["training"] == {"budget": {"steps": 7}}, "the given config is left alone"


def test_another_source_of_images_inherits_nothing_that_belongs_to_the_first(tmp_path):
    own = {"source": "image_folder", "root": str(tmp_path)}
    drawn = {"count": 40, "size": 96, "validation": 5}
    both = changed(preset="own", data=drawn, presets={"own": {"data": own}, "more": {"data": {"count": 50}}})
    data = parse(both).data
    assert (data.source, data.root, data.validation) == ("image_folder", tmp_path, 5)
    data = parse({**both, "preset": "more"}).data
    assert (data.source, data.count, data.size) == ("dead_leaves", 50, 96)
    same = changed(preset="same", data=drawn, presets={"same": {"data": {"source": "dead_leaves", "size": 64}}})
    assert (parse(same).data.count, parse(same).data.size) == (40, 64)
    back = changed(preset="drawn", data=own, presets={"drawn": {"data": {"source": "dead_leaves", **drawn}}})
    assert (parse(back).data.root, parse(back).data.count) == (None, 40)


def test_what_is_written_is_one_size_that_reads_back_as_itself(tmp_path):
    gpu = parse(changed(preset="gpu"))
    grid.write(gpu, tmp_path / "experiment.yaml")
    assert grid.read(tmp_path / "experiment.yaml") == gpu
    assert "presets" not in (tmp_path / "experiment.yaml").read_text()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"preset": "gpo"}, ["preset", "'gpo'", "'gpu'", "cpu, gpu"]),
        ({"preset": None}, ["preset", "cpu, gpu"]),
        ({"presets": {}}, ["preset", "'cpu'", "`presets`"]),
        ({"presets": ["cpu"]}, ["presets", ["cpu"]]),
        ({"presets": {"cpu": 3}}, ["presets.cpu", 3]),
        ({"presets": {"cpu": {"name": "x"}}}, ["presets.cpu.name", "`<name>-cpu`"]),
        (
            {"presets": {"cpu": {"models": {"edrs": {}}}}},
            ["presets.cpu.models.edrs", "'edsr'", "edsr, ipt, ignn"],
        ),
        ({"presets": {"cpu": {"models": []}}}, ["presets.cpu.models"]),
        (
            {"presets": {"cpu": {"models": {"edsr": {"kwargs": {"num_fet": None}}}}}},
            ["presets.cpu.models.edsr.kwargs.num_fet", "'num_feat'", "num_feat, num_block"],
        ),
        (
            {"presets": {"cpu": {"models": {"ipt": {"kwargs": {"num_feat": None, "depth": 2}}}}}},
            ["presets.cpu.models.ipt.kwargs.num_feat", "none is inherited"],
        ),
        ({"presets": {"cpu": {}, "gpu": {"seeds": "x"}}}, ["gpu", "seeds", "'x'"]),
        ({"presets": {"cpu": {}, "a/b": {}}}, ["name", "'small-a/b'"]),
        ({"prestes": {}}, ["prestes", "'presets'"]),
    ],
)
def test_mistake_in_an_unused_preset_is_reported(changes, named):
    with raises_naming(ConfigError, *named):
        parse(changed(**changes))


def test_no_presets_are_as_good_as_none():
    common = {key: value for key, value in CONFIG.items() if key not in ("preset", "presets")}
    assert parse(common | {"presets": {}}) == parse(common)


def test_a_size_that_changes_nothing_may_be_empty():
    config = changed(presets={"cpu": None})
    common = {key: value for key, value in config.items() if key not in ("preset", "presets")}
    assert parse(config).model_dump() == {**parse(common).model_dump(), "name": "small-cpu"}


def test_an_empty_argument_takes_the_inherited_one_away():
    models = [{"name": "edsr", "variant": "edsr_tiny", "kwargs": {"match": {"macs": "ipt_tiny"}, "res_scale": 0.1}}]
    wide = {"models": {"edsr": {"kwargs": {"match": None, "num_feat": 56}}}}
    (model,) = grid.parse(CONFIG | {"models": models, "presets": {"wide": wide}, "preset": "wide"}).models
    assert model.kwargs == {"num_feat": 56, "res_scale": 0.1}
    assert models[0]["kwargs"] == {"match": {"macs": "ipt_tiny"}, "res_scale": 0.1}, "the given config is left alone"


def test_a_mistake_in_shared_keys_is_said_once_and_one_of_a_preset_with_its_name():
    wrong = changed(sedes=[0], presets={"cpu": {}, "gpu": {"fractions": [2]}})
    with raises_naming(ConfigError, "sedes", "with preset gpu", "fractions") as caught:
        parse(wrong)
    assert str(caught.value).count("sedes") == 1
