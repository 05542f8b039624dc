"""Arguments of networks: what cannot be built or take a patch is refused before the first job."""

import subprocess
import sys

import pytest
import torch

from ipt_models.variants import VARIANTS as IPTS
from workflows import networks, preflight
from workflows.config.grid import ConfigError, parse
from workflows.config.schema import TRAINABLE
from workflows.provenance import ROOT


def check(variant, tasks=("sr2",), name="x", training=None, **kwargs):
    training = {"budget": {"steps": 10}, "patch_size": 24, **(training or {})}
    config = {"name": name, "tasks": list(tasks), "training": training, "evaluation": {"references": []}}
    networks.check(parse({**config, "models": [{"name": "m", "variant": variant, "kwargs": kwargs}]}))


@pytest.mark.parametrize(
    ("variant", "kwargs", "said"),
    [
        ("ipt_tiny", {"num_heads": 7}, "num_heads=7: expected a divisor"),
        ("ipt_tiny", {"num_heads": "6"}, "kwargs.num_heads of 'm' (ipt_tiny): '6': expected int"),
        ("ipt_tiny", {"depth": 0}, "depth of 'm' (ipt_tiny): 0"),
        ("ipt_tiny", {"depth": 2.5}, "depth of 'm' (ipt_tiny): 2.5"),
        ("ipt_tiny", {"depth": 10**7}, "depth of 'm' (ipt_tiny): 10000000"),
        ("ipt_tiny", {"depth": True}, "depth of 'm' (ipt_tiny): True"),
        ("ipt_tiny", {"mlp": 1}, "mlp of 'm' (ipt_tiny): 1: expected bool"),
        ("ipt_tiny", {"position": "sincos"}, "position of 'm' (ipt_tiny): 'sincos'"),
        ("ipt_tiny", {"num_feat": -8}, "num_feat of 'm' (ipt_tiny): -8"),
        ("ipt_tiny", {"num_feat": 4096}, "training.memory_mb is 3,000"),
        ("ipt_tiny", {"patch_dim": 5}, "patch_dim=5"),
        ("edsr_tiny", {"num_block": "4x"}, "num_block of 'm' (edsr_tiny): '4x'"),
        ("edsr_tiny", {"num_block": -1}, "num_block of 'm' (edsr_tiny): -1"),
        ("edsr_tiny", {"match": {"parms": "ipt_tiny"}}, "match: expected one of params and macs"),
        ("edsr_tiny", {"match": 3}, "cannot be built"),
        ("swinir_light", {"window_size": 0}, "window_size of 'm' (swinir_light): 0"),
        ("swinir_light", {"depths": [1], "num_heads": 7}, "cannot restore a 24x24 patch (sr2)"),
        ("swinir_light", {"depths": [1], "upsampler": "x"}, "upsampler"),
        ("ignn", {"vgg_weights": "no/vgg.pth"}, "no VGG19 weights at no/vgg.pth"),
    ],
)
def test_what_no_network_takes_is_named_with_its_value(variant, kwargs, said):
    with pytest.raises(ConfigError) as error:
        check(variant, **kwargs)
    assert said in str(error.value)
    assert len(error.value.lines) == 1


@pytest.mark.parametrize("variant", TRAINABLE)
def test_every_variant_that_is_not_built_before_a_run_can_be_built(variant, monkeypatch):
    size = IPTS.get(variant, {}).get("patch_size", networks.TESTED_PATCH)
    config = {"name": "x", "models": [{"name": "m", "variant": variant}]}
    for task in ("sr2", "sr3", "sr4"):
        experiment = parse({**config, "tasks": [task], "training": {"patch_size": size}})
        skipped = networks.is_tested(next(iter(experiment.runs().values())))
        assert skipped == (variant != "ignn")
        with monkeypatch.context() as patch:
            patch.setattr(networks, "is_tested", lambda run: not skipped)
            networks.check(experiment)


def test_a_task_that_a_network_cannot_restore_is_refused():
    with pytest.raises(ConfigError, match="ignn cannot restore dn30"):
        check("ignn_tiny", tasks=["dn30"])


def test_what_can_run_is_accepted():
    check("ipt_tiny", tasks=["sr2", "sr3", "sr4", "dn30", "dr"], depth=1)
    check("edsr_tiny", res_scale=1, num_block=2)
    check("swinir_light", depths=[1, 1])
    check("rdn_tiny", tasks=["dn30"], match={"macs": "ipt_tiny"})


def test_networks_that_passed_are_not_built_again_until_they_change(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(networks.models, "build", lambda *a, **k: built.append(a) or torch.nn.Upsample(scale_factor=2))
    monkeypatch.setattr(torch.nn.Upsample, "forward", lambda self, x, task: x.repeat(1, 1, 2, 2))
    monkeypatch.chdir(tmp_path)
    check("edsr_tiny", num_feat=8)
    assert not list(tmp_path.iterdir()), "a dry run of a new experiment leaves nothing"
    (tmp_path / "results" / "x").mkdir(parents=True)
    for count in (2, 2, 2):
        check("edsr_tiny", num_feat=8)
        assert len(built) == count
    check("edsr_tiny", num_feat=4)
    assert len(built) == 3


def test_a_refusal_costs_no_torch_before_the_files_are_checked(tmp_path):
    code = (
        "import sys; from workflows import preflight; from workflows.config.grid import ConfigError, parse\n"
        "try: preflight.check(parse({'name': 'x', 'models': [{'name': 'm', 'variant': 'ipt_tiny'}],"
        " 'training': {'patch_size': 24}, 'evaluation': {'sets': ['Set5']}}))\n"
        "except ConfigError: sys.exit('torch' in sys.modules or 'pandas' in sys.modules)\n"
        "sys.exit(2)"
    )
    assert preflight.networks is networks
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
