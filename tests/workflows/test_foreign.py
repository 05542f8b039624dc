"""Checkpoints of other projects: each becomes the network that made it, and nothing but tensors is read."""

import pandas as pd
import pytest
import torch
from spandrel import MAIN_REGISTRY
from spandrel.architectures.DnCNN import DnCNN
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.RCAN import RCAN
from spandrel.architectures.SwinIR import SwinIR

import baselines
from baselines.edsr import BasicsrEDSR
from baselines.rdn import RDN
from ipt_models import IPT, to_official
from ipt_models.tasks import parse_task
from tests.helpers import assert_names, raises_naming
from workflows import models
from workflows.evaluation.restorer import Restorer

IPT_SIZES = {"num_feat": 4, "patch_dim": 3, "patch_size": 12, "num_heads": 12, "depth": 2}
SIX_TASKS = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")
X = torch.rand(1, 3, 17, 20, generator=torch.Generator().manual_seed(0))


def spread(network: torch.nn.Module) -> torch.nn.Module:
    """Random weights, also where a network starts with zeros."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


def save(tmp_path, state, name="x.pth"):
    torch.save(state, tmp_path / name)
    return tmp_path / name


def edsr_pytorch(state: dict[str, torch.Tensor], num_block: int) -> dict[str, torch.Tensor]:
    """BasicSR's names as the EDSR authors' code writes them."""
    names = {"conv_first": "head.0", "conv_after_body": f"body.{num_block}", "conv_last": "tail.1"}
    for block in range(num_block):
        names |= {f"body.{block}.conv1": f"body.{block}.body.0", f"body.{block}.conv2": f"body.{block}.body.2"}
    names |= {f"upsample.{layer}": f"tail.0.{layer}" for layer in (0, 2)}
    renamed = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}
    mean = 255 * torch.tensor([0.4488, 0.4371, 0.4040])
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        renamed |= {f"{name}.weight": torch.eye(3).view(3, 3, 1, 1), f"{name}.bias": sign * mean}
    return renamed


@pytest.mark.parametrize("wrap", [dict, lambda state: {"params": {"x": X}, "params_ema": state}])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edsr_of_basicsr_and_of_its_authors(tmp_path, scale, wrap):
    torch.manual_seed(0)
    theirs = BasicsrEDSR(3, 3, num_feat=8, num_block=2, upscale=scale, img_range=255.0).eval()
    for state in (theirs.state_dict(), edsr_pytorch(theirs.state_dict(), 2)):
        network, facts = models.load(save(tmp_path, wrap(state)))
        assert torch.equal(network(X), theirs(X))
        assert facts["tasks"] == [f"sr{scale}"]
        assert facts["model"] == "x"


def test_rdn_of_the_edsr_authors_code(tmp_path):
    theirs = RDN("sr3", num_feat=4, growth=4, num_block=2, num_conv=2, subtract_mean=False)
    prefixed = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    network, facts = models.load(save(tmp_path, prefixed))
    assert torch.equal(network(X), theirs(X))
    assert facts["kwargs"]["subtract_mean"] is False


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("heads", "told"),
    [(("sr2",), None), (SIX_TASKS, None), (SIX_TASKS, ["dn50"]), (SIX_TASKS, ["sr2", "dn10"]), (("dr",), ["dr"])],
)
def test_ipt_of_its_authors(tmp_path, heads, told, prefix):
    torch.manual_seed(0)
    theirs = IPT(heads, **IPT_SIZES)
    state = {f"{prefix}{key}": value.clone() for key, value in to_official(theirs).items()}
    network, facts = models.load(save(tmp_path, state), tasks=told)
    assert facts["tasks"] == list(heads)
    assert models.is_ipt(facts["variant"])
    assert torch.equal(network(X[..., :12, :12], heads[-1]), theirs(X[..., :12, :12], heads[-1]))


def test_ipt_of_six_tasks_may_have_others_and_restores_noise_by_the_nearest_head(tmp_path):
    torch.manual_seed(0)
    path = save(tmp_path, {name: value.clone() for name, value in to_official(IPT(SIX_TASKS, **IPT_SIZES)).items()})
    assert Restorer(path, tasks=["dn70"]).head(parse_task("dn70")) == "dn50"
    others = ["sr2", "sr3", "sr4", "dn10", "dn20", "dr"]
    assert models.load(path, tasks=others)[1]["tasks"] == others


@pytest.mark.parametrize("kwargs", [{}, {"position": "none"}, {"norm": False}])
def test_ipt_agrees_with_an_independent_implementation(kwargs):
    """spandrel's IPT is the authors' code; weights travel by the authors' names."""
    torch.manual_seed(1)
    ours = IPT(("sr2", "dn30"), **{**IPT_SIZES, **kwargs}).eval()
    theirs = MAIN_REGISTRY.load({key: value.clone() for key, value in to_official(ours).items()}).model.eval()
    x = torch.rand(2, 3, 12, 12)
    with torch.no_grad():
        for head, task in enumerate(ours.tasks):
            theirs.set_scale(head)
            expected = theirs(x * 255)
            torch.testing.assert_close(ours(x, task) * 255, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def small_swinir(**kwargs):
    return SwinIR(img_size=16, depths=[2, 2], embed_dim=12, num_heads=[2, 2], window_size=8, mlp_ratio=2, **kwargs)


@pytest.mark.parametrize(
    ("theirs", "told", "tasks", "name"),
    [
        (small_swinir(upscale=2, upsampler="pixelshuffle"), None, ["sr2"], "SwinIR"),
        (small_swinir(upscale=1, upsampler=""), ["dn50"], ["dn50"], "SwinIR"),
        (RCAN(n_resgroups=1, n_resblocks=1, n_feats=16, scale=4), None, ["sr4"], "RCAN"),
        (DnCNN(in_nc=3, out_nc=3, nc=8, nb=4, mode="DnCNN"), ["dn30", "dn50"], ["dn30", "dn50"], "DnCNN"),
    ],
)
@pytest.mark.parametrize("key", ["params", "params_ema", None])
def test_architectures_of_spandrel(tmp_path, theirs, told, tasks, name, key):
    state = spread(theirs).state_dict()
    network, facts = models.load(save(tmp_path, state if key is None else {key: state}), tasks=told)
    x = X[..., :16, :16]
    with torch.no_grad():
        before = x.clone()
        restored = network(x, tasks[-1])
        assert torch.equal(x, before), "the input is left alone"
        torch.testing.assert_close(restored, theirs(x.clone()).clamp(0, 1))
        scale = network.scale
        assert network(X).shape == (1, 3, 17 * scale, 20 * scale), "any size"
    assert facts["tasks"] == tasks
    assert facts["variant"] == name
    assert network.receptive_field is None
    assert baselines.restore(network, X).shape == (1, 3, 17 * scale, 20 * scale)


def test_drunet_gets_the_tasks_noise_level(tmp_path):
    theirs = spread(DRUNet(in_nc=4, out_nc=3, nc=[4, 8, 12, 16], nb=4, act_mode="R"))
    network, _ = models.load(save(tmp_path, theirs.state_dict()), tasks=["dn30", "dn50"])
    x = X[..., :16, :16]
    with torch.no_grad():
        for sigma in (30, 50):
            expected = theirs(torch.cat([x, torch.full((1, 1, 16, 16), sigma / 255)], dim=1)).clamp(0, 1)
            torch.testing.assert_close(network(x, f"dn{sigma}"), expected)


def test_tasks_that_weights_do_not_show_are_required(tmp_path):
    path = save(tmp_path, DnCNN(in_nc=3, out_nc=3, nc=8, nb=4, mode="DnCNN").state_dict())
    with raises_naming(models.ModelFileError, path, "scale 1", "dn30", "dr"):
        models.load(path)
    with raises_naming(models.ModelFileError, path, "scale 1", "sr2", "dn30", "dr"):
        models.load(path, tasks=["sr2"])


def test_networks_that_are_not_scored_here_are_refused(tmp_path):
    gray = DnCNN(in_nc=1, out_nc=1, nc=8, nb=4, mode="DnCNN").state_dict()
    with raises_naming(models.ModelFileError, tmp_path / "x.pth", "DnCNN", 1, "RGB"):
        models.load(save(tmp_path, gray), tasks=["dn30"])
    with raises_naming(models.ModelFileError, tmp_path / "x.pth", "IPT", "EDSR", "RDN", "spandrel", "weight"):
        models.load(save(tmp_path, {"weight": torch.zeros(3)}))
    state = BasicsrEDSR(3, 3, num_feat=8, num_block=2, upscale=2).state_dict()
    del state["body.1.conv2.bias"]
    with raises_naming(models.ModelFileError, tmp_path / "x.pth", "EDSR", "body.1.conv2.bias"):
        models.load(save(tmp_path, state))


def test_weights_of_a_class_of_the_user_s(tmp_path):
    own = "examples/srcnn.py:SRCNN"
    theirs = baselines.build(own, "sr3", num_feat=4)
    path = save(
        tmp_path, {"state_dict": {f"module.{name}": value for name, value in theirs.network.state_dict().items()}}
    )
    network, facts = models.load(path, tasks=["sr3"], own=own, kwargs={"num_feat": 4})
    assert torch.equal(network(X, "sr3"), theirs(X))
    assert facts["variant"] == own
    assert facts["source_sha256"] == models.source(own)["source_sha256"]
    assert models.load(path, tasks=["dn30", "dn50"], own=own, kwargs={"num_feat": 4})[1]["tasks"] == ["dn30", "dn50"]
    with raises_naming(models.ModelFileError, path, own, "conv1.weight", 4, 64):
        models.load(path, tasks=["sr3"], own=own)
    with raises_naming(models.ModelFileError, path, own, "sr2, sr3"):
        models.load(path, tasks=["sr2", "sr3"], own=own, kwargs={"num_feat": 4})
    with raises_naming(models.ModelFileError, path, own, "task"):
        models.load(path, own=own, kwargs={"num_feat": 4})
    with raises_naming(models.ModelFileError, path, "--network"):
        models.load(path, tasks=["sr3"])


def test_code_in_a_file_is_never_run(tmp_path):
    with raises_naming(models.ModelFileError, tmp_path / "x.pth", "basicsr.archs.edsr_arch.EDSR"):
        models.load(save(tmp_path, BasicsrEDSR(3, 3, num_feat=8, num_block=2, upscale=2)))


def test_the_command_scores_them_by_the_same_protocol(tmp_path, capsys):
    """A network whose weights add nothing to its skip connections is not needed: any score will do, on each path."""
    from workflows.evaluation.__main__ import main

    torch.manual_seed(0)
    save(tmp_path, {"params": BasicsrEDSR(3, 3, num_feat=4, num_block=1, upscale=2, img_range=255.0).state_dict()})
    save(tmp_path, DnCNN(in_nc=3, out_nc=3, nc=8, nb=4, mode="DnCNN").state_dict(), "dncnn.pth")
    for name, task in (("x", "sr2"), ("dncnn", "dn50")):
        arguments = ["--model", f"{tmp_path}/{name}.pth", "--sets", "photos@1", "--tasks", task, "--threads", "1"]
        assert main([*arguments, "--out", f"{tmp_path}/{name}.csv"]) == 0
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert table.model.tolist() == [name]
        assert table.psnr_y.between(3, 60).all()
    capsys.readouterr()
    unknown = save(tmp_path, {"weight": torch.zeros(3)}, "unknown.pth")
    assert main(["--model", str(unknown), "--sets", "photos@1", "--tasks", "sr2", "--out", f"{tmp_path}/u.csv"]) == 2
    assert_names(capsys.readouterr().err, unknown, "weight")
