"""Attention is switched off everywhere, and nothing else is."""

import torch

from benchmarks.attention_use import silence
from ipt_models.network import Attention
from tests.helpers import make_run
from workflows import models


def test_silenced_network_is_the_network_with_every_attention_s_output_zero(monkeypatch):
    torch.manual_seed(0)
    run = make_run()
    network = models.build(run.variant, run.tasks, **run.kwargs).eval()
    x = torch.rand(2, 3, network.patch_size, network.patch_size)
    with torch.no_grad():
        whole = network(x, run.tasks[0])
        with monkeypatch.context() as patched:
            patched.setattr(Attention, "mix", lambda self, query, key, value, bias=None: torch.zeros_like(query))
            expected = network(x, run.tasks[0])
        silence(network)
        silenced = network(x, run.tasks[0])
    torch.testing.assert_close(silenced, expected, rtol=0, atol=0)
    assert (whole - expected).abs().max() > 1e-3
