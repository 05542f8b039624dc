"""Output and gradient of each network on the device against those on the CPU."""

from collections.abc import Iterator

import torch

from benchmarks.gpu.bench import Bench, reason, relative
from benchmarks.gpu.registry import Line, at_most, failed, not_applicable
from benchmarks.rounding import BITS, rounded_products, step
from workflows.training.devices import use_deterministic_kernels

# Largest relative difference of output and of gradient in float32 (Euclidean norm of the difference over the reference's).
FLOAT32 = (1e-4, 1e-3)
# In TF32 and bf16: as a multiple of what the same rounding does on the CPU, which depends on the network: a gradient contains
# the signs of L1 and ReLU, which flip when rounding crosses zero, and IGNN selects neighbours.
TIMES = 3


def compare_networks(bench: Bench) -> Iterator[Line]:
    """Output and gradient of each network against the CPU's: float32, TF32, bf16; with deterministic kernels, as in training."""
    for variant in bench.sizes.networks:
        model = bench.network(variant).eval()  # SwinIR drops paths at random in training mode
        x, y = bench.pairs(variant, bench.sizes.rows)
        output, expected = step(model, x, y)
        bounds = {"float32": FLOAT32}
        for arithmetic, bits in BITS.items():
            with rounded_products(bits):
                rounded, by_weight = step(model, x, y)
            bounds[arithmetic] = (TIMES * relative(rounded, output), TIMES * relative(by_weight, expected))
        model.to(bench.device, memory_format=torch.channels_last)
        for arithmetic, (of_output, of_gradient) in bounds.items():
            subject = f"{variant}, {arithmetic}"
            if arithmetic == "tf32" and not bench.cuda:
                yield not_applicable(subject, "a CPU has no TF32")
                continue
            try:
                set_arithmetic(arithmetic)
                with bench.autocast(arithmetic == "bf16"):
                    computed, by_weight = step(model, x.to(bench.device), y.to(bench.device))
            except RuntimeError as error:  # an operator without a deterministic kernel, or out of memory
                yield failed(subject, reason(error))
                continue
            finally:
                bench.reset()
            yield at_most(f"{subject}, output", relative(computed, output), of_output, "relative")
            yield at_most(f"{subject}, gradient", relative(by_weight, expected), of_gradient, "relative")


def set_arithmetic(arithmetic: str) -> None:
    """Deterministic kernels; float32 products in TF32 or not."""
    use_deterministic_kernels()
    torch.set_float32_matmul_precision("high" if arithmetic == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = arithmetic == "tf32"
