"""What the evaluation's commands set for their own process, which here is the tests'."""

import pytest
import torch


@pytest.fixture(autouse=True)
def settings_of_the_process(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
