"""`python -m workflows.evaluation restore`: photos of any format by any model, whatever else lies in their folder."""

import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from spandrel.architectures.RCAN import RCAN

from ipt_models import load
from ipt_models.windows import restore
from tests.helpers import FIXTURES, texture
from workflows import models
from workflows.evaluation.__main__ import main
from workflows.evaluation.inputs import as_batch, as_pixels
from workflows.evaluation.restorer import Restorer

TRAINED = FIXTURES / "ipt_trained_x2.safetensors"


def run(*arguments, model=TRAINED) -> int:
    given = ["restore", "--model", model, "--threads", "1", "--device", "cpu", *arguments]
    return main([str(argument) for argument in given])


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_photo_is_restored_with_blended_windows(tmp_path, capsys):
    Image.fromarray(texture(0, 30, 20)).save(tmp_path / "in.png")
    assert run(tmp_path / "in.png", tmp_path / "out.png") == 0
    assert "20x30 -> 40x60, sr2" in capsys.readouterr().out
    expected = as_pixels(restore(load(TRAINED), as_batch(texture(0, 30, 20)), "sr2", "blended"))
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), expected)


def test_a_folder_keeps_names_formats_gray_and_profiles(tmp_path):
    source, out = tmp_path / "in", tmp_path / "deep" / "out"
    source.mkdir()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(texture(0, 9, 7))
    for name in ("a.bmp", "a.jpg", "a.png", "b.tif", "b.webp"):
        image.save(source / name, **({"icc_profile": profile} if name == "a.png" else {}))
    image.convert("L").save(source / "gray.png")
    (source / "notes.txt").write_text("no image")
    assert run(source, out) == 0
    outputs = {path.name: Image.open(path) for path in out.iterdir()}
    formats = {name: (image.format, image.mode) for name, image in outputs.items()}
    assert formats == {
        **{"a.bmp": ("BMP", "RGB"), "a.jpg": ("JPEG", "RGB"), "a.png": ("PNG", "RGB"), "b.tif": ("TIFF", "RGB")},
        **{"b.webp": ("WEBP", "RGB"), "gray.png": ("PNG", "L")},
    }
    assert all(image.size == (14, 18) for image in outputs.values())
    assert outputs["a.png"].info["icc_profile"] == profile
    np.testing.assert_array_equal(pixels(out / "a.bmp"), pixels(out / "a.png"))


def test_jpeg_keeps_what_was_restored_and_quality_is_a_choice(tmp_path):
    smooth = np.asarray(Image.fromarray(texture(0, 12, 12)).resize((60, 48), Image.Resampling.BICUBIC))
    Image.fromarray(smooth).save(tmp_path / "in.png")
    for name, options in (("out.png", ()), ("out.jpg", ()), ("low.jpg", ("--quality", "80"))):
        assert run(*options, tmp_path / "in.png", tmp_path / name) == 0
    exact = pixels(tmp_path / "out.png").astype(float)
    error = [np.square(pixels(tmp_path / name) - exact).mean() for name in ("out.jpg", "low.jpg")]
    assert error[0] < 1 < error[1]


def test_bad_and_hidden_files_are_named_and_stop_nothing(tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    image = Image.fromarray(texture(0, 40, 40))
    for name in ("a.png", "z.png", "._a.png", ".hidden.jpg"):
        image.save(source / name)
    data = (source / "a.png").read_bytes()
    (source / "cut.png").write_bytes(data[: len(data) // 2])
    (source / "text.jpg").write_text("no image")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(source / "deep.png")
    os.mkfifo(source / "pipe.png")
    (source / "dangling.png").symlink_to("nowhere.png")
    (source / "folder.png").mkdir()
    assert run(source, tmp_path / "out") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]
    errors = capsys.readouterr().err
    assert "6 of 8 images failed" in errors
    for part in (
        *("cut.png: is damaged", "text.jpg: is not an image", "deep.png: has 16 bits per sample"),
        *("pipe.png: cannot be read", "dangling.png: cannot be read", "folder.png: cannot be read"),
        *("._a.png: hidden", ".hidden.jpg: hidden"),
    ):
        assert part in errors


def test_an_output_that_is_not_finite_is_not_written(tmp_path, capsys):
    network = load(TRAINED)
    for parameter in network.parameters():
        parameter.data.fill_(torch.nan)
    from ipt_models import save

    save(network, tmp_path / "nan.safetensors")
    Image.fromarray(texture(0, 30, 30)).save(tmp_path / "in.png")
    assert run(tmp_path / "in.png", tmp_path / "out.png", model=tmp_path / "nan.safetensors") == 1
    assert "is not finite" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_cnns_restore_in_tiles_and_references_too(tmp_path):
    torch.manual_seed(0)
    models.save(models.build("edsr_tiny", ["sr2"]), tmp_path / "edsr.safetensors", {"model": "edsr"})
    Image.fromarray(texture(0, 40, 50)).save(tmp_path / "in.png")
    assert run(tmp_path / "in.png", tmp_path / "whole.png", model=tmp_path / "edsr.safetensors") == 0
    tiled = ("--tile", "16", tmp_path / "in.png", tmp_path / "tiles.png")
    assert run(*tiled, model=tmp_path / "edsr.safetensors") == 0
    difference = pixels(tmp_path / "whole.png").astype(int) - pixels(tmp_path / "tiles.png")
    assert abs(difference).max() <= 1
    assert run("--task", "sr3", tmp_path / "in.png", tmp_path / "bicubic.png", model="bicubic") == 0
    assert pixels(tmp_path / "bicubic.png").shape == (120, 150, 3)


def test_networks_that_see_the_whole_image_use_tiles_on_request(tmp_path, capsys):
    torch.manual_seed(0)
    torch.save(RCAN(n_resgroups=1, n_resblocks=1, n_feats=16, scale=2).state_dict(), tmp_path / "rcan.pth")
    Image.fromarray(texture(0, 70, 90)).save(tmp_path / "in.png")
    assert run(tmp_path / "in.png", tmp_path / "whole.png", model=tmp_path / "rcan.pth") == 0
    assert capsys.readouterr().err == ""
    assert run("--tile", "32", tmp_path / "in.png", tmp_path / "tiles.png", model=tmp_path / "rcan.pth") == 0
    assert "tiles change its result a little" in capsys.readouterr().err
    difference = pixels(tmp_path / "whole.png").astype(int) - pixels(tmp_path / "tiles.png")
    assert difference.shape == (140, 180, 3)
    assert abs(difference).mean() < 1


def test_an_image_that_a_network_cannot_take_stops_no_other(tmp_path, capsys, monkeypatch):
    call = Restorer.__call__

    def runs_out(self, x, task):
        if x.shape[-1] > 30:
            raise RuntimeError("out of memory\nmore about it")
        return call(self, x, task)

    monkeypatch.setattr(Restorer, "__call__", runs_out)
    (tmp_path / "in").mkdir()
    Image.fromarray(texture(0, 20, 40)).save(tmp_path / "in" / "large.png")
    Image.fromarray(texture(0, 20, 20)).save(tmp_path / "in" / "small.png")
    assert run("--task", "sr2", tmp_path / "in", tmp_path / "out", model="bicubic") == 1
    assert "large.png: out of memory\n" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]


def test_an_image_that_its_format_cannot_hold_stops_no_other(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    Image.fromarray(texture(0, 1, 8200)).save(tmp_path / "in" / "long.webp")
    Image.fromarray(texture(0, 8, 8)).save(tmp_path / "in" / "small.webp")
    assert run("--task", "sr2", tmp_path / "in", tmp_path / "out", model="bicubic") == 1
    errors = capsys.readouterr().err
    assert "1 of 2 images failed" in errors
    assert "long.webp: encoding error" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.webp"]


def test_faults_are_one_message_before_anything_is_restored(tmp_path, capsys):
    image, empty = tmp_path / "in.png", tmp_path / "empty"
    Image.fromarray(texture(0, 8, 8)).save(image)
    empty.mkdir()
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (("--task", "sr3", image, tmp_path / "out.png"), "--task sr3: "),
        ((image, tmp_path / "out.xyz"), "out.xyz: expected the name of an image"),
        ((image, image), "is the input"),
        ((image, tmp_path), "is the input"),
        ((tmp_path, tmp_path), "is the input"),
        ((tmp_path, tmp_path / "file"), "file is a file"),
        ((image, "/dev/null"), "expected the name of an image"),
        ((tmp_path / "absent.png", tmp_path / "out.png"), "no image or folder at"),
        ((empty, tmp_path / "out"), "has no images"),
        (("--device", "abacus", image, tmp_path / "out.png"), "--device abacus: "),
    ):
        assert run(*arguments) == 2
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1
        assert not (tmp_path / "out.png").exists()
    assert run(image, tmp_path / "out.png", model="bicubic") == 2
    assert "--task is needed: bicubic restores any scale" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["restore"], ["download"], ["export-inputs"], ["export-features"]])
def test_help_needs_no_torch(command, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    assert "usage" in capsys.readouterr().out
