"""The commands `list`, `convert` and `restore`."""

import numpy as np
import pytest
import torch
from PIL import Image

from ipt_models import IPT, load, load_official, restore, to_official
from ipt_models.__main__ import main
from tests.helpers import FIXTURES

SMALL = {"num_feat": 4, "patch_dim": 3, "patch_size": 6, "num_heads": 12, "depth": 1}
TRAINED = FIXTURES / "ipt_trained_x2.safetensors"


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_list_prints_parameters_and_multiply_adds(capsys):
    assert main(["list"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["ipt_base"][1:5] == ["115,460,443", "33.324", "G", "48x48"]
    assert {"ipt_tiny", "ipt_small", "ipt_base"} <= lines.keys()
    assert main(["list", "--task", "sr5"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "unknown task 'sr5'" in printed.err


class TestConvert:
    def test_there_and_back_keeps_every_number(self, tmp_path, capsys):
        state = to_official(IPT(("sr2", "dn30"), **SMALL))
        torch.save(state, tmp_path / "official.pt")
        there = ["convert", str(tmp_path / "official.pt"), str(tmp_path / "model.safetensors")]
        assert main([*there, "--tasks", "sr2", "dn30"]) == 0
        assert "sr2, dn30" in capsys.readouterr().out
        assert load(tmp_path / "model.safetensors").tasks == ("sr2", "dn30")
        assert main(["convert", str(tmp_path / "model.safetensors"), str(tmp_path / "back.pt")]) == 0
        back = torch.load(tmp_path / "back.pt", weights_only=True)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[name], state[name]) for name in state)
        assert load_official(tmp_path / "back.pt", ("sr2", "dn30")).tasks == ("sr2", "dn30")

    def test_options_reach_the_network(self, tmp_path):
        torch.save(to_official(IPT(("dr",), **SMALL, position="none", mlp=False)), tmp_path / "official.pt")
        options = ["--tasks", "dr", "--num-heads", "6", "--patch-size", "9"]
        assert main(["convert", str(tmp_path / "official.pt"), str(tmp_path / "model.safetensors"), *options]) == 0
        config = load(tmp_path / "model.safetensors").config
        assert (config["num_heads"], config["patch_size"], config["position"]) == (6, 9, "none")

    def test_faults_are_one_message(self, tmp_path, capsys):
        torch.save(to_official(IPT(("dr",), **SMALL)), tmp_path / "official.pt")
        for arguments, message in (
            ((tmp_path / "official.pt", tmp_path / "model.safetensors"), "shapes cannot tell their tasks"),
            ((tmp_path / "official.pt", tmp_path / "model.pt"), "name it .safetensors"),
            ((tmp_path / "model.safetensors", tmp_path / "other.safetensors"), "name it .pt"),
            ((tmp_path / "absent.pt", tmp_path / "model.safetensors"), "no checkpoint at"),
        ):
            assert main(["convert", *map(str, arguments)]) == 1
            assert message in capsys.readouterr().err


class TestRestore:
    def run(self, *arguments) -> int:
        return main(["restore", "--checkpoint", str(TRAINED), *map(str, arguments)])

    def test_an_image_is_restored_with_overlapping_windows(self, tmp_path, capsys):
        Image.fromarray(pixels(30, 20)).save(tmp_path / "in.png")
        assert self.run("--task", "sr2", tmp_path / "in.png", tmp_path / "out.png") == 0
        assert "20x30 -> 40x60, sr2" in capsys.readouterr().out
        x = torch.from_numpy(pixels(30, 20)).permute(2, 0, 1).unsqueeze(0) / 255
        expected = restore(load(TRAINED), x, "sr2", "blended")[0].permute(1, 2, 0)
        output = np.asarray(Image.open(tmp_path / "out.png"))
        assert np.array_equal(output, (255 * expected).round().clamp(0, 255).byte().numpy())

    def test_a_folder_is_restored_into_a_folder(self, tmp_path):
        source = tmp_path / "in"
        source.mkdir()
        Image.fromarray(pixels(9, 7)).save(source / "colour.bmp")
        Image.fromarray(pixels(9, 7)[:, :, 0]).save(source / "gray.png")
        Image.fromarray(pixels(9, 7)).convert("RGBA").save(source / "transparent.png")
        (source / "notes.txt").write_text("no image")
        assert self.run(source, tmp_path / "deep" / "out") == 0
        outputs = {path.name: Image.open(path) for path in (tmp_path / "deep" / "out").iterdir()}
        assert outputs.keys() == {"colour.png", "gray.png", "transparent.png"}
        assert all(image.size == (14, 18) and image.mode == "RGB" for image in outputs.values())

    def test_options_change_the_result(self, tmp_path):
        Image.fromarray(pixels(40, 40)).save(tmp_path / "in.png")
        results = set()
        for options in ((), ("--windows", "side-by-side"), ("--self-ensemble",), ("--precision", "bf16")):
            assert self.run(*options, tmp_path / "in.png", tmp_path / "out.png") == 0
            results.add((tmp_path / "out.png").read_bytes())
        assert len(results) == 4

    def test_faults_are_one_message(self, tmp_path, capsys):
        image, empty = tmp_path / "in.png", tmp_path / "empty"
        Image.fromarray(pixels(8, 8)).save(image)
        Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
        (tmp_path / "text.png").write_text("no image")
        empty.mkdir()
        twins = tmp_path / "twins"
        twins.mkdir()
        for name in ("a.png", "a.bmp"):
            Image.fromarray(pixels(8, 8)).save(twins / name)
        for arguments, message in (
            (("--task", "sr3", image, tmp_path / "out.png"), "unknown task 'sr3': this network has sr2"),
            ((image, tmp_path / "out.xyz"), "out.xyz: expected an image's name"),
            ((image, image), "is the input"),
            ((tmp_path / "absent.png", tmp_path / "out.png"), "no image or folder at"),
            ((empty, tmp_path / "out"), "has no images"),
            ((twins, tmp_path / "out"), "a.bmp and a.png would both become a.png"),
            ((tmp_path / "deep.png", tmp_path / "out.png"), "more than 8 bits"),
            ((tmp_path / "text.png", tmp_path / "out.png"), "is no image"),
            (("--threads", "0", image, tmp_path / "out.png"), "--threads 0: expected at least 1"),
            (("--device", "abacus", image, tmp_path / "out.png"), "--device abacus: Expected one of cpu, cuda"),
        ):
            assert self.run(*arguments) == 1
            assert message in capsys.readouterr().err
            assert not (tmp_path / "out.png").exists()

    def test_the_authors_files_are_to_be_converted_first(self, tmp_path, capsys):
        torch.save(to_official(IPT(**SMALL)), tmp_path / "official.pt")
        Image.fromarray(pixels(8, 8)).save(tmp_path / "in.png")
        source, target = str(tmp_path / "in.png"), str(tmp_path / "out.png")
        assert main(["restore", "--checkpoint", str(tmp_path / "official.pt"), source, target]) == 1
        assert "python -m ipt_models convert" in capsys.readouterr().err


def test_an_unknown_choice_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["restore", "--precision", "fp16"])
    assert "fp16" in capsys.readouterr().err
