"""Training asks CUDA for deterministic kernels, and fails where there is none. No GPU is needed to see which ones a step uses."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from baselines.registry import NETWORKS
from workflows import models

# Backward kernels of CUDA that raise under `torch.use_deterministic_algorithms(True)`, from torch's documentation of it.
NOT_DETERMINISTIC = (
    *("reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward"),
    *("replication_pad1d_backward", "replication_pad2d_backward", "replication_pad3d_backward"),
    *("_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "adaptive_max_pool2d_backward"),
    *("avg_pool3d_backward", "max_pool3d_with_indices_backward", "fractional_max_pool2d_backward"),
    *("upsample_linear1d_backward", "upsample_bilinear2d_backward", "upsample_bicubic2d_backward"),
    *("upsample_trilinear3d_backward", "grid_sampler_2d_backward", "grid_sampler_3d_backward"),
    *("cumsum", "histc", "bincount", "kthvalue", "put_", "nll_loss2d_forward", "_embedding_bag_dense_backward"),
)


class Operators(TorchDispatchMode):
    """Names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.__name__.partition(".")[0])
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "variant", ["ipt_tiny", *(next(iter(network.variants)) for network in NETWORKS if network.trained)]
)
def test_a_training_step_runs_on_cuda_deterministically(variant):
    small = {"swinir_light": {"depths": (2,)}}.get(variant, {})
    model = models.build(variant, ("sr2",), **small)
    side = getattr(model, "patch_size", 16)
    with Operators() as operators:
        model(torch.rand(1, 3, side, side), "sr2").mean().backward()
    assert "convolution_backward" in operators.names
    assert not operators.names.intersection(NOT_DETERMINISTIC)
