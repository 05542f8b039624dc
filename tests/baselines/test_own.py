"""Networks of the user's: found by their class, built for a task, measured, matched, and refused in one message."""

import subprocess
import sys

import pytest
import torch

import baselines
from baselines.cost import cost, count_parameters
from baselines.own import source_file, source_sha256
from baselines.own_network import check
from tests.helpers import raises_naming
from workflows import models

SRCNN = "examples/srcnn.py:SRCNN"
RCAN = "basicsr.archs.rcan_arch:RCAN"
SMALL_RCAN = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 16, "num_group": 1, "num_block": 1}

# Known receptive fields, behind classes that hide them.
WRAPPED = """
import torch
from torch import nn
from baselines.edsr import EDSR
from baselines.rdn import RDN

class Edsr(nn.Module):
    def __init__(self, upscale):
        super().__init__()
        self.inner = EDSR(f"sr{upscale}", num_feat=4, num_block=3)

    def forward(self, x):
        return self.inner(x)

class Rdn(nn.Module):
    def __init__(self, scale, num_feat=4):
        super().__init__()
        self.inner = RDN(f"sr{scale}", num_feat=num_feat, growth=4, num_block=2, num_conv=2)

    def forward(self, x):
        return self.inner(x)

class Tuple(nn.Module):
    def forward(self, x):
        return x, x

class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no luck")

class Failing(nn.Module):
    def forward(self, x):
        return x @ x.new_zeros(3)

class Rates(nn.Conv2d):  # reads values while it is built
    def __init__(self):
        super().__init__(3, 3, 3, padding=1)
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 4)]

class Level(nn.Conv2d):  # reads values while it runs
    def __init__(self):
        super().__init__(3, 3, 1, bias=False)

    def forward(self, x):
        return super().forward(x) * x.mean().item()

class Gate(nn.Module):  # normalises one value a channel
    def __init__(self):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, x):
        return x * self.gate(x)

class Windows(nn.Module):
    def __init__(self, side=8, centred=False, padded=True):
        super().__init__()
        self.side, self.centred, self.padded = side, centred, padded
        self.mix = nn.Linear(side * side, side * side)

    def forward(self, x):
        (height, width), side = x.shape[-2:], self.side
        below, right = -height % side * self.padded, -width % side * self.padded
        top, left = (below // 2, right // 2) if self.centred else (0, 0)
        x = nn.functional.pad(x, (left, right - left, top, below - top))
        windows = x.unflatten(3, (-1, side)).unflatten(2, (-1, side)).transpose(3, 4)
        y = self.mix(windows.flatten(4)).unflatten(4, (side, side)).transpose(3, 4)
        return y.flatten(4, 5).flatten(2, 3)[..., top : top + height, left : left + width]

class Position(nn.Module):
    def forward(self, x):
        return x + torch.linspace(0, 1, x.shape[-1])

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, bias=False, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).mT
        return self.attention(tokens, tokens, tokens)[0].mT.view_as(x)

not_a_class = 3
"""


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "net.py"
    path.write_text(WRAPPED, encoding="utf-8")
    return path


@pytest.mark.parametrize(("variant", "kwargs"), [(SRCNN, {"num_feat": 4}), (RCAN, SMALL_RCAN)])
@pytest.mark.parametrize("task", ["sr2", "sr3"])
def test_a_class_restores_by_the_same_call_as_every_other_network(variant, kwargs, task):
    model = baselines.build(variant, task, **kwargs)
    x = torch.rand(2, 3, 16, 20)
    y = model(x, task)
    assert y.shape == (2, 3, 16 * model.scale, 20 * model.scale)
    assert torch.equal(y, model.network(x))
    assert model.tasks == (task,)
    with raises_naming(ValueError, task, "sr4"):
        model(x, "sr4")


@pytest.mark.parametrize(("name", "task"), [("Edsr", "sr2"), ("Edsr", "sr4"), ("Rdn", "sr3")])
def test_the_receptive_field_is_measured(wrapped, name, task):
    model = baselines.build(f"{wrapped}:{name}", task)
    assert model.receptive_field == model.network.inner.receptive_field


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("Windows", {"side": 12}),
        ("Windows", {"side": 8, "centred": True}),
        ("Windows", {"side": 8, "padded": False}),
        ("Position", {}),
        ("Gate", {}),
    ],
)
def test_networks_that_tiles_would_change_are_never_cut_into_tiles(wrapped, name, kwargs):
    torch.manual_seed(0)
    assert baselines.build(f"{wrapped}:{name}", "dn30", **kwargs).receptive_field is None


def test_windows_that_divide_the_tiles_are_no_reason_against_tiles(wrapped):
    torch.manual_seed(0)
    model = baselines.build(f"{wrapped}:Windows", "dn30", side=8)
    x = torch.rand(1, 3, 150, 131)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):  # as a score in bf16 measures it
        assert model.receptive_field is not None
    torch.testing.assert_close(baselines.restore(model, x, tile=64), baselines.restore(model, x, tile=0))


def test_a_network_that_pools_the_whole_image_is_never_cut_into_tiles():
    model = baselines.build(RCAN, "sr2", **SMALL_RCAN).eval()
    assert model.receptive_field is None
    with raises_naming(ValueError, "tile=0"):
        baselines.restore(model, torch.rand(1, 3, 40, 40), tile=16)


def test_tiles_give_what_the_whole_image_gives():
    model = baselines.build(SRCNN, "sr2", num_feat=4).eval()
    x = torch.rand(1, 3, 80, 70)
    torch.testing.assert_close(baselines.restore(model, x, tile=16), baselines.restore(model, x, tile=0))


def test_costs_are_counted():
    taps, pixels = 3 * 81 * 8 + 8 * 4 + 4 * 25 * 3, 96 * 96
    assert cost(SRCNN, "sr2", "macs", num_feat=8) == taps * pixels
    assert cost(SRCNN, "sr2", "params", num_feat=8) == taps + 8 + 4 + 3


def test_costs_of_attention_and_of_norms_of_one_value_are_counted(wrapped):
    pixels = 48 * 48
    assert cost(f"{wrapped}:Attention", "dn30", "macs") == 4 * 3 * 3 * pixels + 2 * 3 * pixels**2
    assert cost(f"{wrapped}:Gate", "dn30", "macs") == 9
    assert cost(f"{wrapped}:Level", "dn30", "macs") == 9 * pixels


@pytest.mark.parametrize(("name", "kwargs"), [("Rates", {}), ("Level", {}), ("Gate", {}), ("Windows", {"side": 24})])
def test_networks_that_can_be_trained_and_scored_pass(wrapped, name, kwargs):
    check("dn30", f"{wrapped}:{name}", **kwargs)


def test_a_network_is_checked_on_its_patches_and_on_any_other_size(wrapped):
    variant = f"{wrapped}:Windows"
    with raises_naming(ValueError, variant, "(2, 3, 64, 64)"):
        check("dn30", variant, 64, side=24, padded=False)
    with raises_naming(ValueError, variant, "(1, 3, 69, 75)", "any height and width", "pad", "forward"):
        check("dn30", variant, 64, side=32, padded=False)


@pytest.mark.parametrize(("variant", "kwargs"), [(SRCNN, {}), (RCAN, {**SMALL_RCAN, "num_feat": 32})])
def test_match_changes_width_and_depth(variant, kwargs):
    model = baselines.build(variant, "sr2", match={"params": 100_000}, **kwargs)
    assert count_parameters(model) == pytest.approx(100_000, rel=0.05)
    assert "match" not in model.config


def test_match_accepts_names_of_width_and_depth(wrapped):
    budget = {"params": 20_000, "width": "num_feat"}
    model = models.build(f"{wrapped}:Rdn", ["sr2"], match=budget)
    assert count_parameters(model) == pytest.approx(20_000, rel=0.05)
    assert models.matched(model, {"match": budget}) == {"num_feat": model.config["num_feat"]}


@pytest.mark.parametrize(
    ("variant", "kwargs", "named"),
    [
        ("{}:Edr", {}, ["'Edr'", "'Edsr'", "Failing"]),
        ("{}:not_a_class", {}, ["not_a_class", "torch.nn.Module"]),
        ("{}:Edsr", {"num_feet": 3}, ["'num_feet'", "upscale"]),
        ("{}:Tuple", {}, ["tuple", "(2, 3, 48, 48)", "(2, 3, 96, 96)"]),
        ("{}:Broken", {}, ["RuntimeError: no luck"]),
        ("{}:Failing", {}, ["(2, 3, 48, 48)", "RuntimeError"]),
        ("gone.py:Net", {}, ["gone.py"]),
        ("gone:Net", {}, ["'gone'", ".py"]),
        ("basicsr.archs.gone:Net", {}, ["'basicsr'", "'basicsr.archs.gone'"]),
        (":Net", {}, ["path/to/net.py:Class", "package.module:Class"]),
        (RCAN, {}, ["num_in_ch", "num_out_ch", "kwargs"]),
        (RCAN, {**SMALL_RCAN, "upscale": 3}, ["(2, 3, 144, 144)", "sr2", "(2, 3, 96, 96)"]),
    ],
)
def test_whatever_is_wrong_is_one_message_before_any_job(wrapped, variant, kwargs, named):
    variant = variant.format(wrapped)
    with raises_naming(ValueError, f"'{variant}'", *named):
        check("sr2", variant, **kwargs)


def test_an_import_that_fails_is_named(tmp_path):
    (tmp_path / "net.py").write_text("import nothing_of_this_name", encoding="utf-8")
    with raises_naming(ValueError, tmp_path / "net.py", "ModuleNotFoundError", "nothing_of_this_name"):
        check("sr2", f"{tmp_path}/net.py:Net")


def test_the_source_is_found_and_hashed_without_running_it(tmp_path):
    code = (
        "import sys; from baselines.own import source_file, source_sha256\n"
        f"print(source_file({RCAN!r}).name, len(source_sha256({SRCNN!r})), [m for m in ('torch', 'basicsr') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "rcan_arch.py 64 []\n"
    assert source_file(SRCNN).name == "srcnn.py"


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "net.py").touch()
    assert source_file("~/net.py:Net") == tmp_path / "net.py"
    with raises_naming(ValueError, f"no file {tmp_path}/gone.py"):
        source_file("~/gone.py:Net")


def test_weights_load_with_the_code_that_they_were_trained_with_and_no_other(tmp_path):
    source = tmp_path / "net.py"
    source.write_text(WRAPPED, encoding="utf-8")
    variant = f"{source}:Rdn"
    model = models.build(variant, ["sr2"]).eval()
    models.save(model, tmp_path / "model.safetensors", {"model": "mine"})
    loaded, metadata = models.load(tmp_path / "model.safetensors")
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(x), model(x))
    assert metadata["source_sha256"] == source_sha256(variant)
    source.write_text(WRAPPED + "\n# changed", encoding="utf-8")
    with raises_naming(models.ModelFileError, tmp_path / "model.safetensors", variant, f"--network {variant}"):
        models.load(tmp_path / "model.safetensors")


def test_weights_load_into_a_class_that_is_named_in_place_of_the_one_that_changed_or_moved(tmp_path):
    path, source, moved = (tmp_path / name for name in ("model.safetensors", "net.py", "moved.py"))
    source.write_text(WRAPPED, encoding="utf-8")
    model = models.build(f"{source}:Rdn", ["sr2"], num_feat=6).eval()
    models.save(model, path, {"model": "mine", "seed": 3})
    source.rename(moved)
    with raises_naming(models.ModelFileError, path, f"no file {source}", "--network path/to/net.py:Rdn"):
        models.load(path)
    moved.write_text(WRAPPED + "\n# changed", encoding="utf-8")
    own = f"{moved}:Rdn"
    loaded, metadata = models.load(path, own=own)
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(x), model(x))
    assert metadata["seed"] == 3
    assert {key: metadata[key] for key in ("variant", "kwargs", "source_sha256")} == {
        "variant": own,
        "kwargs": {"num_feat": 6},
        "source_sha256": source_sha256(own),
    }
    with raises_naming(models.ModelFileError, path, own, {"num_feat": 8}, "misshapen"):
        models.load(path, own=own, kwargs={"num_feat": 8})
    with raises_naming(models.ModelFileError, path, own, "kwargs {}", "misshapen"):
        models.load(path, own=own, kwargs={})
    models.save(models.build("edsr_tiny", ["sr2"]), path, {})
    with raises_naming(models.ModelFileError, path, "edsr_tiny", own):
        models.load(path, own=own)
