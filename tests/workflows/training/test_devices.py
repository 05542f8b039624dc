"""Mixed precision computes in bf16 and keeps pixels exact."""

from types import SimpleNamespace

import pytest
import torch

from tests.helpers import make_run, raises_naming
from workflows import models, provenance
from workflows.config.schema import Training
from workflows.training import devices
from workflows.training.devices import DeviceError, choose_precision, compiled, start

NETWORKS = {
    "ipt_tiny": {"num_feat": 4, "patch_size": 8, "patch_dim": 2, "num_heads": 2, "depth": 1},
    "edsr_tiny": {"num_feat": 4, "num_block": 1},
    "rdn_tiny": {"num_feat": 4, "growth": 4, "num_block": 1, "num_conv": 2},
    "ignn_tiny": {"num_feat": 4, "num_block": 2},
    "swinir_light": {"embed_dim": 12, "depths": [2], "num_heads": 2},
}


@pytest.mark.parametrize("variant", NETWORKS)
def test_every_network_trains_in_mixed_precision_and_its_result_has_more_levels_than_bf16(variant):
    fabric, _ = start(Training(accelerator="cpu", precision="bf16-mixed"), ["sr2"])
    torch.manual_seed(0)
    network = models.build(variant, ["sr2"], **NETWORKS[variant]).to(memory_format=torch.channels_last)
    y = fabric.setup(network)(torch.rand(2, 3, 8, 8), "sr2")
    fabric.backward(y.square().mean())
    assert y.dtype == torch.float32
    assert not torch.equal(y, y.bfloat16().float())
    # DDP counts on a gradient for every parameter of a network of one task.
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_mixed_precision_computes_in_bf16():
    fabric, _ = start(Training(accelerator="cpu", precision="bf16-mixed"), ["sr2"])
    model = fabric.setup(torch.nn.Conv2d(3, 3, 3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.dtype) or tensor, lambda t: t):
        model(torch.rand(1, 3, 8, 8))
    assert torch.bfloat16 in kept


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("AuthenticAMD", {"avx2", "avx512f", "avx512_bf16"}, "bf16-mixed"),  # Zen 4, Zen 5
        ("AuthenticAMD", {"avx2"}, "32-true"),  # Zen 3
        ("GenuineIntel", {"avx2", "avx512f", "avx512_bf16"}, "32-true"),  # Cooper Lake
        ("GenuineIntel", {"avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"}, "bf16-mixed"),  # Sapphire Rapids
        ("", set(), "32-true"),  # not Linux
    ],
)
def test_auto_is_decided_by_the_processor_and_says_why(vendor, flags, expected, monkeypatch):
    monkeypatch.setattr(provenance, "processor", lambda: provenance.Processor("a name", vendor, frozenset(flags)))
    chosen = choose_precision("auto", "cpu")
    assert chosen.precision == expected
    assert len(chosen.reason) > 20
    assert choose_precision("64-true", "cpu").precision == "64-true"


def test_mixed_precision_shows_the_network_its_input_unrounded():
    fabric, _ = start(Training(accelerator="cpu", precision="bf16-mixed"), ["sr2"])
    seen = []
    network = torch.nn.Linear(3, 3)
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.rand(8, 3)
    fabric.setup(network)(x)
    assert torch.equal(seen[0], x)


def test_float64_reaches_the_loss():
    fabric, _ = start(Training(accelerator="cpu", precision="64-true"), ["sr2"])
    assert fabric.setup(torch.nn.Linear(3, 3))(torch.rand(8, 3)).dtype == torch.float64


def test_too_many_devices_are_reported_with_the_key(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with raises_naming(DeviceError, "training.devices", 2, 1):
        start(Training(accelerator="cuda", devices=2, precision="32-true"), ["sr2"])


@pytest.mark.parametrize(
    ("tasks", "own", "searched"), [(["sr2"], False, False), (["sr2"], True, True), (["sr2", "dn30"], False, True)]
)
def test_processes_search_for_unused_parameters_only_where_there_may_be_some(tasks, own, searched, monkeypatch):
    strategies = []
    fabric = SimpleNamespace(launch=lambda: None)
    monkeypatch.setattr(devices, "Fabric", lambda strategy, **_: strategies.append(strategy) or fabric)
    start(Training(accelerator="cpu", devices=2), tasks, own)
    assert [strategy._ddp_kwargs["find_unused_parameters"] for strategy in strategies] == [searched]


@pytest.mark.parametrize(("choice", "modes"), [(False, []), (True, [None]), ("cuda-graphs", ["reduce-overhead"])])
def test_the_network_is_compiled_as_the_recipe_asks(choice, modes, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda network, mode: asked.append(mode) or network)
    network = torch.nn.Identity()
    assert compiled(network, make_run(compile=choice, accelerator="auto")) is network
    assert asked == modes


@pytest.mark.parametrize("variant", ["ipt_tiny", "edsr_tiny", "rdn_tiny"])
def test_a_network_compiles_to_one_graph_under_autocast(variant):
    graphs = []
    network = models.build(variant, ["sr2"], **NETWORKS[variant])
    backend = lambda graph, inputs: graphs.append(graph) or graph.forward  # noqa: E731
    with torch.autocast("cpu", torch.bfloat16):
        torch.compile(network, backend=backend)(torch.rand(2, 3, 8, 8), "sr2")
    assert len(graphs) == 1
