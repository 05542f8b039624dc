"""Measured speed of training."""

import pandas as pd
import pytest

from tests.helpers import ROOT, raises_naming
from tests.workflows.planning.micro import CONFIG, EDSR
from workflows.config import grid
from workflows.config.grid import parse
from workflows.planning import throughput


def test_measurement_takes_as_many_steps_as_fill_the_time(monkeypatch, tmp_path):
    run, steps = parse(CONFIG).runs()["edsr-100-seed-0"], []
    monkeypatch.setattr(throughput, "_train", lambda run, n, *rest: steps.append(n) or 32.0)
    images = (
        tmp_path,
        pd.DataFrame({"path": ["a.png"], "class": "", "width": 9, "height": 9, "bytes": 1, "sha256": "0"}),
    )
    assert throughput.measure(run, 20, images) == 32
    assert steps == [6, 20 * 32 / 4]


def test_images_to_measure_with_are_drawn_in_another_process(monkeypatch):
    """Drawing uses threads, after which no process should fork, as listing the images does."""
    seen = []
    monkeypatch.setattr("workflows.data.dead_leaves.draw", None)
    monkeypatch.setattr(
        throughput, "_train", lambda run, n, root, folder, limit: seen.append(len(list(root.rglob("*.png")))) or 32.0
    )
    monkeypatch.setattr(throughput, "IMAGES", 12)
    throughput.measure(parse(CONFIG).runs()["edsr-100-seed-0"], 1)
    assert seen == [3, 3]


def test_the_config_that_is_measured_is_valid_for_the_runs_of_every_config():
    for path in sorted((ROOT / "config").rglob("*.yaml")):
        recipes = {throughput.recipe_of(run): run for run in grid.read(path).trainings().values()}
        for run in recipes.values():
            parse(throughput.short(run, throughput.FIRST_STEPS))


@pytest.mark.slow
def test_speed_is_measured_by_the_training_command():
    # The warm-up is longer than the measurement.
    recipe = {**CONFIG["training"], "patch_size": 12, "budget": {"steps": 10**4}, "warmup_steps": 10**3}
    run = parse({**CONFIG, "training": recipe, "models": [EDSR]}).runs()["edsr-100-seed-0"]
    assert throughput.measure(run, seconds=0.2) > 0
    broken = run.model_copy(update={"kwargs": {"num_feat": 0}})
    with raises_naming(throughput.SpeedError, "edsr"):
        throughput.measure(broken, seconds=0.2)
