"""One call for all baselines: shapes, tasks, names, and what is refused."""

import inspect
import subprocess
import sys

import pytest
import torch

import baselines
from baselines.registry import NETWORKS, UNTRAINED, VARIANTS
from tests.helpers import raises_naming

SCALE_ONE = ("dn30", "dr")
SMALL = {
    "edsr_tiny": {"num_block": 2, "num_feat": 8},
    "rdn_tiny": {"num_block": 2},
    "ignn_tiny": {"num_block": 2, "num_feat": 8},
    "swinir_light": {"embed_dim": 12, "depths": (2, 2)},
}
EVERY_NETWORK = [next(iter(network.variants)) for network in NETWORKS if network.trained]  # by its smallest variant


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4", "dn30", "dr"])
@pytest.mark.parametrize("name", EVERY_NETWORK)
def test_every_network_restores_any_size_at_every_scale(name, task):
    if name == "ignn_tiny" and task in SCALE_ONE:
        pytest.skip("refused by name, see below")
    torch.manual_seed(0)
    model = baselines.build(name, task, **SMALL.get(name, {})).eval()  # SwinIR drops paths at random in training
    scale = int(task[2]) if task.startswith("sr") else 1
    x = torch.rand(2, 3, 13, 18, requires_grad=True)
    y = model(x, task)
    assert y.shape == (2, 3, 13 * scale, 18 * scale)
    assert model.tasks == (task,)
    assert torch.equal(model(x), y)
    y.mean().backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad and p.ndim > 1)


@pytest.mark.parametrize("name", EVERY_NETWORK)
def test_inputs_are_on_the_scale_from_0_to_1(name):
    """A fresh network adds little to the mean colour (none in RDN) on its own scale; it must come back divided."""
    torch.manual_seed(0)
    y = baselines.build(name, "sr2", **SMALL.get(name, {}))(torch.full((1, 3, 16, 16), 0.5), "sr2")
    assert y.abs().max() < 2


def test_another_task_than_the_network_was_built_for_is_refused():
    model = baselines.build("rdn_tiny", "sr2")
    with raises_naming(ValueError, "sr2", "sr3"):
        model(torch.rand(1, 3, 8, 8), "sr3")


@pytest.mark.parametrize("task", SCALE_ONE)
def test_ignn_refuses_scale_one_by_name(task):
    with raises_naming(ValueError, "ignn", task):
        baselines.build("ignn_tiny", task)


@pytest.mark.parametrize(
    ("name", "task", "kwargs", "named"),
    [
        ("rdn_tny", "sr2", {}, ["'rdn_tny'", "'rdn_tiny'", *VARIANTS]),
        ("rdn_tiny", "sr5", {}, ["'sr5'", "sr2", "dr"]),
        ("rdn_tiny", "sr2", {"width": 3}, ["'rdn_tiny'", "'width'", "num_feat"]),
        ("bicubic", "dn30", {}, ["bicubic", "dn30", "`identity`"]),
        ("identity", "sr2", {}, ["identity", "sr2", "`bicubic`"]),
    ],
)
def test_wrong_requests_are_refused_in_one_message(name, task, kwargs, named):
    with raises_naming(ValueError, *named):
        baselines.build(name, task, **kwargs)


@pytest.mark.parametrize(
    ("name", "kwargs", "named"),
    [
        ("edsr_tiny", {"num_feat": -8}, ["num_feat=-8", 1, 65536]),
        ("edsr_tiny", {"num_block": "4x"}, ["num_block='4x'", 1, 1000]),
        ("edsr_tiny", {"num_block": -1}, ["num_block=-1", 1, 1000]),
        ("edsr_tiny", {"num_block": 10**7}, ["num_block=10000000", 1, 1000]),
        ("edsr_tiny", {"num_block": True}, ["num_block=True", 1, 1000]),
        ("edsr_tiny", {"res_scale": float("inf")}, ["res_scale=inf", 0]),
        ("rdn_tiny", {"growth": 0}, ["growth=0", 1, 65536]),
        ("rdn_tiny", {"num_conv": 2.5}, ["num_conv=2.5", 1, 100]),
        ("rdn_tiny", {"subtract_mean": "no"}, ["subtract_mean='no'", "true", "false"]),
        ("ignn_tiny", {"window": 0}, ["window=0", 1, 1024]),
        ("ignn_tiny", {"graph_features": "vggg"}, ["graph_features='vggg'", "'vgg'", "encoder"]),
        ("swinir_light", {"window_size": 0}, ["window_size=0", 2, 64]),
        ("swinir_light", {"num_heads": 7}, ["num_heads=7", "embed_dim=60"]),
        ("swinir_light", {"depths": 6}, ["depths=6", [6, 6, 6, 6]]),
        ("swinir_light", {"depths": [6, 0]}, ["depth=0", 1]),
        ("swinir_light", {"upsampler": "nearest"}, ["upsampler='nearest'", "pixelshuffle", "pixelshuffledirect"]),
        ("edsr_tiny", {"match": {"parms": "ipt_tiny"}}, ["match", "parms", "params", "macs"]),
        ("edsr_tiny", {"match": "ipt_tiny"}, ["match='ipt_tiny'", "params", "macs"]),
        ("edsr_tiny", {"match": {"params": -3}}, ["match", "params=-3", 0]),
    ],
)
def test_values_that_no_network_can_have_are_refused_in_one_message(name, kwargs, named):
    with raises_naming(ValueError, *named):
        baselines.build(name, "sr2", **kwargs)


def test_a_damaged_file_of_vgg_weights_is_one_message(tmp_path):
    path = tmp_path / "vgg.pth"
    path.write_bytes(b"junk")
    with raises_naming(ValueError, path):
        baselines.build("ignn", "sr2", vgg_weights=path)


def test_config_builds_the_same_network_again():
    model = baselines.build("rdn_tiny", "sr2", num_block=2)
    again = baselines.build("rdn_tiny", "sr2", **model.config)
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in again.state_dict().items()}


def test_listed_arguments_are_those_of_the_networks():
    for network in NETWORKS:
        assert (*inspect.signature(network.load_class()).parameters,) == ("task", *network.arguments)


def test_no_two_networks_share_a_variant_and_references_are_untrained():
    assert len(VARIANTS) == sum(len(network.variants) for network in NETWORKS)
    assert {"bicubic", "identity"} == UNTRAINED


def test_listing_variants_imports_no_torch():
    code = "import sys, baselines; baselines.VARIANTS; baselines.build; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
