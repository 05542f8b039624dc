"""A run's devices and precision: Lightning Fabric, set up from the recipe.

Which GPUs a job may use is decided before, by `workflows/launch.py`.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import Precision
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.apply_func import apply_to_collection
from torch import Tensor, nn
from torch._functorch import config as functorch_config

from workflows import provenance
from workflows.config.runs import Run
from workflows.config.schema import Training


class PrecisionChoice(NamedTuple):
    """Fabric's name of a precision, and the reason for the choice."""

    precision: str
    reason: str


# Flag in /proc/cpuinfo, vendor (empty: any), precision, reason. The first matching row decides.
CPUS = (
    (
        *("amx_bf16", "", "bf16-mixed"),
        "AMX: on an Intel with such matrix units a training step in bf16 took 0.5 to 0.95 of the time of float32",
    ),
    (
        *("avx512_bf16", "AuthenticAMD", "bf16-mixed"),
        "AMD with AVX512-BF16: on a Zen 4 the paper's IPT trained 1.70 times as fast in bf16 as in float32",
    ),
    (
        *("avx512_bf16", "", "32-true"),
        "AVX512-BF16 without AMX: on an Intel a training step took 1.2 to 1.8 times as long in bf16 as in float32",
    ),
)
WITHOUT_BF16 = (
    "the processor has no instructions for bf16: on a Zen 3 a training step took 5.5 to 10 times as long in bf16 as in "
    "float32"
)


class DeviceError(RuntimeError):
    """Requested devices that do not exist."""


class BFloat16Mixed(Precision):
    """bfloat16 autocast that does not round the network's input.

    Fabric's own rounds inputs to bfloat16, whose 8 significant bits shift a bright pixel by up to half a grey level before
    the network subtracts the mean. Scoring in bfloat16 does not round inputs either.
    """

    precision = "bf16-mixed"

    def __init__(self, device_type: str) -> None:
        self._device_type = device_type

    def forward_context(self) -> AbstractContextManager:
        return torch.autocast(self._device_type, torch.bfloat16)

    def convert_output(self, data: Any) -> Any:
        return apply_to_collection(data, Tensor, lambda x: x.float() if x.is_floating_point() else x)


class Float64(Precision):
    """float64 from the input to the loss. Fabric's own returns outputs in float32."""

    precision = "64-true"

    def convert_module(self, module: nn.Module) -> nn.Module:
        return module.double()

    def convert_input(self, data: Any) -> Any:
        return apply_to_collection(data, Tensor, lambda x: x.double() if x.is_floating_point() else x)


class Unwrapped(nn.Module):
    """A network outside DDP, in the run's precision: one process may use it independently of the others."""

    def __init__(self, fabric: Fabric, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._precision = fabric.strategy.precision

    def forward(self, *inputs: Any) -> Any:
        with self._precision.forward_context():
            output = self.network(*self._precision.convert_input(inputs))
        return self._precision.convert_output(output)


def start(recipe: Training, tasks: Sequence[str], own: bool = False) -> tuple[Fabric, PrecisionChoice]:
    """Fabric on the recipe's devices, with its other processes started, and the precision.

    Several processes use DDP. A batch has one task, so a network of several tasks has parameters without a gradient in every
    step, and a user's `own` may have unused ones: DDP must search for them. They get no gradient, and Adam skips them, as with
    one process.

    Raises:
        DeviceError: for more CUDA devices than there are.
    """
    chosen = choose_precision(recipe.precision, recipe.accelerator)
    cuda = recipe.accelerator == "cuda" or (recipe.accelerator == "auto" and torch.cuda.is_available())
    if cuda and recipe.devices > torch.cuda.device_count():
        raise DeviceError(
            f"training.devices is {recipe.devices}, but this machine shows {torch.cuda.device_count()} CUDA device(s)"
        )
    device = "cuda" if cuda else "cpu"
    plugin = {"bf16-mixed": BFloat16Mixed(device), "64-true": Float64(), "32-true": Precision()}[chosen.precision]
    options: dict[str, Any] = {"accelerator": device, "devices": recipe.devices, "num_nodes": recipe.num_nodes}
    if recipe.processes > 1:
        options["strategy"] = DDPStrategy(
            process_group_backend="nccl" if cuda else "gloo",
            find_unused_parameters=len(tasks) > 1 or own,
            broadcast_buffers=False,  # constants, or BatchNorm's statistics: the first process's are saved
            gradient_as_bucket_view=True,
        )
    # Set first, because threads inherit it when they start. Attention's small weights become denormal numbers, which are many
    # times slower on a CPU: an IPT's training step in float32 took 1.4 to 2.4 times as long.
    torch.set_flush_denormal(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # needed for deterministic matrix products on CUDA
    fabric = Fabric(plugins=[plugin], **options)
    fabric.launch()

    # After the launch, which sets the number of threads from the machine's cores.
    torch.set_num_threads(recipe.threads)
    use_deterministic_kernels()
    torch.set_float32_matmul_precision(recipe.matmul_precision)
    torch.backends.cudnn.allow_tf32 = recipe.matmul_precision != "highest"
    return fabric, chosen


def use_deterministic_kernels() -> None:
    """Make torch take deterministic kernels, or raise where there is none."""
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory that was never written, and filling it costs a kernel for each new tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False


def compiled(network: nn.Module, run: Run) -> nn.Module:
    """The network as `training.compile` asks: itself, compiled, or compiled with CUDA graphs."""
    if not run.training.compile:
        return network
    # Each task has graphs of its own: with and without a gradient, for whole micro-batches and a smaller last one.
    torch._dynamo.config.recompile_limit = max(8, 4 * len(run.tasks))
    # A backward pass that reuses saved tensors' memory runs only once; `ContrastiveGradient` runs it several times.
    functorch_config.donated_buffer = run.group_size is None
    return torch.compile(network, mode="reduce-overhead" if run.training.compile == "cuda-graphs" else None)


def choose_precision(precision: str, accelerator: str) -> PrecisionChoice:
    """`auto` becomes `bf16-mixed` if that is known to be faster, else `32-true`; other values stay.

    On a CPU a table of measured processors decides. A measurement could turn out differently on a busy machine, and a run
    would not repeat bit for bit.
    """
    if precision != "auto":
        return PrecisionChoice(precision, "set by training.precision")
    if accelerator != "cpu" and torch.cuda.is_available():
        card = torch.cuda.get_device_name()
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return PrecisionChoice("bf16-mixed", f"{card} computes in bf16")
        return PrecisionChoice("32-true", f"{card} does not compute in bf16")
    return _choose_on_cpu(provenance.processor())


def _choose_on_cpu(cpu: provenance.Processor) -> PrecisionChoice:
    for flag, vendor, precision, reason in CPUS:
        if flag in cpu.flags and vendor in ("", cpu.vendor):
            return PrecisionChoice(precision, reason)
    return PrecisionChoice("32-true", WITHOUT_BF16)
