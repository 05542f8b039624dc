"""Output and gradient of each network on the device against those on the CPU."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.gpu.bench import Bench, gradient, reason, relative
from benchmarks.gpu.registry import Line, at_most, failed, not_applicable
from workflows.training.objective import l1_loss

# Largest relative difference of output and of gradient (Euclidean norm of the difference over the reference's). TF32 keeps 10
# bits of the mantissa, bf16 7. A gradient also contains the signs of L1 and ReLU, which flip when rounding crosses zero, and
# IGNN selects neighbours. For an untrained ipt_tiny on a CPU, bf16's gradient is off by 0.25, a wrong one by more than 1.
BOUNDS = {"float32": (1e-4, 1e-3), "tf32": (5e-3, 1e-1), "bf16": (5e-2, 5e-1)}


def compare_networks(bench: Bench) -> Iterator[Line]:
    """Output and gradient of each network against the CPU's: float32, TF32, bf16; with deterministic kernels, as in training."""
    for variant in bench.sizes.networks:
        model = bench.network(variant).eval()  # SwinIR drops paths at random in training mode
        x, y = bench.pairs(variant, bench.sizes.rows)
        output, expected = step(model, x, y)
        model.to(bench.device, memory_format=torch.channels_last)
        for arithmetic, bounds in BOUNDS.items():
            subject = f"{variant}, {arithmetic}"
            if arithmetic == "tf32" and not bench.cuda:
                yield not_applicable(subject, "a CPU has no TF32")
                continue
            try:
                set_arithmetic(arithmetic)
                with bench.autocast(arithmetic == "bf16"):
                    found, by_weight = step(model, x.to(bench.device), y.to(bench.device))
            except RuntimeError as error:  # an operator without a deterministic kernel, or out of memory
                yield failed(subject, reason(error))
                continue
            finally:
                bench.reset()
            yield at_most(f"{subject}, output", relative(found, output), bounds[0], "relative")
            yield at_most(f"{subject}, gradient", relative(by_weight, expected), bounds[1], "relative")


def set_arithmetic(arithmetic: str) -> None:
    """Deterministic kernels; float32 products in TF32 or not."""
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high" if arithmetic == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = arithmetic == "tf32"


def step(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Output and gradient, on the CPU."""
    model.zero_grad()
    output = model(x, "sr2")
    l1_loss(output, y).backward()
    return output.detach().float().cpu(), gradient(model)
