"""The forms a training source may have, and that ImageNet's all name their images alike."""

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import jpeg, raises_naming, tar, texture, train_quickly
from workflows.config.grid import parse
from workflows.data.__main__ import main as data_stage
from workflows.data.batches import Batches
from workflows.data.fractions import select
from workflows.data.manifest import read_table, scan, write_table
from workflows.data.sources import list_images

NAMES = [f"{category}/{category}_{index}.JPEG" for category in ("n00000001", "n00000002") for index in range(4)]


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> dict[str, Path]:
    """ImageNet in three forms, the same eight images in each."""
    images = {name: jpeg(number) for number, name in enumerate(NAMES)}
    classes = {
        category: tar({Path(name).name: images[name] for name in NAMES if name.startswith(category)})
        for category in ("n00000001", "n00000002")
    }
    roots = {name: tmp_path_factory.mktemp(name) for name in ("folder", "official", "classes")}
    for name, data in images.items():
        path = roots["folder"] / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    other = roots["folder"] / "val" / "x.JPEG"
    other.parent.mkdir()
    other.write_bytes(jpeg(0))
    outer = tar({f"{category}.tar": data for category, data in classes.items()}, tarfile.PAX_FORMAT)
    (roots["official"] / "ILSVRC2012_img_train.tar").write_bytes(outer)
    (roots["official"] / "ILSVRC2012_img_val.tar").write_bytes(tar({"ILSVRC2012_val_00000001.JPEG": jpeg(0)}))
    for category, data in classes.items():
        (roots["classes"] / f"{category}.tar").write_bytes(data)
    return roots


def test_imagenet_gives_the_same_tables_in_all_its_forms(forms):
    folder = scan(forms["folder"]).images
    assert folder["path"].tolist() == sorted(f"train/{name}" for name in NAMES)
    assert folder["class"].tolist() == [name.split("/")[0] for name in sorted(NAMES)]
    assert folder.columns.tolist() == ["path", "class", "width", "height", "bytes", "sha256"]
    for form in ("official", "classes"):
        archived = scan(forms[form]).images
        assert archived[folder.columns].equals(folder)
        assert archived.columns.tolist()[-2:] == ["archive", "offset"]
        chosen = select(archived, 0.5, 0)
        assert chosen["path"].tolist() == select(folder, 0.5, 0)["path"].tolist()


@pytest.mark.parametrize("form", ["official", "classes"])
def test_crops_from_archives_are_those_from_the_folder(forms, form, tmp_path):
    write_table(scan(forms[form]).images, tmp_path / "manifest.csv")
    archived = read_table(tmp_path / "manifest.csv")
    expected = Batches(scan(forms["folder"]).images, forms["folder"], ["sr2"], 8, 4, 0).load(1)
    batch = Batches(archived, forms[form], ["sr2"], 8, 4, 0).load(1)
    assert batch.hr.equal(expected.hr)
    stream = Batches(archived, forms[form], ["sr2"], 8, 4, 0, workers=2).iterate(1)
    assert next(stream).hr.equal(expected.hr)
    stream.close()


def test_webdataset_shards_take_their_class_from_cls_or_the_folder(tmp_path):
    (tmp_path / "imagenet-train-000.tar").write_bytes(
        tar({"0001.jpg": jpeg(1), "0001.cls": b"17\n", "0002.jpg": jpeg(2), "0002.cls": b"3", "0002.json": b"{}"})
    )
    (tmp_path / "imagenet-train-001.tar").write_bytes(tar({"n01/0001.jpg": jpeg(3), "n01/0001.txt": b"a dog"}))
    (tmp_path / "imagenet-validation-000.tar").write_bytes(tar({"0001.jpg": jpeg(1)}))
    images = scan(tmp_path).images
    assert dict(zip(images["path"], images["class"], strict=True)) == {
        "imagenet-train-000/0001.jpg": "17",
        "imagenet-train-000/0002.jpg": "3",
        "imagenet-train-001/n01/0001.jpg": "n01",
    }
    batch = Batches(images, tmp_path, ["dn30"], 40, 3, 0).load(0)
    for row, index in enumerate(batch.image_ids.tolist()):
        whole = cv2.imdecode(np.frombuffer(jpeg(index + 1), np.uint8), cv2.IMREAD_COLOR_RGB)
        crop = batch.hr[row].permute(1, 2, 0).numpy()
        assert any(
            np.array_equal(whole[top : top + 40, left : left + 40], crop)
            for top in range(whole.shape[0] - 39)
            for left in range(11)
        )


def test_any_folder_has_its_folders_as_classes(tmp_path):
    for name in ("b/2.png", "b/deep/3.PNG", "a.png", "notes.txt", ".hidden.png", "b/._2.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    entries = list_images(tmp_path).entries
    assert [(entry.path, entry.category) for entry in entries] == [
        ("a.png", ""),
        ("b/2.png", "b"),
        ("b/deep/3.PNG", "b/deep"),
    ]


def test_div2k_s_training_part_alone_is_taken(tmp_path):
    for name in ("DIV2K_train_HR/0001.png", "DIV2K_valid_HR/0801.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    assert [(entry.path, entry.category) for entry in list_images(tmp_path).entries] == [
        ("DIV2K_train_HR/0001.png", "")
    ]


def test_archives_may_lie_in_the_training_folder(forms, tmp_path):
    (tmp_path / "train").mkdir()
    for path in forms["classes"].iterdir():
        (tmp_path / "train" / path.name).write_bytes(path.read_bytes())
    expected = list_images(forms["classes"]).entries
    assert [entry.path for entry in list_images(tmp_path).entries] == [entry.path for entry in expected]


def test_a_run_trains_from_every_form_and_imagenet_s_give_the_same_weights(forms, tmp_path):
    """By the commands that the workflow's rules call: config, manifest, fraction, training."""
    roots = dict(forms)
    roots["shards"] = tmp_path / "shards"
    roots["shards"].mkdir()
    for shard in range(2):
        samples = {f"{number:04d}.jpg": jpeg(number) for number in range(4 * shard, 4 * shard + 4)}
        labels = {f"{number:04d}.cls": b"%d" % (number % 2) for number in range(4 * shard, 4 * shard + 4)}
        (roots["shards"] / f"in-train-{shard}.tar").write_bytes(tar(dict(sorted({**samples, **labels}.items()))))
    roots["div2k"], roots["any"] = tmp_path / "div2k", tmp_path / "any"
    for number in range(8):
        for path in (roots["div2k"] / f"DIV2K_train_HR/{number:04d}.png", roots["any"] / f"{number % 2}/{number}.bmp"):
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), texture(number, 40, 50))

    weights = {}
    for form, root in roots.items():
        out = tmp_path / "results" / form
        experiment = parse(
            {
                "name": form,
                "fractions": [0.5],
                "data": {"source": "image_folder", "root": str(root), "validation": 2},
                "models": [{"name": "edsr", "variant": "edsr_tiny", "kwargs": {"num_feat": 4, "num_block": 1}}],
                "training": {"budget": {"steps": 2}, "batch_size": 2, "patch_size": 20, "accelerator": "cpu"},
            }
        )
        run = experiment.runs()["edsr-50-seed-0"]
        tables = ["--manifest", f"{out}/manifest.csv", "--validation", f"{out}/validation.csv"]
        listing = ["--out-manifest", f"{out}/manifest.csv", "--out-validation", f"{out}/validation.csv"]
        wanted = ["--validation", "2", "--min-side", str(experiment.min_side())]
        assert data_stage(["manifest", "--root", str(root), *wanted, *listing]) == 0
        assert data_stage(["fraction", *tables, "--fraction", "0.5", "--seed", "0", "--out", f"{out}/half.csv"]) == 0
        assert len(read_table(out / "half.csv")) == 3
        train_quickly(run, root, out / "half.csv", out / "validation.csv", out / "run", out / "resume")
        weights[form] = load_file(out / "run" / "model.safetensors")
    for form in ("official", "classes"):
        assert all(torch.equal(weights[form][name], value) for name, value in weights["folder"].items())


def test_sources_without_images_are_named(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / "absent"):
        list_images(tmp_path / "absent")
    with raises_naming(FileNotFoundError, tmp_path, "train/<class>", ".png"):
        list_images(tmp_path)
    (tmp_path / "train.tar.gz").write_bytes(b"")
    with raises_naming(ValueError, tmp_path / "train.tar.gz"):
        list_images(tmp_path)
    (tmp_path / "train.tar.gz").rename(tmp_path / "train.tar")
    (tmp_path / "train.tar").write_bytes(b"no archive" * 100)
    with raises_naming(ValueError, tmp_path / "train.tar"):
        list_images(tmp_path)


def test_an_archive_cut_short_is_named(forms, tmp_path):
    whole = (forms["official"] / "ILSVRC2012_img_train.tar").read_bytes()
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(whole[: len(whole) // 2])
    with raises_naming(ValueError, tmp_path / "ILSVRC2012_img_train.tar"):
        list_images(tmp_path)
