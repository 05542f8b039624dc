"""Models behind one call: heads, references, ensembles."""

import pytest
import torch

from ipt_models.tasks import HeadError, nearest_head, parse_task
from ipt_models.windows import restore
from workflows import models
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.restorer import InferenceError, Restorer, dihedral_mean

SMALL = {"num_feat": 4, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1}
X = torch.rand(1, 3, 13, 18, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    models.save(models.build("ipt_tiny", ["sr2", "dn30", "dn50"], **SMALL), path, {"model": "ipt", "seed": 4})
    return path


@pytest.mark.parametrize(
    ("task", "head"),
    [("dn30", "dn30"), ("dn10", "dn30"), ("dn70", "dn50"), ("dn39", "dn30"), ("dn40", "dn50"), ("sr2", "sr2")],
)
def test_unseen_levels_take_the_nearest_head_of_their_kind(task, head):
    assert nearest_head(parse_task(task), ["sr2", "dn30", "dn50"]) == head
    assert nearest_head(parse_task(task), ["dn50", "dn30", "sr2"]) == head


@pytest.mark.parametrize("task", ["sr3", "dr"])
def test_another_scale_or_kind_has_no_head(task):
    with pytest.raises(HeadError, match=f"trained on sr2, dn30 and has no head for {task}"):
        nearest_head(parse_task(task), ["sr2", "dn30"])


def test_a_network_restores_with_the_head_that_it_names(checkpoint):
    restorer = Restorer(checkpoint)
    network, _ = models.load(checkpoint)
    assert (restorer.label, restorer.setting, restorer.head(parse_task("dn70"))) == ("ipt", "plain", "dn50")
    with torch.inference_mode():
        torch.testing.assert_close(restorer(X, parse_task("dn70")), restore(network, X, "dn50"), rtol=0, atol=0)
        assert restorer(X, parse_task("sr2")).shape == (1, 3, 26, 36)


def test_settings_are_named_and_change_the_output(checkpoint):
    task = parse_task("dn30")
    plain = Restorer(checkpoint)(X, task)
    for options, setting in (
        ({"stride": 3}, "overlap"),
        ({"self_ensemble": True}, "x8"),
        ({"precision": "bf16-mixed"}, "bf16"),
        ({"stride": 4, "self_ensemble": True}, "overlap+x8"),
    ):
        restorer = Restorer(checkpoint, **options)
        output = restorer(X, task)
        assert restorer.setting == setting
        assert output.dtype == torch.float32
        assert output.shape == plain.shape
        assert not torch.equal(output, plain)
        assert (output - plain).abs().mean() < 0.3


@pytest.mark.parametrize(
    "turn", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.transpose(-1, -2), lambda x: x.rot90(1, (-2, -1))]
)
def test_the_ensemble_of_a_turned_image_is_the_turned_ensemble(turn):
    def lopsided(x):  # gives each orientation another output
        y = torch.nn.functional.interpolate(x, scale_factor=2)
        return y + torch.linspace(0, 0.1, y.shape[-1]) + torch.linspace(0, 0.3, y.shape[-2])[:, None]

    assert not torch.allclose(lopsided(turn(X)), turn(lopsided(X)))
    torch.testing.assert_close(dihedral_mean(lopsided, turn(X)), turn(dihedral_mean(lopsided, X)))
    torch.testing.assert_close(dihedral_mean(lambda x: x, X), X)


def test_references_do_their_half_of_the_tasks():
    bicubic, identity = Restorer("bicubic"), Restorer("identity")
    assert [bicubic.can(parse_task(t)) for t in ("sr2", "dn30", "dr")] == [True, False, False]
    assert [identity.can(parse_task(t)) for t in ("sr2", "dn30", "dr")] == [False, True, True]
    assert torch.equal(identity(X, parse_task("dr")), X)
    low = (X * 255).round() / 255
    assert bicubic(low, parse_task("sr3")).shape == (1, 3, 39, 54)
    pixels = bicubic(low, parse_task("sr2")) * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    unrounded = Restorer("bicubic", Protocol(bicubic="float"))(low, parse_task("sr2")) * 255
    assert (unrounded - unrounded.round()).abs().max() > 0.1


def test_options_that_a_model_has_no_use_for_are_refused(tmp_path):
    with pytest.raises(InferenceError, match="bicubic is not a network"):
        Restorer("bicubic", self_ensemble=True)
    torch.manual_seed(0)
    models.save(models.build("rdn_tiny", ["sr2"]), tmp_path / "rdn.safetensors", {"model": "rdn"})
    with pytest.raises(InferenceError, match="sees whole images; a stride is for IPT"):
        Restorer(tmp_path / "rdn.safetensors", stride=8)


def test_a_baseline_is_scored_like_ipt(tmp_path):
    torch.manual_seed(0)
    models.save(models.build("rdn_tiny", ["dn30"]), tmp_path / "rdn.safetensors", {"model": "rdn"})
    restorer = Restorer(tmp_path / "rdn.safetensors")
    assert restorer.head(parse_task("dn10")) == "dn30"
    assert restorer(X, parse_task("dn10")).shape == X.shape
