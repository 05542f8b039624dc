"""State dicts from files: what programs wrap around them is taken off, and nothing but tensors is read."""

from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from ipt_models.tensors import read_tensors

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


@pytest.mark.parametrize("content", [Harmful(), {"state_dict": STATE, "args": Harmful()}, torch.nn.Linear(2, 2)])
def test_objects_are_refused_without_advice_to_load_them_unsafely(tmp_path, content, capsys):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth is not a plain.*objects other than tensors") as caught:
        read_tensors(tmp_path / "x.pth")
    assert "weights_only" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"), [([1], "holds a list"), ({"a": 3}, "a hold something else"), ({}, "no tensors")]
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=message):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"junk" * 10)
    with pytest.raises(ValueError, match=name):
        read_tensors(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        read_tensors(tmp_path / "gone.pth")
