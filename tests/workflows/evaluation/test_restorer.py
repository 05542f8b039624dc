"""Models behind one call: heads, references, ensembles."""

import pytest
import torch

from ipt_models.tasks import parse_task
from ipt_models.windows import restore
from tests.helpers import raises_naming
from workflows import models
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.restorer import Restorer, RestorerError

SMALL = {"num_feat": 4, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1}
X = torch.rand(1, 3, 13, 18, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    models.save(models.build("ipt_tiny", ["sr2", "dn30", "dn50"], **SMALL), path, {"model": "ipt", "seed": 4})
    return path


def test_a_network_restores_with_the_head_that_it_names(checkpoint):
    restorer = Restorer(checkpoint)
    network, _ = models.load(checkpoint)
    assert (restorer.label, restorer.setting, restorer.head(parse_task("dn70"))) == ("ipt", "plain", "dn50")
    with torch.inference_mode():
        centre = restore(network, X, "dn50", "centre")
        torch.testing.assert_close(restorer(X, parse_task("dn70")), centre, rtol=0, atol=0)
        assert restorer(X, parse_task("sr2")).shape == (1, 3, 26, 36)


def test_settings_are_named_and_change_the_output(checkpoint):
    task = parse_task("dn30")
    plain = Restorer(checkpoint)(X, task)
    for options, setting in (
        ({"windows": "averaged"}, "averaged"),
        ({"windows": "side-by-side"}, "side-by-side"),
        ({"windows": "blended"}, "blended"),
        ({"self_ensemble": True}, "x8"),
        ({"precision": "bf16-mixed"}, "bf16"),
        ({"windows": "averaged", "self_ensemble": True}, "averaged+x8"),
    ):
        restorer = Restorer(checkpoint, **options)
        output = restorer(X, task)
        assert restorer.setting == setting
        assert output.dtype == torch.float32
        assert output.shape == plain.shape
        assert not torch.equal(output, plain)
        assert (output - plain).abs().mean() < 0.3


def test_references_do_their_half_of_the_tasks():
    bicubic, identity = Restorer("bicubic"), Restorer("identity")
    assert [bicubic.can(parse_task(t)) for t in ("sr2", "dn30", "dr")] == [True, False, False]
    assert [identity.can(parse_task(t)) for t in ("sr2", "dn30", "dr")] == [False, True, True]
    unclipped = Restorer("identity", Protocol(noise="unclipped"))
    assert [unclipped.can(parse_task(t)) for t in ("sr2", "dn30", "dr")] == [False, False, True]
    assert torch.equal(identity(X, parse_task("dr")), X)
    low = (X * 255).round() / 255
    assert bicubic(low, parse_task("sr3")).shape == (1, 3, 39, 54)
    pixels = bicubic(low, parse_task("sr2")) * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    unrounded = Restorer("bicubic", Protocol(bicubic="float"))(low, parse_task("sr2")) * 255
    assert (unrounded - unrounded.round()).abs().max() > 0.1


def test_options_that_a_model_has_no_use_for_are_refused(tmp_path):
    with raises_naming(RestorerError, "bicubic"):
        Restorer("bicubic", self_ensemble=True)
    torch.manual_seed(0)
    models.save(models.build("rdn_tiny", ["sr2"]), tmp_path / "rdn.safetensors", {"model": "rdn"})
    with raises_naming(RestorerError, "rdn", "rdn_tiny", "IPT"):
        Restorer(tmp_path / "rdn.safetensors", windows="averaged")


def test_a_baseline_is_scored_like_ipt(tmp_path):
    torch.manual_seed(0)
    models.save(models.build("rdn_tiny", ["dn30"]), tmp_path / "rdn.safetensors", {"model": "rdn"})
    restorer = Restorer(tmp_path / "rdn.safetensors")
    assert restorer.head(parse_task("dn10")) == "dn30"
    assert restorer(X, parse_task("dn10")).shape == X.shape
