"""Pace and FLOPs."""

import torch

from workflows import models
from workflows.training.history import Window, training_flops


def test_training_on_a_patch_takes_three_times_the_forward_products():
    """The paper's IPT: about 33 G multiply-adds for a 48 × 48 input."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    kwargs = {"num_feat": 4, "patch_size": 6, "num_heads": 2, "depth": 1}
    found = training_flops(models.macs_per_output_pixel("ipt_tiny", ("sr2",), **kwargs), 6)
    network = models.build("ipt_tiny", ("sr2",), **kwargs)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 6, 6), "sr2").sum().backward()
    # Backward is a little less than twice the forward: nobody needs the gradient by the image.
    assert counter.get_total_flops() <= found["sr2"] <= 1.1 * counter.get_total_flops()


def test_mfu_is_flops_over_time_and_peak(monkeypatch):
    clock = iter([0.0, 2.0])
    monkeypatch.setattr("workflows.training.history.time.perf_counter", lambda: next(clock))
    window = Window(torch.device("cpu"), peak=100.0)
    window.add(8, 30.0, 0.25)
    window.add(8, 30.0, 0.25)
    columns = window.columns()
    assert (columns["patches_per_second"], columns["data_wait"], columns["mfu"]) == (8, 0.25, 0.3)
