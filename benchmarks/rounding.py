"""How much the rounding of TF32 and bf16 changes a network's output and gradient, simulated on a CPU.

Run as `python -m benchmarks.rounding`. Inputs of matrix products and convolutions, forward and backward, are rounded to the
10 or 7 bits of TF32 and bf16; everything else stays in float32. bf16 autocast on the CPU is measured too. Differences are
relative to float32. The last column gives a scale: the difference between the gradients of two batches of that size.
`benchmarks.gpu` uses the same simulation for its bounds.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.bench import gradient, leaves, relative
from benchmarks.hardware import report
from benchmarks.mha_reference import AuthorsForm
from ipt_models import IPT
from workflows import models
from workflows.command_line import exit_status, refuse_missing
from workflows.training.objective import l1_loss

BITS = {"tf32": 10, "bf16": 7}  # of the mantissa
PRODUCTS = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", nargs="+", default=["edsr_tiny", "ipt_tiny", "ipt_small"], help="ipt_base: minutes"
    )
    parser.add_argument("--checkpoints", nargs="*", type=Path, default=[], help="trained networks, model.safetensors")
    parser.add_argument("--rows", type=int, default=4, help="images in a batch")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/rounding.csv"))
    options = parser.parse_args()
    refuse_missing("--checkpoints", options.checkpoints)
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        torch.manual_seed(0)
        network = models.build(name, ("sr2",)).eval()
        rows += measure(network, name, options.rows)
        if isinstance(network, IPT):
            rows += measure(AuthorsForm(network).eval(), f"{name}, the authors' form", options.rows)
    for path in options.checkpoints:
        network, header = models.load(path)
        rows += measure(network, f"{header['variant']}, trained", options.rows)
    report(rows, options.out, torch.get_num_threads())


def measure(network: nn.Module, label: str, rows: int) -> Iterator[dict[str, Any]]:
    """One row per kind of image and per arithmetic."""
    torch.manual_seed(0)
    side = getattr(network, "patch_size", 24)
    kinds: dict[str, Callable[[int], tuple[Tensor, Tensor]]] = {
        "noise": lambda first: (torch.rand(rows, 3, side, side), torch.rand(rows, 3, 2 * side, 2 * side)),
        "dead leaves": lambda first: leaves(range(first, first + rows), side),
    }
    for kind, draw in kinds.items():
        x, y = draw(0)
        output, expected = step(network, x, y)
        other = relative(step(network, *draw(rows))[1], expected)
        ways = {f"{name}, simulated": lambda name=name: rounded_products(BITS[name]) for name in BITS}
        ways["bf16, autocast"] = lambda: torch.autocast("cpu", torch.bfloat16)
        for arithmetic, context in ways.items():
            with context():
                rounded, by_weight = step(network, x, y)
            yield {
                "network": label,
                "images": kind,
                "arithmetic": arithmetic,
                "output": relative(rounded, output),
                "gradient": relative(by_weight, expected),
                "other_batch": other,
            }


def step(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Output and gradient of L1, on the CPU."""
    network.zero_grad()
    output = network(x, "sr2")
    l1_loss(output, y).backward()
    return output.detach().float().cpu(), gradient(network)


@contextmanager
def rounded_products(bits: int) -> Iterator[None]:
    """Round the inputs of every matrix product and convolution, forward and backward, to `bits` of the mantissa."""
    with sdpa_kernel(SDPBackend.MATH), _RoundedProducts(bits):  # fused attention would hide its products
        yield


class _RoundedProducts(TorchDispatchMode):
    def __init__(self, bits: int):
        super().__init__()
        self.bits = bits

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in PRODUCTS:
            args = tuple(round_mantissa(value, self.bits) for value in args)
        return function(*args, **(kwargs or {}))


def round_mantissa(value: Any, bits: int) -> Any:
    """A float32 tensor to the nearest values with `bits` of the mantissa; anything else unchanged."""
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        return value
    fraction, exponent = torch.frexp(value)
    return torch.ldexp(torch.round(torch.ldexp(fraction, torch.tensor(bits + 1))), exponent - bits - 1)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
