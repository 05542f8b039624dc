"""All that changes from step to step is in a checkpoint and comes back."""

import pytest
import torch
from timm.utils import ModelEmaV3

from tests.helpers import raises_naming
from workflows.training.checkpoint import CheckpointError
from workflows.training.history import History
from workflows.training.state import State


def state(precision: str = "32-true", averaged: bool = True) -> State:
    """Of a network after one step of Adam from weights of its own."""
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    average = ModelEmaV3(network, decay=0.5) if averaged else None
    network(torch.rand(4, 3)).square().sum().backward()
    optimizer.step()
    if average is not None:
        average.update(network)
    return State("d", precision, network, optimizer, average, History())


def tensors(of: State) -> list[torch.Tensor]:
    moments = [value for row in of.optimizer.state_dict()["state"].values() for value in row.values()]
    averages = list(of.average.state_dict().values()) if of.average is not None else []
    return [*of.network.state_dict().values(), *moments, *averages]


@pytest.mark.parametrize("averaged", [True, False])
def test_what_was_saved_is_loaded_into_another_state(tmp_path, averaged):
    saved, other = state(averaged=averaged), state(averaged=averaged)
    saved.history.step, saved.history.log = 7, [{"step": 7, "loss": 1.5}]
    saved.history.patches["sr2"] = 28
    saved.save(tmp_path, cpu_seconds=11)
    assert other.load(tmp_path)
    for found, expected in zip(tensors(other), tensors(saved), strict=True):
        assert torch.equal(found, expected)
    assert (other.history.step, other.history.log) == (7, [{"step": 7, "loss": 1.5}])
    assert (other.history.patches["sr2"], other.history.cpu_seconds) == (28, 11)


def test_without_a_checkpoint_nothing_changes(tmp_path):
    one = state()
    before = [tensor.clone() for tensor in tensors(one)]
    assert not one.load(tmp_path)
    assert all(torch.equal(*pair) for pair in zip(before, tensors(one), strict=True))


def test_a_checkpoint_of_another_precision_is_refused_with_both(tmp_path):
    state("bf16-mixed").save(tmp_path, 0)
    with raises_naming(CheckpointError, tmp_path, "bf16-mixed", "32-true", "training.precision"):
        state("32-true").load(tmp_path)
