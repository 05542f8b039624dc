"""Any config is an experiment that can be named, written and read back, or is refused in one message without a traceback."""

import copy
import datetime

import pytest

from workflows.config import grid
from workflows.config.experiment import Experiment
from workflows.config.grid import parse
from workflows.config.messages import ConfigError

FULL = grid.parse(
    {
        "name": "full",
        "seeds": [0],
        "fractions": [0.5, 1.0],
        "more_seeds": {1.0: [1]},
        "models": [
            {"name": "edsr", "variant": "edsr_tiny", "kwargs": {"num_feat": 16}, "learning_rates": [0.001, 0.01]},
            {
                "name": "ipt",
                "variant": "ipt_tiny",
                "contrastive": {"group_size": 4},
                "training": {"budget": {"epochs": 2}},
            },
        ],
        "training": {"budget": {"steps": 10}, "patch_size": 24, "gradient_clip": 1.0},
        "finetune": {"data": {"count": 20}, "training": {"learning_rate": 0.001}},
        "report": {"comparisons": [{"dataset": "photos", "image": "chelsea", "task": "sr2", "crop": [0, 0, 9, 9]}]},
        "plan": {"patches_per_second": {"ipt": 3.0}},
    }
).model_dump(mode="json")
ODD = (
    *(
        None,
        True,
        "",
        " ",
        "x",
        "ü",
        "a\0b",
        "x" * 300,
        "~nobody-such/x",
        "$(touch x)",
        "a: b",
        "4x",
        "6",
        "1e3",
        "nan",
    ),
    *(-1, 0, 1, 2, 7, 2**31, 2**64, 10**400, -0.5, 0.3, 1e-7, 2.5, 20, 1e308, float("inf"), float("nan")),
    *([], [None], [[]], [1, 1], ["x", "x"], {}, {"x": 1}, {1: 2}, {None: {}}, [{}], b"x", datetime.date(2020, 1, 1)),
)


def places(value, path=()):
    """Paths to everything in a config."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES = list(places(FULL))


def replaced(config, path, value):
    config = copy.deepcopy(config)
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return config


def attempt(config) -> Experiment | list[str]:
    """The experiment, or the lines that refuse it; whatever else is raised fails the test."""
    try:
        return parse(config)
    except ConfigError as error:
        return error.lines


def test_every_odd_value_at_every_place_is_an_experiment_or_one_message():
    assert len(PLACES) > 130
    accepted, refused = 0, 0
    for path in PLACES:
        for value in ODD:
            result = attempt(replaced(FULL, path, value))
            if isinstance(result, list):
                refused += 1
                assert result, (path, value)
                assert all(0 < len(line) < 2000 for line in result), (path, value)
            else:
                accepted += 1
                assert all(len(f"{name}.log.tmp") < 250 and "/" not in name for name in result.trainings()), (
                    path,
                    value,
                )
    assert accepted > 300
    assert refused > 3000


@pytest.mark.parametrize("path", [("name",), ("fractions", 0), ("data", "seed"), ("report", "comparisons", 0, "image")])
def test_what_is_accepted_reads_back_as_itself(tmp_path, path):
    experiments = [attempt(replaced(FULL, path, value)) for value in ODD]
    for experiment in (e for e in experiments if not isinstance(e, list)):
        grid.write(experiment, tmp_path / "experiment.yaml")
        assert grid.read(tmp_path / "experiment.yaml") == experiment


@pytest.mark.parametrize("key", ["preset", "presets"])
def test_odd_presets_are_refused_in_one_message(key):
    presets = {"cpu": {}, "gpu": {"models": {"ipt": {"variant": "ipt_small"}}}}
    for value in ODD:
        assert attempt({**FULL, "preset": "cpu", "presets": presets, key: value}), value


def test_odd_changes_of_a_preset_are_refused_in_one_message():
    for value in ODD:
        for changes in (value, {"models": value}, {"models": {"ipt": value}}, {"training": value}, {"seeds": value}):
            assert attempt({**FULL, "preset": "cpu", "presets": {"cpu": changes}}), value
        for models in (value, [value], [{"name": value}]):
            config = {**FULL, "models": models, "preset": 1, "presets": {1: {"models": {"ipt": {}}}}}
            assert isinstance(attempt(config), list), value


def test_a_preset_may_be_named_by_a_number():
    assert parse({**FULL, "preset": 1, "presets": {1: {}}}).name == "full-1"
