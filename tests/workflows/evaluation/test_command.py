"""`python -m workflows.evaluation`: tables, pictures, other programs' outputs, and what happens to broken files."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import assert_names
from workflows import models, provenance
from workflows.evaluation.__main__ import COLUMNS, main
from workflows.evaluation.image_files import read, write
from workflows.evaluation.metrics import compute_scores
from workflows.evaluation.restorer import Restorer

RNG = np.random.default_rng(2)
ENDS = (".safetensors", ".pth")
SMALL = {"num_feat": 4, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1}


def smooth(height, width):
    grid = np.add.outer(np.linspace(0, 9, height), np.linspace(0, 7, width))[..., None]
    return (127 + 90 * np.sin(grid + np.arange(3)) + RNG.normal(0, 4, (height, width, 3))).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    for name, size in {"a": (40, 31), "b": (26, 27), "c": (33, 33), "d": (24, 60), "e": (17, 16)}.items():
        write(tmp_path / "Set5" / f"{name}.png", smooth(*size))
        write(tmp_path / "mine" / f"{name}.png", smooth(*size))
    return tmp_path


def run(root, *arguments, sets=("Set5",), tasks=("sr2",), model="bicubic", out="metrics.csv", status=0):
    source = ["--model", str(model)] if model else []
    given = ["--sets", *sets, "--tasks", *tasks, "--data-root", root, "--out", root / out, "--threads", "2"]
    assert main([str(x) for x in (*source, *given, *arguments)]) == status
    return table(root / out) if status == 0 else None


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_an_image_in_the_contracts_columns(root, capsys):
    rows = run(root, tasks=("sr2", "sr3"))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["task"], r["image"]) for r in rows] == [(t, i) for t in ("sr2", "sr3") for i in "abcde"]
    assert {r["dataset"] for r in rows} == {"Set5"}
    assert {(r["model"], r["fraction"], r["seed"], r["head"], r["psnr_rgb"]) for r in rows} == {
        ("bicubic", "", "", "", "")
    }
    assert [(r["height"], r["width"]) for r in rows[5:7]] == [("39", "30"), ("24", "27")]
    assert {(r["protocol"], r["setting"]) for r in rows} == {("v2", "plain")}
    printed = capsys.readouterr().out.splitlines()
    mean = sum(float(r["psnr_y"]) for r in rows[:5]) / 5
    assert printed[0].startswith(f"Set5 sr2: {mean:.3f} dB PSNR-Y")


def test_provenance_of_a_table_names_weights_table_and_images(root):
    torch.manual_seed(0)
    models.save(models.build("ipt_tiny", ["sr2"], **SMALL), root / "model.safetensors", {"model": "ipt"})
    run(root, model=root / "model.safetensors")
    first = json.loads((root / "metrics.json").read_text())
    assert first["weights_sha256"] == provenance.sha256(root / "model.safetensors")
    assert first["metrics_sha256"] == provenance.sha256(root / "metrics.csv")
    assert (first["setting"], first["threads"], list(first["sets"])) == ("plain", 2, ["Set5 sr2"])
    write(root / "Set5" / "b.png", smooth(26, 27))
    run(root)
    second = json.loads((root / "metrics.json").read_text())
    assert second["weights_sha256"] is None
    assert second["sets"] != first["sets"]


def test_features_are_the_network_s_own_window_by_window(root):
    torch.manual_seed(0)
    model = models.build("ipt_tiny", ["sr2"], **SMALL).eval()
    models.save(model, root / "model.safetensors", {"model": "ipt"})
    given = ["--sets", "Set5", "--tasks", "sr2", "--data-root", root, "--images", "a", "--out", root / "features"]
    assert main(["export-features", "--model", str(root / "model.safetensors"), *map(str, given)]) == 0
    found = np.load(root / "features" / "sr2" / "Set5" / "a.npz")
    image, features = found["image"], found["features"]
    # 40x30 is 20x15 when reduced: two windows of 8 stand above one another, with a margin around them.
    assert (image.shape, features.shape) == ((16, 8, 3), (8, 4, 16))
    window = torch.from_numpy(image[8:]).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = model(window, "sr2", return_features=True)[1].view(4, 4, 16)
    np.testing.assert_allclose(features[4:], expected.half(), atol=1e-3)


def test_features_are_asked_of_ipt_and_of_large_enough_images(root, capsys):
    torch.manual_seed(0)
    models.save(models.build("edsr_tiny", ["sr2"]), root / "edsr.safetensors", {"model": "edsr"})
    models.save(models.build("ipt_tiny", ["sr2"], **SMALL), root / "ipt.safetensors", {"model": "ipt"})
    write(root / "small" / "a.png", smooth(14, 40))
    given = ["--sets", "small=small", "--data-root", str(root), "--out", str(root / "out"), "--tasks"]
    assert main(["export-features", "--model", str(root / "edsr.safetensors"), *given, "sr2"]) == 2
    assert main(["export-features", "--model", str(root / "ipt.safetensors"), *given, "sr3"]) == 2
    assert main(["export-features", "--model", str(root / "ipt.safetensors"), *given, "sr2"]) == 1
    no_ipt, no_head, small = capsys.readouterr().err.strip().split("\n", 2)
    assert_names(no_ipt, "IPT", root / "edsr.safetensors")
    assert_names(no_head, "sr2", "sr3")
    assert_names(small, "a.png", "20x7", "8x8")


def test_saved_images_have_the_scores_of_their_rows(root):
    rows = run(root, "--save-images", root / "out", "--images", "b", "d")
    assert sorted(str(p.relative_to(root / "out")) for p in (root / "out").rglob("*.*")) == [
        "sr2/Set5/b.png",
        "sr2/Set5/d.png",
    ]
    output, target = read(root / "out/sr2/Set5/b.png").pixels, read(root / "Set5/b.png").pixels[:26, :26]
    assert float(rows[1]["psnr_y"]) == pytest.approx(compute_scores(output, target, 2).psnr_y, abs=1e-6)
    assert float(rows[1]["ssim_y"]) == pytest.approx(compute_scores(output, target, 2).ssim_y, abs=1e-6)


def test_threads_and_repetition_change_nothing(root):
    run(root, out="one.csv")
    run(root, "--threads", "1", out="two.csv")
    assert (root / "one.csv").read_bytes() == (root / "two.csv").read_bytes()


def test_a_checkpoint_names_itself_and_says_which_head_restored(root, capsys):
    torch.manual_seed(0)
    origin = {"experiment": "demo", "model": "ipt", "fraction": 0.2, "seed": 3}
    models.save(models.build("ipt_tiny", ["sr2", "dn30", "dn50"], **SMALL), root / "model.safetensors", origin)
    rows = run(root, sets=("mine=mine@here",), model=root / "model.safetensors", status=2)
    rows = run(root, sets=("mine=mine",), tasks=("sr2", "dn10", "dn70"), model=root / "model.safetensors")
    assert {(r["experiment"], r["model"], r["fraction"], r["seed"]) for r in rows} == {("demo", "ipt", "0.2", "3")}
    assert {(r["task"], r["head"], r["psnr_rgb"] != "") for r in rows} == {
        ("sr2", "sr2", False),
        ("dn10", "dn30", True),
        ("dn70", "dn50", True),
    }
    assert_names(capsys.readouterr().out, "dn70", "dn50")
    named = ["--experiment", "x", "--label", "mine", "--fraction", "1", "--seed", "0", "--self-ensemble"]
    rows = run(root, *named, model=root / "model.safetensors")
    assert {tuple(rows[0][c] for c in ("experiment", "model", "fraction", "seed", "setting"))} == {
        ("x", "mine", "1.0", "0", "x8")
    }


def test_a_task_that_no_head_fits_is_refused_before_anything_is_scored(root, capsys):
    torch.manual_seed(0)
    models.save(models.build("ipt_tiny", ["sr2"], **SMALL), root / "model.safetensors", {"model": "ipt"})
    run(root, model=root / "model.safetensors", tasks=("sr2", "sr3"), status=2)
    assert_names(capsys.readouterr().err, "ipt", "sr2", "sr3")
    assert not (root / "metrics.csv").exists()


def test_a_method_from_outside_of_the_grid_has_neither_fraction_nor_seed(root):
    torch.manual_seed(0)
    origin = {"experiment": "demo", "model": "ipt", "fraction": 0.2, "seed": 3}
    network = models.build("ipt_tiny", ["sr2"], **SMALL)
    models.save(network, root / "model.safetensors", origin)
    told = ("--method", "theirs", "--training-data", "DF2K")
    rows = run(root, *told, model=root / "model.safetensors", tasks=("sr2", "sr3"))
    assert {(r["experiment"], r["model"], r["fraction"], r["seed"], r["task"]) for r in rows} == {
        ("", "theirs", "", "", "sr2")
    }
    method = json.loads((root / "metrics.json").read_text())["method"]
    assert method["parameters"] == sum(p.numel() for p in network.parameters())
    assert method["macs_per_output_pixel"] == pytest.approx(models.macs_per_output_pixel("ipt_tiny", ["sr2"], **SMALL))
    assert method["training_data"] == "DF2K"
    run(root, "--save-images", root / "out")
    rows = run(root, *told, "--parameters", "12", "--restored", root / "out", model=None)
    assert {(r["model"], r["fraction"], r["seed"]) for r in rows} == {("theirs", "", "")}
    method = json.loads((root / "metrics.json").read_text())["method"]
    assert (method["parameters"], method["macs_per_output_pixel"]) == (12, None)


def test_other_projects_checkpoints_are_scored_on_implied_or_given_tasks(root):
    torch.manual_seed(0)
    for task in ("sr2", "dn30"):
        network = models.build("edsr", [task], num_feat=4, num_block=1, res_scale=1.0)
        models.save(network, root / f"{task}.safetensors", {"model": task})
        torch.save({"params": network.state_dict()}, root / f"{task}.pth")
        own, theirs = (run(root, sets=("mine=mine",), tasks=(task,), model=root / f"{task}{end}") for end in ENDS)
        assert [r["psnr_y"] for r in theirs] == [r["psnr_y"] for r in own]
        assert {r["model"] for r in theirs} == {task}


def test_weights_of_a_class_of_the_user_s_are_scored_and_restore_photos(root, capsys):
    own = "examples/srcnn.py:SRCNN"
    network = models.build(own, ["sr2"], num_feat=4)
    models.save(network, root / "model.safetensors", {"model": "x"})
    torch.save(network.network.state_dict(), root / "x.pth")
    named = ("--network", own, "--kwargs", "{num_feat: 4}")
    assert run(root, *named, model=root / "x.pth") == run(root, model=root / "model.safetensors", out="native.csv")
    facts = json.loads((root / "metrics.json").read_text())["network"]
    assert facts == {"variant": own, "kwargs": {"num_feat": 4}} | models.source(own)
    photo = ["restore", "--model", root / "x.pth", *named, "--task", "sr2", root / "Set5/a.png", root / "a.png"]
    assert main([str(word) for word in photo]) == 0
    (root / "net.py").write_text(Path("examples/srcnn.py").read_text(encoding="utf-8") + "# changed", encoding="utf-8")
    changed = f"{root}/net.py:SRCNN"
    models.copy(root / "model.safetensors", root / "model.safetensors", {"variant": changed})
    photo[2], photo[4] = root / "model.safetensors", changed
    assert main([str(word) for word in photo]) == 0
    run(root, "--network", changed, model=root / "model.safetensors")
    facts = json.loads((root / "metrics.json").read_text())["network"]
    assert facts == {"variant": changed, "kwargs": {"num_feat": 4}} | models.source(changed)
    capsys.readouterr()
    run(root, model=root / "model.safetensors", status=2)
    assert_names(capsys.readouterr().err, root / "model.safetensors", f"--network {changed}")
    run(root, *named[:2], model=root / "x.pth", status=2)
    assert_names(capsys.readouterr().err, root / "x.pth", own, "conv1.weight")
    run(root, *named[2:], model=root / "x.pth", status=2)
    assert_names(capsys.readouterr().err, "--kwargs", "--network")
    run(root, "--restored", root / "out", *named, model=None, status=2)
    assert_names(capsys.readouterr().err, "--network", "--model")
    run(root, *named, status=2)
    assert_names(capsys.readouterr().err, "bicubic", own)
    run(root, "--network", "gone.py:Net", model=root / "x.pth", status=2)
    assert_names(capsys.readouterr().err, "gone.py")


def test_references_score_their_half_of_the_tasks(root, capsys):
    sets, tasks = ("Set5", "mine=mine"), ("sr2", "dn30")
    rows = run(root, sets=sets, tasks=tasks)
    assert {(r["dataset"], r["task"]) for r in rows} == {("Set5", "sr2"), ("mine", "sr2")}
    assert_names(capsys.readouterr().out, "bicubic", "dn30")
    rows = run(root, sets=sets, tasks=tasks, model="identity")
    assert {(r["dataset"], r["task"]) for r in rows} == {("mine", "dn30")}
    run(root, tasks=("sr2",), model="identity", status=2)
    assert_names(capsys.readouterr().err, "identity", "sr2")


def test_other_programs_outputs_are_scored_like_the_suites_own(root):
    own = run(root, "--save-images", root / "theirs", tasks=("sr2", "sr3"))
    again = run(root, "--restored", root / "theirs", model=None, tasks=("sr2", "sr3"), out="again.csv")
    for row, copy in zip(own, again, strict=True):
        assert copy["model"] == "theirs"
        assert {k: v for k, v in row.items() if k != "model"} == {k: v for k, v in copy.items() if k != "model"}


def test_restored_files_may_lie_flat_and_carry_a_suffix(root):
    own = run(root, "--save-images", root / "out")
    (root / "flat").mkdir()
    for path in (root / "out/sr2/Set5").iterdir():
        path.rename(root / "flat" / f"{path.stem}_x2_SR.png")
    again = run(root, "--restored", root / "flat", "--label", "SR", model=None, out="again.csv")
    assert [r["psnr_y"] for r in again] == [r["psnr_y"] for r in own]
    assert {r["model"] for r in again} == {"SR"}


def test_an_image_is_never_scored_by_another_image_s_output_or_its_own_target(root, capsys):
    for name in ("house", "house_2"):
        write(root / "mine" / f"{name}.png", smooth(30, 30))
        write(root / "out" / f"{name}.png", smooth(30, 30))
    for name in "abcde":
        (root / "mine" / f"{name}.png").unlink()
    theirs = {"sets": ("mine=mine",), "model": None, "out": "theirs.csv"}
    run(root, "--restored", root / "out", **theirs)
    (root / "out" / "house.png").unlink()
    run(root, "--restored", root / "out", status=1, **theirs)
    assert_names(capsys.readouterr().err, "out/house")
    run(root, "--restored", root / "mine", status=1, **theirs)
    assert_names(capsys.readouterr().err, root / "mine" / "house.png", "house")


def test_restored_files_that_are_missing_ambiguous_or_of_another_size_are_listed(root, capsys):
    run(root, "--save-images", root / "out")
    folder = root / "out/sr2/Set5"
    (folder / "a.png").unlink()
    (folder / "b.png").rename(folder / "b_x2.png")
    write(folder / "b_other.png", smooth(26, 26))
    write(folder / "c.png", smooth(33, 33))
    run(root, "--restored", root / "out", model=None, out="again.csv", status=1)
    errors = capsys.readouterr().err
    assert_names(errors, "3 of 5", "Set5/a", "b_other.png", "b_x2.png", "c.png", "33x33", "32x32", "sr2")
    assert [r["image"] for r in table(root / "again.incomplete.csv")] == ["d", "e"]
    run(root, "--restored", root / "nowhere", model=None, status=2)
    run(root, "--restored", root / "out", model=None, tasks=("sr3",), status=2)
    assert_names(capsys.readouterr().err, "sr3", "Set5")


def test_outputs_of_several_sets_need_a_folder_each(root, capsys):
    write(root / "mine" / "a.png", smooth(30, 30))
    write(root / "flat" / "a.png", smooth(32, 32))
    run(root, "--restored", root / "flat", sets=("Set5", "mine=mine"), model=None, status=2)
    assert_names(capsys.readouterr().err, "Set5", "several sets", root / "flat/sr2/Set5")


def test_outputs_that_fit_no_image_are_told_the_rule_and_no_table_is_claimed(root, capsys):
    for name in "abcde":
        write(root / "out" / f"net_{name}.png", smooth(32, 32))
    run(root, "--restored", root / "out", model=None, out="again.csv", status=1)
    errors = capsys.readouterr().err
    assert_names(errors, "5 of 5", "a.png", "net_a.png")
    assert "incomplete" not in errors
    assert not (root / "again.incomplete.csv").exists()


def test_outputs_that_are_jpeg_files_are_scored_with_a_note(root, capsys):
    run(root, "--save-images", root / "out")
    assert "JPEG" not in capsys.readouterr().err
    for path in (root / "out/sr2/Set5").iterdir():
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    run(root, "--restored", root / "out", model=None, out="again.csv")
    assert_names(capsys.readouterr().err, "a.jpg", "4 more", "JPEG")


def test_message_about_a_missing_output_names_files_that_look_like_inputs(root, capsys):
    run(root, "--save-images", root / "out")
    folder = root / "out/sr2/Set5"
    (folder / "a.png").rename(folder / "a_GT.png")
    run(root, "--restored", root / "out", model=None, out="again.csv", status=1)
    assert_names(capsys.readouterr().err, "Set5/a", "a_GT.png")


def test_outputs_that_keep_the_names_of_exported_inputs_are_scored_and_the_inputs_are_not(root, capsys):
    own = run(root, "--save-images", root / "out")
    export = ["export-inputs", "--sets", "Set5", "--tasks", "sr2", "--data-root", root, "--out", root / "inputs"]
    assert main([str(argument) for argument in export]) == 0
    inputs = sorted((root / "inputs/sr2/Set5").glob("*_LR.png"))
    (root / "kept").mkdir()
    for path in inputs:
        output = root / "out/sr2/Set5" / f"{path.stem.removesuffix('_LR')}.png"
        output.rename(root / "kept" / path.name)
    again = run(root, "--restored", root / "kept", model=None, out="again.csv")
    assert [r["psnr_y"] for r in again] == [r["psnr_y"] for r in own]
    run(root, "--restored", root / "inputs", model=None, out="again.csv", status=1)
    assert_names(capsys.readouterr().err, "a_LR.png", "5 of 5")


@pytest.mark.parametrize("name", ["set5", "Set5", "Set5@2"])
def test_the_folder_of_outputs_may_have_any_name_of_the_set(root, name):
    own = run(root, "--save-images", root / "out", sets=("Set5@2",))
    (root / "out/sr2/Set5@2").rename(root / "out/sr2" / name)
    assert run(root, "--restored", root / "out", "--label", "bicubic", model=None, sets=("Set5@2",)) == own


def test_outputs_of_rainy_images_may_be_named_as_their_targets(root):
    for name in ("1", "2"):
        write(root / "rain" / f"norain-{name}.png", smooth(20, 20))
        write(root / "rain" / f"rain-{name}.png", smooth(20, 20))
    scope = {"sets": ("mine=rain",), "tasks": ("dr",)}
    own = run(root, "--save-images", root / "out", model="identity", **scope)
    for name in ("1", "2"):
        folder = root / "out/dr/mine"
        (folder / f"rain-{name}.png").rename(folder / f"norain-{name}.png")
    assert run(root, "--restored", root / "out", "--label", "identity", model=None, **scope) == own


@pytest.mark.parametrize("model", ["bicubic", "network"])
def test_a_broken_file_costs_its_own_row_and_fails_the_run_at_its_end(root, capsys, model):
    if model == "network":
        torch.manual_seed(0)
        model = root / "model.safetensors"
        models.save(models.build("ipt_tiny", ["sr2"], **SMALL), model, {"model": "ipt"})
    whole = run(root, model=model)
    (root / "metrics.csv").unlink()
    data = (root / "Set5/b.png").read_bytes()
    (root / "Set5/b.png").write_bytes(data[: len(data) // 2])
    write(root / "Set5/e.png", smooth(4, 20))
    run(root, model=model, status=1)
    errors = capsys.readouterr().err
    assert_names(errors, "2 of 5", "b.png", "e.png", "20x4", "border of 2", "sr2")
    assert not (root / "metrics.csv").exists()  # what is left is not the set's mean
    assert table(root / "metrics.incomplete.csv") == [whole[0], *whole[2:4]]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_an_output_that_is_not_finite_fails_its_image(root, capsys, monkeypatch, threads):
    torch.manual_seed(0)
    network = models.build("ipt_tiny", ["sr2"], **SMALL)
    models.save(network, root / "model.safetensors", {"model": "ipt"})
    whole = run(root, model=root / "model.safetensors")
    original = Restorer.__call__

    def broken(self, x, task):
        y = original(self, x, task)
        return y / 0 if x.shape[-2:] in ((13, 13), (16, 16)) else y  # b and c

    monkeypatch.setattr(Restorer, "__call__", broken)
    run(root, "--threads", threads, model=root / "model.safetensors", status=1)
    errors = capsys.readouterr().err
    assert [name in errors for name in ("a.png", "b.png", "c.png", "d.png")] == [False, True, True, False]
    for name in ("b.png", "c.png"):
        assert_names(next(line for line in errors.splitlines() if name in line), "ipt", "sr2")
    assert table(root / "metrics.incomplete.csv") == [whole[0], *whole[3:]]


def test_an_image_that_the_network_cannot_take_fails_alone(root, capsys):
    (root / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Conv2d):\n"
        "    def __init__(self):\n"
        "        super().__init__(3, 12, 1)\n"
        "    def forward(self, x):\n"
        "        assert x.shape[-1] != 12\n"
        "        if x.shape[-1] == 13:\n"
        "            raise RuntimeError('out of memory\\nmore about it')\n"
        "        if x.shape[-1] == 16:\n"
        "            return x\n"
        "        return nn.functional.pixel_shuffle(super().forward(x), 2)\n"
    )
    models.save(models.build(f"{root}/net.py:Net", ["sr2"]), root / "model.safetensors", {"model": "net"})
    write(root / "Set5/e.png", smooth(24, 24))
    run(root, model=root / "model.safetensors", status=1)
    errors = capsys.readouterr().err
    assert_names(errors, "3 of 5", "c.png", "(1, 3, 32, 32)", "e.png: AssertionError")
    assert "b.png: out of memory\n" in errors
    assert [r["image"] for r in table(root / "metrics.incomplete.csv")] == ["a", "d"]


def test_a_checkpoint_of_nans_has_no_scores(root, capsys):
    network = models.build("ipt_tiny", ["sr2"], **SMALL)
    for parameter in network.parameters():
        parameter.data.fill_(math.nan)
    models.save(network, root / "model.safetensors", {"model": "ipt"})
    run(root, model=root / "model.safetensors", status=1)
    assert_names(capsys.readouterr().err, "5 of 5")


def test_exactly_restored_images_are_named_and_left_out_of_the_printed_mean(root, capsys):
    write(root / "Set5" / "c.png", np.zeros((33, 33, 3), np.uint8))
    rows = run(root)
    assert rows[2]["psnr_y"] == "inf"
    mean = sum(float(r["psnr_y"]) for r in rows if r["image"] != "c") / 4
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Set5 sr2"))
    assert line.startswith(f"Set5 sr2: {mean:.3f} dB PSNR-Y")
    assert_names(line, 4, 1, "c")


def test_identity_is_not_scored_on_noise_that_leaves_the_range_of_an_image(root, capsys):
    noisy = ("--noise", "unclipped")
    run(root, *noisy, sets=("mine=mine",), tasks=("dn30",), model="identity", status=2)
    assert_names(capsys.readouterr().err, "identity", "dn30")
    rows = run(root, *noisy, sets=("photos@1",), tasks=("dn30", "dr"), model="identity")
    assert {row["task"] for row in rows} == {"dr"}


def test_small_images_have_an_empty_ssim(root):
    write(root / "Set5/e.png", smooth(14, 14))
    rows = run(root)
    assert [r["image"] for r in rows if r["ssim_y"] == ""] == ["e"]
    assert math.isfinite(float(rows[4]["psnr_y"]))


def test_gray_files_follow_the_convention_that_is_asked_for(root):
    gray = smooth(40, 40)[..., :1].repeat(3, 2)
    Image.fromarray(gray[..., 0]).save(root / "Set5/a.png")
    rgb, matlab = run(root), run(root, "--gray", "matlab")
    gain = float(rgb[0]["psnr_y"]) - float(matlab[0]["psnr_y"])
    assert gain == pytest.approx(20 * math.log10(256 / 219.859), abs=1e-5)
    assert [r["psnr_y"] for r in rgb[1:]] == [r["psnr_y"] for r in matlab[1:]]
    assert {r["protocol"] for r in matlab} == {"v2 gray=matlab"}
    both = run(root, "--gray", "matlab", sets=("Set5", "Set5@rgb"))
    assert [r["psnr_y"] for r in both] == [r["psnr_y"] for r in (*matlab, *rgb)]
    assert [r["protocol"] for r in both] == ["v2 gray=matlab"] * 5 + ["v2"] * 5


def test_exported_inputs_are_what_models_are_given(root):
    command = ["export-inputs", "--sets", "mine=mine", "--tasks", "sr2", "dn30", "--data-root", str(root)]
    assert main([*command, "--out", str(root / "inputs"), "--images", "b"]) == 0
    names = sorted(str(p.relative_to(root / "inputs")) for p in (root / "inputs").rglob("*.*"))
    assert names == [
        f"{t}/mine/b_{x}" for t, x in (("dn30", "HR.png"), ("dn30", "LR.npy"), ("sr2", "HR.png"), ("sr2", "LR.png"))
    ]
    clean = read(root / "mine/b.png").pixels
    np.testing.assert_array_equal(read(root / "inputs/sr2/mine/b_HR.png").pixels, clean[:26, :26])
    assert read(root / "inputs/sr2/mine/b_LR.png").pixels.shape == (13, 13, 3)
    noisy = np.load(root / "inputs/dn30/mine/b_LR.npy")
    assert (noisy.dtype, noisy.shape) == (np.float32, clean.shape)
    identity = run(root, sets=("mine=mine",), tasks=("dn30",), model="identity")[1]
    rounded = np.floor(noisy + 0.5).astype(np.uint8)
    assert float(identity["psnr_rgb"]) == pytest.approx(compute_scores(rounded, clean).psnr_rgb, abs=1e-5)


def test_wrong_requests_end_with_one_message(root, capsys):
    run(root, sets=("Set6",), status=2)
    run(root, model=root / "gone.safetensors", status=2)
    run(root, "--save-images", root, "--images", "zebra", status=2)
    run(root, "--windows", "averaged", status=2)
    run(root, tasks=("sr5",), status=2)
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    for error, named in zip(
        errors,
        (
            ("Set6", "Set5"),
            (root / "gone.safetensors",),
            ("--images", "zebra", "a, b, c, d, e"),
            ("bicubic",),
            ("sr5",),
        ),
        strict=True,
    ):
        assert_names(error, *named)
    assert not (root / "metrics.csv").exists()


def test_what_cannot_be_written_is_said_before_anything_is_scored(root, capsys, monkeypatch):
    monkeypatch.setattr("workflows.evaluation.score.score", None)
    os.mkfifo(root / "pipe.csv")
    (root / "file").write_text("")
    (root / "folder.json").mkdir()
    for out, options, named in (
        ("/dev/null", (), "/dev/null"),
        ("pipe.csv", (), root / "pipe.csv"),
        ("x.json", (), ".csv"),
        ("file/x.csv", (), root / "file"),
        ("folder.csv", (), root / "folder.json"),
        ("x.csv", ("--save-images", root / "file"), root / "file"),
    ):
        run(root, *options, out=out, status=2)
        assert_names(capsys.readouterr().err, named)


def test_threads_and_devices_that_are_not_there_are_one_message(root, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(root, "--threads", "-1")
    assert stopped.value.code == 2
    assert_names(capsys.readouterr().err, "--threads", "-1")
    torch.manual_seed(0)
    models.save(models.build("ipt_tiny", ["sr2"], **SMALL), root / "model.safetensors", {"model": "ipt"})
    for device in ("foo", "cpu:x", *(() if torch.cuda.is_available() else ("cuda",))):
        run(root, "--device", device, model=root / "model.safetensors", status=2)
        errors = capsys.readouterr().err
        assert errors.startswith(f"error: --device {device}: ")
        assert errors.count("\n") == 1


def test_an_interrupt_is_one_word(root, capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("workflows.evaluation.score.compute_scores", interrupted)
    run(root, status=130)
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert not list(root.glob("metrics*"))


def test_a_file_name_that_is_not_utf_8_is_named(root, capsys):
    path = os.fsencode(root / "mine") + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write((root / "mine" / "a.png").read_bytes())
    run(root, sets=("mine=mine",), status=2)
    assert_names(capsys.readouterr().err, r"b'caf\xe9.png'", "UTF-8")


def test_a_pipe_among_images_is_no_image(root):
    rows = run(root)
    os.mkfifo(root / "Set5" / "pipe.png")
    assert run(root) == rows
    run(root, "--save-images", root / "out")
    os.mkfifo(root / "out" / "sr2" / "Set5" / "a_x2.png")
    assert [r["psnr_y"] for r in run(root, "--restored", root / "out", model=None)] == [r["psnr_y"] for r in rows]


def test_download_writes_where_the_set_is_looked_for(root, monkeypatch, capsys):
    from workflows.evaluation import download

    asked = {}
    monkeypatch.setattr(download, "fetch", lambda url, sha256, folders: asked.update({(url, sha256): folders}))
    assert main(["download", "--sets", "DIV2K", "Set14", "Urban100", "--data-root", str(root)]) == 0
    assert all(url.startswith("https://") and len(sha256) == 64 for url, sha256 in asked)
    assert list(asked.values()) == [
        {"": root / "DIV2K/DIV2K_valid_HR"},
        {f"benchmark/{name}": root / "benchmark" / name for name in ("Set14", "Urban100")},
    ]
    assert_names(capsys.readouterr().out, "DIV2K", root / "DIV2K/DIV2K_valid_HR")
