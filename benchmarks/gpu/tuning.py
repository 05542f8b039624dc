"""Alternatives that might be faster, against the suite's choice. They only inform later decisions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.gpu.bench import Bench, reason, relative
from benchmarks.gpu.registry import Line, at_most, failed, not_applicable, number
from benchmarks.gpu.steps import make_step, network
from benchmarks.training_step import Step
from workflows.training.devices import use_deterministic_kernels

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def pad_heads(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, width: int = 64) -> Tensor:
    """Attention with heads padded by zeros to `width` features, scaled as the unpadded ones: the same result."""
    size = q.shape[-1]
    padded = (F.pad(x, (0, max(0, width - size))) for x in (q, k, v))
    return F.scaled_dot_product_attention(*padded, attn_mask=bias, scale=size**-0.5)[..., :size]


def attention(bench: Bench) -> Iterator[Line]:
    """Attention alone, heads of 48 in bf16: which of SDPA's backends accept them, and their time; padded to 64; deterministic."""
    heads, width = (12, 48) if bench.cuda else (2, 12)
    shape = (bench.sizes.batch, heads, 256 if bench.cuda else 16, width)
    q, k, v = (torch.randn(shape, device=bench.device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    plain, padded = F.scaled_dot_product_attention(q, k, v), pad_heads(q, k, v)
    yield at_most("padded to 64 against heads as they are", relative(padded, plain), 2e-2, "relative")
    ways: dict[str, tuple[Callable[..., Tensor], Callable[[], AbstractContextManager]]] = {
        "as torch chooses": (F.scaled_dot_product_attention, nullcontext),
        "as torch chooses, padded to 64": (pad_heads, nullcontext),
    }
    for name, backend in BACKENDS.items():
        ways[name] = (F.scaled_dot_product_attention, partial(sdpa_kernel, backend))
        ways[f"{name}, padded to 64"] = (pad_heads, partial(sdpa_kernel, backend))
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic)
        for name, (attend, context) in ways.items():
            subject = name + (", deterministic" if deterministic else "")
            try:
                with context():
                    work = partial(forward_and_backward, attend, q, k, v)
                    yield number(subject, 1000 * bench.seconds(work), "ms, forward and backward")
            except RuntimeError as error:  # a backend that refuses these heads
                yield not_applicable(subject, reason(error))


def forward_and_backward(attend: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor) -> None:
    torch.autograd.grad(attend(q, k, v).sum(), (q, k, v))


def build(
    bench: Bench,
    compiled: Callable[[nn.Module], Callable] | None = None,
    channels_last: bool = True,
    optimizer: dict[str, bool] | None = None,
) -> Step:
    """A step of the large network in bf16, at a quarter of the batch at a time."""
    variant = bench.sizes.large
    model = network(bench, variant) if channels_last else bench.network(variant).to(bench.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = None if optimizer is None else torch.optim.Adam(trained, lr=1e-6, **optimizer)
    call = None if compiled is None else compiled(model)
    return make_step(bench, model, variant, True, max(1, bench.sizes.batch // 4), call, adam)


def tuning(bench: Bench) -> Iterator[Line]:
    """A step of the large network with other choices: channels-last, Adam, compiled layers, CUDA graphs, padding, determinism."""
    ways: dict[str, Callable[[Bench], Step]] = {
        "channels-first": partial(build, channels_last=False),
        "Adam: foreach": partial(build, optimizer={"foreach": True}),
        "Adam: a parameter at a time": partial(build, optimizer={"foreach": False, "fused": False}),
        "compile of the layers": lambda bench: build(bench, bench.compile_layers),
        "compile of the network": lambda bench: build(bench, bench.compile),
        "compile with CUDA graphs": lambda bench: build(bench, partial(bench.compile, mode="reduce-overhead")),
    }
    if not bench.cuda:
        yield not_applicable("compile with CUDA graphs", "a card has them")
        ways.pop("compile with CUDA graphs")
    usual = bench.seconds(build(bench))
    yield number("as the suite trains, eager", bench.sizes.batch / usual, "patches/s")
    for name, make in ways.items():
        bench.reset()
        try:
            yield number(name, usual / bench.seconds(make(bench), warm_up=4), "times as fast as eager")
        except Exception as error:
            yield failed(name, reason(error))
    bench.reset()
    use_deterministic_kernels()
    yield number("deterministic kernels", usual / bench.seconds(build(bench)), "times as fast as eager")
    bench.reset()
    with mock.patch("ipt_models.network.attend", pad_heads):
        yield number("heads padded to 64", usual / bench.seconds(build(bench)), "times as fast as eager")
