"""The commands `list` and `convert`."""

import numpy as np
import pytest
import torch

from ipt_models import IPT, load, load_official, to_official
from ipt_models.__main__ import main
from tests.helpers import FIXTURES, assert_names

SMALL = {"num_feat": 4, "patch_dim": 3, "patch_size": 6, "num_heads": 12, "depth": 1}
TRAINED = FIXTURES / "ipt_trained_x2.safetensors"


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_list_prints_parameters_and_multiply_adds(capsys):
    assert main(["list"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["ipt_base"][1:5] == ["115,460,443", "33.324", "G", "48x48"]
    assert {"ipt_tiny", "ipt_small", "ipt_base"} <= lines.keys()
    assert main(["list", "--task", "sr5"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert_names(printed.err, "sr5")


def test_an_interrupted_list_says_so(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ipt_models.__main__.build", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


class TestConvert:
    def test_there_and_back_keeps_every_number(self, tmp_path, capsys):
        state = to_official(IPT(("sr2", "dn30"), **SMALL))
        torch.save(state, tmp_path / "official.pt")
        there = ["convert", str(tmp_path / "official.pt"), str(tmp_path / "model.safetensors")]
        assert main([*there, "--tasks", "sr2", "dn30"]) == 0
        assert_names(capsys.readouterr().out, "sr2, dn30", "12 attention heads, assumed", "--num-heads")
        assert load(tmp_path / "model.safetensors").tasks == ("sr2", "dn30")
        assert main(["convert", str(tmp_path / "model.safetensors"), str(tmp_path / "back.pt")]) == 0
        assert_names(capsys.readouterr().out, "--tasks sr2 dn30", "--num-heads 12", "--position learned")
        back = torch.load(tmp_path / "back.pt", weights_only=True)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[name], state[name]) for name in state)
        assert load_official(tmp_path / "back.pt", ("sr2", "dn30")).tasks == ("sr2", "dn30")

    def test_options_reach_the_network(self, tmp_path, capsys):
        torch.save(to_official(IPT(("dr",), **SMALL, position="none", mlp=False)), tmp_path / "official.pt")
        options = ["--tasks", "dr", "--num-heads", "6", "--patch-size", "9"]
        assert main(["convert", str(tmp_path / "official.pt"), str(tmp_path / "model.safetensors"), *options]) == 0
        assert_names(capsys.readouterr().out, "6 attention heads, as given")
        config = load(tmp_path / "model.safetensors").config
        assert (config["num_heads"], config["patch_size"], config["position"]) == (6, 9, "none")

    def test_faults_are_one_message(self, tmp_path, capsys):
        torch.save(to_official(IPT(("dr",), **SMALL)), tmp_path / "official.pt")
        for arguments, named in (
            ((tmp_path / "official.pt", tmp_path / "model.safetensors"), "tasks"),
            ((tmp_path / "official.pt", tmp_path / "model.pt"), ".safetensors"),
            ((tmp_path / "model.safetensors", tmp_path / "other.safetensors"), ".pt"),
            ((tmp_path / "absent.pt", tmp_path / "model.safetensors"), tmp_path / "absent.pt"),
        ):
            assert main(["convert", *map(str, arguments)]) == 2
            assert_names(capsys.readouterr().err, named)


def test_an_unknown_choice_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--position", "sine"])
    assert "sine" in capsys.readouterr().err
