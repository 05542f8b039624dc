"""The learning rate goes as the recipe says."""

import pytest
import torch

from workflows.config.schema import Training
from workflows.training.optimization import build_optimizer, build_scheduler


def rates(steps, **recipe):
    recipe = Training(learning_rate=5e-5, **recipe)
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], recipe)
    scheduler = build_scheduler(optimizer, recipe, steps)
    found = []
    for step in range(steps):
        scheduler.step_update(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_paper_lowers_to_two_fifths_after_two_thirds():
    assert rates(300, schedule="paper") == pytest.approx([5e-5] * 200 + [2e-5] * 100)


@pytest.mark.parametrize("warmup", [9, 150])
def test_paper_lowers_for_the_last_third_with_warm_up_too(warmup):
    found = rates(300, schedule="paper", warmup_steps=warmup)
    assert found[warmup:] == pytest.approx([5e-5] * (200 - warmup) + [2e-5] * 100)


def test_constant_stays():
    assert rates(7, schedule="constant") == pytest.approx([5e-5] * 7)


def test_cosine_falls_from_the_rate_towards_zero():
    found = rates(100, schedule="cosine")
    assert found[0] == pytest.approx(5e-5)
    assert found[50] == pytest.approx(2.5e-5)
    assert found[-1] < 1e-7
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("schedule", ["cosine", "paper", "constant"])
def test_warm_up_rises_linearly_from_above_zero(schedule):
    found = rates(1000, schedule=schedule, warmup_steps=9)
    assert found[:9] == pytest.approx([5e-5 * (i + 1) / 10 for i in range(9)])
    assert found[9] == pytest.approx(5e-5, rel=1e-3)
