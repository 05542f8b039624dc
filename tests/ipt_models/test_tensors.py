"""State dicts from files: what programs wrap around them is taken off, and nothing but tensors is read."""

from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from ipt_models.tensors import read_tensors
from tests.helpers import raises_naming

STATE = {"a.weight": torch.ones(2), "b.bias": torch.zeros(3)}
PREFIXED = OrderedDict((f"module.{key}", value) for key, value in STATE.items())


@pytest.mark.parametrize(
    "saved",
    [
        STATE,
        PREFIXED,
        {"params": STATE},
        {"params": {"x": torch.ones(1)}, "params_ema": STATE},
        {"state_dict": PREFIXED, "epoch": 3},
        {"model": STATE},
    ],
)
def test_wrappers_and_prefixes_are_taken_off(tmp_path, saved):
    torch.save(saved, tmp_path / "x.pth")
    found = read_tensors(tmp_path / "x.pth")
    assert list(found) == list(STATE)
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_safetensors_files_are_read(tmp_path):
    save_file(dict(PREFIXED), tmp_path / "x.safetensors")
    assert list(read_tensors(tmp_path / "x.safetensors")) == list(STATE)


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(Harmful(), "print"), ({"state_dict": STATE, "args": Harmful()}, "print"), (torch.nn.Linear(2, 2), "Linear")],
)
def test_objects_are_refused_without_advice_to_load_them_unsafely(tmp_path, content, kind, capsys):
    torch.save(content, tmp_path / "x.pth")
    with raises_naming(ValueError, tmp_path / "x.pth", kind) as caught:
        read_tensors(tmp_path / "x.pth")
    assert "weights_only" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(("content", "named"), [([1], ["list"]), ({"key.x": 3}, ["key.x"]), ({}, [])])
def test_files_without_a_state_dict_are_refused(tmp_path, content, named):
    torch.save(content, tmp_path / "x.pth")
    with raises_naming(ValueError, tmp_path / "x.pth", *named):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"junk" * 10)
    with raises_naming(ValueError, tmp_path / name):
        read_tensors(tmp_path / name)
    with raises_naming(FileNotFoundError, tmp_path / "gone.pth"):
        read_tensors(tmp_path / "gone.pth")
