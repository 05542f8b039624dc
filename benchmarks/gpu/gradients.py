"""The same gradient computed in other ways: compiled, checkpointed, in micro-batches."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from benchmarks.gpu.bench import Bench, gradient, reason, relative
from benchmarks.gpu.registry import Line, at_most, failed
from benchmarks.training_step import Step

FLOAT32, BF16 = 1e-3, 1e-1  # relative differences


def compare_gradients(bench: Bench) -> Iterator[Line]:
    """Gradients with torch.compile (network, layers), gradient checkpointing and micro-batches against plain ones."""
    variant = bench.sizes.small
    pair = bench.pairs(variant, bench.sizes.rows)
    ways: dict[str, Callable[[nn.Module], nn.Module]] = {
        "compile of the network": bench.compile,
        "compile of its layers": bench.compile_layers,
        "gradient checkpointing": checkpointing,
        "micro-batches": lambda model: model,
    }
    for precision, bound in (("float32", FLOAT32), ("bf16", BF16)):
        plain = compute(bench, bench.network(variant), pair, precision)
        for name, way in ways.items():
            model = bench.network(variant)
            try:
                computed = way(model.to(bench.device))
                other = compute(bench, computed, pair, precision, 2 if name == "micro-batches" else 1, model)
                yield at_most(f"{name}, {precision}", relative(other, plain), bound, "relative")
            except Exception as error:
                yield failed(f"{name}, {precision}", reason(error))


def compute(
    bench: Bench,
    model: nn.Module,
    pair: tuple[Tensor, Tensor],
    precision: str,
    parts: int = 1,
    holder: nn.Module | None = None,
) -> Tensor:
    """The gradient of the mean over `parts` micro-batches; `holder` has the parameters of a compiled model."""
    holder = model if holder is None else holder
    model.to(bench.device)
    holder.zero_grad()
    x, y = (tensor.to(bench.device) for tensor in pair)
    Step(holder, x, y, precision == "bf16", len(x) // parts, model).gradients()
    return gradient(holder)


def checkpointing(model: nn.Module) -> nn.Module:
    model.gradient_checkpointing = True
    return model
