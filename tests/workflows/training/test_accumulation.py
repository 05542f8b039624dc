"""Micro-batches give the gradient of the whole batch, whatever they are."""

import functools

import pytest
import torch

from tests.helpers import make_run
from workflows import models
from workflows.training import accumulation
from workflows.training.devices import compiled, start

ROWS = 8
LOSSES = {
    "l1": None,
    "whole": {"weight": 0.1},
    "groups": {"weight": 0.1, "group_size": 4},
    "paper": {"weight": 0.1, "formulation": "paper", "group_size": 2},
}


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4", "dn30", "dn50", "dr"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_gradient_value_and_share_are_those_of_the_whole_batch(size, loss, task):
    whole = _step(make_run(tasks=(task,), contrastive=LOSSES[loss], batch_size=ROWS, precision="64-true"), task)
    parts = _step(
        make_run(tasks=(task,), contrastive=LOSSES[loss], batch_size=ROWS, precision="64-true", micro_batch_size=size),
        task,
    )
    assert whole[0] == 1
    assert parts[0] > 1
    for a, b in zip(whole[1:], parts[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_share_of_a_compiled_network_is_that_of_the_network_in_whichever_step_it_is_logged(monkeypatch):
    """The first step decides what is compiled; only the second takes passes of its own for the two terms."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))  # no compiler needed
    shares = []
    for on in (False, True):
        run = make_run(contrastive=True, compile=on)
        fabric, _ = start(run.training, run.tasks)
        torch.manual_seed(0)
        network = models.build(run.variant, run.tasks, **run.kwargs)
        model = fabric.setup(compiled(network, run))
        batch = (torch.rand(4, 3, 6, 6), torch.rand(4, 3, 12, 12), "sr2", torch.arange(4), run)
        gradient = accumulation.ContrastiveGradient([p for p in network.parameters() if p.requires_grad])
        for logged in (None, gradient):
            accumulation.backward(fabric, model, *batch, accumulation.divide(run), logged)
        shares.append(gradient.share(fabric))
    assert shares[1] == pytest.approx(shares[0], rel=1e-5)


def _step(run, task):
    """Micro-batches, loss, its terms, the contrastive loss's share, and the gradients of all parameters."""
    torch.manual_seed(0)
    fabric, _ = start(run.training, run.tasks)
    network = models.build(run.variant, run.tasks, **run.kwargs).double()
    trainable = [p for p in network.parameters() if p.requires_grad]
    model = fabric.setup(network)
    x = torch.rand(ROWS, 3, 6, 6, dtype=torch.float64)
    y = torch.rand_like(model(x, task))
    gradient = accumulation.ContrastiveGradient(trainable)
    micro_batches = accumulation.divide(run)
    loss = accumulation.backward(fabric, model, x, y, task, torch.arange(ROWS), run, micro_batches, gradient)
    terms = (loss.total, loss.l1, loss.contrastive, gradient.share(fabric))
    return len(micro_batches.slices), *terms, [p.grad for p in trainable]


@pytest.mark.parametrize(
    ("group", "devices", "micro", "slices", "passes"),
    [
        (8, 1, None, 1, 1),  # all at once
        (8, 1, 4, 2, 2),
        (4, 1, 4, 2, 1),
        (4, 1, 6, 2, 1),  # micro-batches of 4: whole groups
        (4, 2, None, 1, 1),  # a group a process
        (8, 2, None, 1, 1),  # gathered
        (8, 2, 2, 2, 2),
    ],
)
def test_groups_stay_whole_and_take_a_second_pass_only_where_they_must(group, devices, micro, slices, passes):
    run = make_run(contrastive={"group_size": group}, batch_size=ROWS, devices=devices, micro_batch_size=micro)
    micro_batches = accumulation.divide(run)
    assert (len(micro_batches.slices), micro_batches.two_passes + 1) == (slices, passes)
    assert micro_batches.gather == (group > ROWS // devices)
