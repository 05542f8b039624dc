"""Checkpoints that say how to build their network again."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ipt_models import IPT, build, load, save, to_official
from ipt_models.variants import VARIANTS
from ipt_models.weights_file import ModelFileError
from tests.helpers import raises_naming

SMALL = {"num_feat": 2, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1}


def header(path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


@pytest.mark.parametrize(
    "kwargs", [{}, {"position": "learned_every_layer"}, {"position": "none"}, {"norm": False}, {"mlp": False}]
)
def test_a_saved_network_comes_back_the_same(tmp_path, kwargs):
    model = IPT(("sr2", "dn30"), **(SMALL | kwargs))
    save(model, tmp_path / "model.safetensors", {"model": "IPT", "seed": "3"})
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    assert loaded.tasks == ("sr2", "dn30")
    assert not loaded.training
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(x, "dn30"), model(x, "dn30"))
    assert header(tmp_path / "model.safetensors")["seed"] == "3"
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_header_names_the_variant_whose_sizes_fit(tmp_path):
    save(build("ipt_tiny", ("dr",), position="none"), tmp_path / "model.safetensors")
    found = header(tmp_path / "model.safetensors")
    assert found["variant"] == "ipt_tiny"
    assert json.loads(found["tasks"]) == ["dr"]
    assert json.loads(found["kwargs"]) == {**VARIANTS["ipt_tiny"], "position": "none", "norm": True, "mlp": True}


def test_an_aborted_save_leaves_the_old_file(tmp_path):
    model = IPT(**SMALL)
    save(model, tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(TypeError):
        save(model, tmp_path / "model.safetensors", {"seed": object()})
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_equal_weights_give_equal_bytes_in_every_process(tmp_path):
    """The library orders a header by a hash that differs from process to process."""
    code = (
        "import sys, torch; from ipt_models import IPT, save; torch.manual_seed(0)\n"
        f"save(IPT(**{SMALL}), sys.argv[1], dict(zip('abcdefgh', map(str, range(8)))))"
    )
    for name in "12":
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_files_that_hold_no_ipt_are_refused_in_one_message(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / "absent.safetensors"):
        load(tmp_path / "absent.safetensors")
    torch.save(to_official(IPT(**SMALL)), tmp_path / "official.pt")
    with raises_naming(ValueError, tmp_path / "official.pt", "python -m ipt_models convert"):
        load(tmp_path / "official.pt")
    weights = IPT(**SMALL).state_dict()
    save_file(weights, tmp_path / "bare.safetensors")
    with raises_naming(ValueError, tmp_path / "bare.safetensors", "variant", "kwargs", "tasks"):
        load(tmp_path / "bare.safetensors")


GOOD = {"format": "2", "variant": "ipt_tiny", "kwargs": json.dumps(SMALL), "tasks": '["sr2"]'}


@pytest.mark.parametrize(
    ("name", "fault", "named"),
    [
        ("variant", "edsr_tiny", ["variant", "'edsr_tiny'"]),
        ("kwargs", '{"width": 3}', ["width"]),
        ("kwargs", "{}", ["encoder.1.norm1.weight (72,)"]),
        ("kwargs", "{", ["kwargs", "JSON"]),
        ("kwargs", "[1, 2]", ["kwargs"]),
        ("kwargs", json.dumps({**SMALL, "self": 1}), ["self"]),
        ("kwargs", json.dumps({**SMALL, "num_feat": 60_000}), ["(60000,)"]),
        ("kwargs", json.dumps({**SMALL, "depth": 10_000_000}), ["depth=10000000"]),
        ("kwargs", json.dumps({**SMALL, "depth": 2}), ["encoder.1.norm1.weight"]),
        ("tasks", '["sr3"]', ["heads.sr3.0.weight"]),
        ("tasks", "null", ["tasks"]),
        ("tasks", "[2]", ["tasks"]),
        ("format", "3", ["format", 3]),
    ],
)
def test_a_header_that_does_not_fit_its_weights_is_refused_before_anything_is_allocated(tmp_path, name, fault, named):
    save_file(IPT(**SMALL).state_dict(), tmp_path / "bad.safetensors", GOOD)
    load(tmp_path / "bad.safetensors")
    save_file(IPT(**SMALL).state_dict(), tmp_path / "bad.safetensors", GOOD | {name: fault})
    with raises_naming(ModelFileError, tmp_path / "bad.safetensors", *named):
        load(tmp_path / "bad.safetensors")
