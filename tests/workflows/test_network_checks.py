"""Arguments of networks: what cannot be built or take a patch is refused before the first job."""

import subprocess
import sys

import pytest

from ipt_models.variants import VARIANTS as IPTS
from tests.helpers import raises_naming
from workflows import network_checks, preflight
from workflows.config.grid import parse
from workflows.config.messages import ConfigError
from workflows.config.schema import TRAINABLE
from workflows.provenance import ROOT


def check(variant, tasks=("sr2",), name="x", training=None, **kwargs):
    training = {"budget": {"steps": 10}, "patch_size": 24, **(training or {})}
    config = {"name": name, "tasks": list(tasks), "training": training, "evaluation": {"references": []}}
    network_checks.check(parse({**config, "models": [{"name": "m", "variant": variant, "kwargs": kwargs}]}))


@pytest.mark.parametrize(
    ("variant", "kwargs", "named"),
    [
        ("ipt_tiny", {"num_heads": 7}, "num_heads=7"),
        ("ipt_tiny", {"num_heads": "6"}, "num_heads='6'"),
        ("ipt_tiny", {"depth": 0}, "depth=0"),
        ("ipt_tiny", {"depth": 2.5}, "depth=2.5"),
        ("ipt_tiny", {"depth": 10**7}, "depth=10000000"),
        ("ipt_tiny", {"depth": True}, "depth=True"),
        ("ipt_tiny", {"mlp": 1}, "mlp=1"),
        ("ipt_tiny", {"position": "sincos"}, "position='sincos'"),
        ("ipt_tiny", {"num_feat": -8}, "num_feat=-8"),
        ("ipt_tiny", {"num_feat": 4096}, "training.memory_mb"),
        ("ipt_tiny", {"patch_dim": 5}, "patch_dim=5"),
        ("edsr_tiny", {"num_block": "4x"}, "num_block='4x'"),
        ("edsr_tiny", {"num_block": -1}, "num_block=-1"),
        ("edsr_tiny", {"res_scale": "1"}, "res_scale='1'"),
        ("edsr_tiny", {"match": {"parms": "ipt_tiny"}}, "'parms'"),
        ("edsr_tiny", {"match": 3}, "match=3"),
        ("swinir_light", {"window_size": 0}, "window_size=0"),
        ("swinir_light", {"depths": [1], "num_heads": 7}, "num_heads=7"),
        ("swinir_light", {"depths": [1], "upsampler": "x"}, "upsampler='x'"),
    ],
)
def test_what_no_network_takes_is_named_with_its_value(variant, kwargs, named):
    with raises_naming(ConfigError, "'m'", named) as error:
        check(variant, **kwargs)
    assert len(error.value.lines) == 1
    assert error.value.lines[0].startswith("models: 'm': ")


def test_a_class_is_named_once():
    with raises_naming(ConfigError, "models[0].variant: 'gone.py:Net': there is no file"):
        check("gone.py:Net")


def test_a_task_that_a_network_cannot_restore_is_refused():
    with raises_naming(ConfigError, "'m'", "ignn", "dn30"):
        check("ignn_tiny", tasks=["dn30"])


def test_what_can_run_is_accepted():
    check("ipt_tiny", tasks=["sr2", "sr3", "sr4", "dn30", "dr"], depth=1)
    check("edsr_tiny", res_scale=1, num_block=2)
    check("swinir_light", depths=[1, 1])


@pytest.mark.parametrize("variant", TRAINABLE)
def test_a_variant_as_it_is_listed_can_be_built_and_is_not_built_before_a_run(variant, monkeypatch):
    size = IPTS.get(variant, {}).get("patch_size", 24)
    experiment = parse({"name": "x", "models": [{"name": "m", "variant": variant}], "training": {"patch_size": size}})
    assert network_checks.is_tested(next(iter(experiment.runs().values())))
    monkeypatch.setattr(network_checks, "is_tested", lambda run: False)
    network_checks.check(experiment)


def test_networks_that_passed_are_not_built_again_until_they_change(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(network_checks.models, "check", lambda *arguments: built.append(arguments) or 1)
    monkeypatch.chdir(tmp_path)
    check("edsr_tiny", num_feat=8)
    assert not list(tmp_path.iterdir()), "a dry run of a new experiment leaves nothing"
    (tmp_path / "results" / "x").mkdir(parents=True)
    for count in (2, 2, 2):
        check("edsr_tiny", num_feat=8)
        assert len(built) == count
    check("edsr_tiny", num_feat=4)
    assert len(built) == 3
    check("edsr_tiny", num_feat=4, training={"patch_size": 16})
    assert len(built) == 4
    assert built[-1][-1] == 16


def test_a_refusal_costs_no_torch_before_the_files_are_checked(tmp_path):
    code = (
        "import sys; from workflows import preflight; from workflows.config.grid import parse\n"
        "from workflows.config.messages import ConfigError\n"
        "try: preflight.check(parse({'name': 'x', 'models': [{'name': 'm', 'variant': 'ipt_tiny'}],"
        " 'training': {'patch_size': 24}, 'evaluation': {'sets': ['Set5']}}))\n"
        "except ConfigError: sys.exit('torch' in sys.modules or 'pandas' in sys.modules)\n"
        "sys.exit(2)"
    )
    assert preflight.network_checks is network_checks
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
