"""Variants as data, and what importing them costs."""

import subprocess
import sys

import pytest

import ipt_models
from ipt_models.variants import VARIANTS, build
from tests.helpers import raises_naming


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "ipt_base"])
def test_each_variant_builds_with_its_sizes(variant):
    model = build(variant, ("sr2", "dn30"))
    assert VARIANTS[variant].items() <= model.config.items()
    assert model.tasks == ("sr2", "dn30")


def test_the_base_variant_has_the_papers_sizes():
    assert VARIANTS["ipt_base"] == {"num_feat": 64, "patch_dim": 3, "patch_size": 48, "num_heads": 12, "depth": 12}


def test_overrides_replace_a_variants_sizes():
    assert build("ipt_tiny", ("sr2",), depth=1, position="none").config["depth"] == 1
    assert VARIANTS["ipt_tiny"]["depth"] != 1


def test_an_unknown_variant_is_named_with_the_nearest():
    with raises_naming(ValueError, "'ipt_tinny'", "'ipt_tiny'", *VARIANTS):
        build("ipt_tinny", ("sr2",))


def test_every_public_name_can_be_imported():
    for name in ipt_models.__all__:
        assert getattr(ipt_models, name) is not None
    assert set(ipt_models.__all__) <= set(dir(ipt_models))
    with pytest.raises(AttributeError, match="IPTT"):
        ipt_models.IPTT  # noqa: B018


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import ipt_models; ipt_models.VARIANTS, ipt_models.parse_task('sr2')", ["torch"]),
        ("import ipt_models; ipt_models.build('ipt_tiny', ('sr2',))", ["timm", "torchvision", "torch._dynamo"]),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(code, heavy):
    code += f"; import sys; sys.exit(', '.join(sys.modules.keys() & {set(heavy)}))"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.stderr.strip() == ""
