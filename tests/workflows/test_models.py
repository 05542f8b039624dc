"""Checkpoints: what is written is what is read, the same bits each time, and nothing else is accepted."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from baselines.cost import cost
from tests.helpers import raises_naming
from workflows import models

SMALL = {"num_feat": 4, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1}
ORIGIN = {"experiment": "demo", "run": "ipt-20-seed-3", "model": "ipt", "fraction": 0.2, "seed": 3, "digest": "abc"}


def small(tasks=("sr2", "dn30"), seed=0):
    torch.manual_seed(seed)
    return models.build("ipt_tiny", tasks, **SMALL)


def test_a_loaded_model_computes_what_the_saved_one_did(tmp_path):
    model = small().eval()
    models.save(model, tmp_path / "model.safetensors", ORIGIN)
    loaded, metadata = models.load(tmp_path / "model.safetensors")
    x = torch.rand(2, 3, 8, 8)
    for task in model.tasks:
        assert torch.equal(loaded(x, task), model(x, task))
    built_from = {"variant": "ipt_tiny", "kwargs": model.config, "tasks": ["sr2", "dn30"], "format": "2"}
    assert metadata == {**ORIGIN, **built_from, "weights_sha256": models.weights_sha256(tmp_path / "model.safetensors")}
    assert not loaded.training


NETWORKS = {
    "edsr_tiny": {"num_feat": 4, "num_block": 1},
    "rdn_tiny": {"num_feat": 4, "growth": 4, "num_block": 1, "num_conv": 1},
    "ignn_tiny": {"num_feat": 8, "num_block": 4},
    "swinir_light": {"embed_dim": 4, "num_heads": 2, "depths": [1]},
    "ipt_tiny": SMALL,
}


@pytest.mark.parametrize("variant", NETWORKS)
def test_each_network_is_loaded_with_the_weights_that_were_saved(variant, tmp_path):
    network = models.build(variant, ("sr2",), **NETWORKS[variant])
    models.save(network, tmp_path / "model.safetensors", ORIGIN)
    loaded, _ = models.load(tmp_path / "model.safetensors")
    state = loaded.state_dict()
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("variant", NETWORKS)
def test_each_network_is_built_on_the_meta_device_without_allocating(variant):
    with torch.device("meta"):
        network = models.build(variant, ("sr2",), **NETWORKS[variant])
    allocated = [name for name, parameter in network.named_parameters() if not parameter.is_meta]
    assert not [name for name in allocated if "mean" not in name]


@pytest.mark.parametrize("read", ["load", "initialise"])
def test_one_flipped_bit_of_the_weights_is_noticed(read, tmp_path):
    network = models.build("edsr_tiny", ("sr2",), num_feat=4, num_block=1)
    path = tmp_path / "model.safetensors"
    models.save(network, path, ORIGIN)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with raises_naming(models.ModelFileError, path):
        models.load(path) if read == "load" else models.initialise(network, path)


def test_multiply_adds_of_a_pixel_are_those_of_a_known_network():
    # The count itself is checked in test_cost.py.
    found = models.macs_per_output_pixel("edsr_tiny", ["sr2"])
    assert found == {"sr2": cost("edsr_tiny", "sr2", "macs") / 96**2}
    several = models.macs_per_output_pixel("ipt_tiny", ["sr2", "dn30"])
    assert several["dn30"] > 3 * several["sr2"], "nearly the same network for a quarter of the pixels"


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b", "c"):
        models.save(small(), tmp_path / name, ORIGIN)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_channels_last_weights_are_saved_like_any_others(tmp_path):
    models.save(small(), tmp_path / "a", ORIGIN)
    models.save(small().to(memory_format=torch.channels_last), tmp_path / "b", ORIGIN)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_that_layers_share_are_saved_and_loaded(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        conv = nn.Conv2d(3, 3, 3, padding=1)\n"
        "        super().__init__(conv, nn.ReLU(), conv)\n"
    )
    model = models.build(f"{tmp_path}/net.py:Net", ["dn30"]).eval()
    models.save(model, tmp_path / "model.safetensors", ORIGIN)
    loaded, _ = models.load(tmp_path / "model.safetensors")
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(x), model(x))
    assert loaded.state_dict().keys() == model.state_dict().keys()


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    models.save(small(), path, ORIGIN)
    before = path.read_bytes()

    def disk_full(self, data):
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="No space left"):
        models.save(small(seed=1), path, ORIGIN)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("subtract_mean", [True, False])
def test_a_file_says_whether_rdn_subtracts_the_mean(tmp_path, subtract_mean):
    path = tmp_path / "model.safetensors"
    model = models.build("rdn_tiny", ["sr2"], subtract_mean=subtract_mean)
    models.save(model, path, {})
    loaded, metadata = models.load(path)
    x = torch.rand(1, 3, 8, 8)
    assert metadata["kwargs"]["subtract_mean"] is subtract_mean
    assert torch.equal(loaded(x), model(x))


def test_what_match_chose_is_in_the_file(tmp_path):
    model = models.build("edsr_tiny", ["sr2"], match={"macs": "ipt_tiny"})
    models.save(model, tmp_path / "model.safetensors", {})
    _, metadata = models.load(tmp_path / "model.safetensors")
    assert metadata["kwargs"] == {"num_feat": 14, "num_block": 12, "res_scale": 1.0}


def test_a_missing_file_is_named(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / "gone.safetensors"):
        models.load(tmp_path / "gone.safetensors")


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = tmp_path / "model.safetensors"
    models.save(small(), path, ORIGIN)
    path.write_bytes(path.read_bytes()[:-10])
    with raises_naming(models.ModelFileError, path):
        models.load(path)


def test_a_foreign_safetensors_file_is_refused_by_name(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with raises_naming(models.ModelFileError, tmp_path / "other.safetensors", "weight"):
        models.load(tmp_path / "other.safetensors")


def test_missing_and_misshapen_weights_are_named(tmp_path):
    model = small()
    model.built_from["kwargs"] = SMALL | {"depth": 2}
    models.save(model, tmp_path / "model.safetensors", ORIGIN)
    with raises_naming(models.ModelFileError, tmp_path / "model.safetensors", "encoder.1.norm1.weight (16,)"):
        models.load(tmp_path / "model.safetensors")
    model.built_from["kwargs"] = SMALL | {"num_feat": 8}
    models.save(model, tmp_path / "model.safetensors", ORIGIN)
    with raises_naming(models.ModelFileError, "heads.sr2.0.weight", "(4, 3, 3, 3)", "(8, 3, 3, 3)"):
        models.load(tmp_path / "model.safetensors")


def test_an_unknown_variant_is_refused_with_the_nearest_name():
    with raises_naming(ValueError, "'ipt_tny'", "'ipt_tiny'", "edsr"):
        models.build("ipt_tny", ["sr2"])


def test_a_baseline_takes_one_task():
    with raises_naming(ValueError, "identity", 2, "dn30, dn50"):
        models.build("identity", ["dn30", "dn50"])
    assert models.build("identity", ["dn30"]).tasks == ("dn30",)


def test_what_plans_and_lists_imports_no_torch():
    listed = "workflows.models, workflows.evaluation.sets, workflows.evaluation.__main__, workflows.evaluation.outputs"
    code = f"import sys, {listed}; print([m for m in ('torch', 'pandas', 'skimage') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
