"""Pairs of degraded and clean files: crops of both lie at the same place, and pairs that do not fit stop with their names."""

import os

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import raises_naming, texture
from workflows.config.grid import parse
from workflows.config.messages import ConfigError
from workflows.data.__main__ import main
from workflows.data.batches import Batches
from workflows.data.degradations import dihedral, make_pairs
from workflows.data.manifest import Pairs, UndecodableError, read_table, scan, write_table
from workflows.data.pairs import list_pairs

PREFIXED = Pairs("rain-*.png", "norain-*.png")


def write(path, image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture
def rainy(tmp_path):
    """Six pairs side by side in one folder; an input's values are its target's plus one."""
    for number in range(6):
        target = texture(number, 20 + number, 24) // 2
        write(tmp_path / f"norain-{number:03d}.png", target)
        write(tmp_path / f"rain-{number:03d}.png", target + 1)
        write(tmp_path / f"rainstreak-{number:03d}.png", target)
    return tmp_path


def test_pairs_are_found_by_pattern_and_by_folder(rainy, tmp_path):
    entries = list_pairs(rainy, PREFIXED.inputs, PREFIXED.targets).entries
    assert [(entry.path, entry.input) for entry in entries] == [
        (f"norain-{number:03d}.png", f"rain-{number:03d}.png") for number in range(6)
    ]
    for name in ("lq/a/1.jpg", "lq/2.png", "gt/a/1.png", "gt/2.png", "gt/notes.txt", "gt/.hidden.png"):
        write(tmp_path / name, texture(0, 9, 9)) if name[-4:] != ".txt" else (tmp_path / name).write_text("x")
    entries = list_pairs(tmp_path, "lq", "gt/").entries
    assert [(entry.path, entry.input) for entry in entries] == [("gt/2.png", "lq/2.png"), ("gt/a/1.png", "lq/a/1.jpg")]


def test_an_interrupted_listing_continues_with_the_same_inputs_only(rainy):
    (rainy / "norain-005.png").write_bytes(b"broken")
    for path in rainy.iterdir():
        os.utime(path, (1e9, 1e9))
    with pytest.raises(UndecodableError):
        scan(rainy, 1, 0.0, rainy / "journal", 1, PREFIXED)
    (rainy / "rain-001.png").write_bytes((rainy / "rainstreak-001.png").read_bytes())
    os.utime(rainy / "rain-001.png", (9e8, 9e8))  # replaced by an older file
    for inputs in (PREFIXED, Pairs("rainstreak-*.png", PREFIXED.targets)):
        resumed = scan(rainy, 1, 0.5, rainy / "journal", 1, inputs).images
        assert resumed.equals(scan(rainy, 1, 0.5, pairs=inputs).images)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("fixed_crops", [None, 3])
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_input_and_target_are_cut_at_the_same_place_and_turned_alike(rainy, fixed_crops, cache_bytes, workers):
    write_table(scan(rainy, pairs=PREFIXED).images, rainy / "m.csv")
    options = {"crops_per_image": 2, "cache_bytes": cache_bytes, "workers": workers, "fixed_crops": fixed_crops}
    stream = Batches(read_table(rainy / "m.csv"), rainy, ["dr"], 8, 4, 0, **options).iterate()
    for _ in range(7):
        batch = next(stream)
        x, y = make_pairs(batch, 8, seed=0)
        assert x.shape == y.shape == (4, 3, 8, 8)
        assert torch.equal((x * 255).round(), (y * 255).round() + 1)
        for row, index in enumerate(batch.image_ids.tolist()):
            whole = texture(index, 20 + index, 24) // 2
            windows = np.lib.stride_tricks.sliding_window_view(whole, (8, 8), axis=(0, 1))
            crop = batch.hr[row, :, :8].numpy()
            assert (windows == crop).all(axis=(2, 3, 4)).any()
            turned = dihedral(batch.hr[row : row + 1, :, :8], batch.transforms[row : row + 1])
            assert torch.equal((y[row] * 255).round().byte(), turned[0])
    stream.close()


def test_real_low_resolution_inputs_keep_their_own_pixels(tmp_path):
    for number in range(3):
        low = texture(number, 12, 14)
        write(tmp_path / "X3" / f"{number}x3.png", low)
        write(tmp_path / "HR" / f"{number}.png", np.kron(low, np.ones((3, 3, 1), np.uint8)))
    images = scan(tmp_path, pairs=Pairs("X3/*x3.png", "HR/*.png", 3)).images
    batch = Batches(images, tmp_path, ["sr3"], 6, 3, 0).load(0)
    x, y = make_pairs(batch, 6, seed=0)
    assert y.shape == (3, 3, 18, 18)
    assert torch.equal(y[..., ::3, ::3], x)


def test_pairs_that_do_not_fit_are_named(rainy):
    (rainy / "rain-001.png").unlink()
    (rainy / "norain-004.png").unlink()
    with raises_naming(ValueError, "rain-004.png", "norain-001.png", "rain-*.png", "norain-*.png", rainy):
        scan(rainy, pairs=PREFIXED)
    write(rainy / "norain-004.png", texture(4, 20, 24))
    write(rainy / "rain-001.png", texture(1, 21, 24))
    with raises_naming(ValueError, "1 of 6", "norain-004.png", "24x20", "rain-004.png", "24x24"):
        scan(rainy, pairs=PREFIXED)
    with raises_naming(ValueError, "6 of 6", 2, "norain-000.png"):
        scan(rainy, pairs=PREFIXED._replace(scale=2))
    with raises_naming(FileNotFoundError, "inputs", "'lq'", rainy):
        list_pairs(rainy, "lq", "gt")
    with raises_naming(ValueError, "inputs", "'*-*.png'", "`*`"):
        list_pairs(rainy, "*-*.png", "gt")


def test_an_input_that_cannot_be_decoded_or_changed_is_named(rainy):
    (rainy / "rain-002.png").write_bytes(b"x")
    found = scan(rainy, max_undecodable=0.5, pairs=PREFIXED)
    assert found.rejected["reason"].tolist() == ["its input rain-002.png: not an image"]
    assert len(found.images) == 5
    write(rainy / "rain-003.png", texture(9, 23, 24))
    with raises_naming(OSError, rainy / "rain-003.png"):
        Batches(found.images, rainy, ["dr"], 8, 5, 0).load(0)


def test_a_target_of_two_pairs_is_not_trained_on_and_held_out(rainy, tmp_path):
    for number in range(6):
        for copy in range(1, 4):
            write(rainy / f"norain-{number + 10 * copy:03d}.png", texture(number, 20 + number, 24) // 2)
            write(rainy / f"rain-{number + 10 * copy:03d}.png", texture(number, 20 + number, 24) // 2 + copy + 1)
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("manifest", "validation", "fraction")}
    out = ["--out-manifest", paths["manifest"], "--out-validation", paths["validation"], "--validation", "3"]
    assert main(["manifest", "--root", str(rainy), "--inputs", "rain-*.png", "--targets", "norain-*.png", *out]) == 0
    tables = ["--manifest", paths["manifest"], "--validation", paths["validation"], "--out", paths["fraction"]]
    assert main(["fraction", *tables, "--fraction", "1", "--seed", "0"]) == 0
    held_out, trained = (read_table(paths[name]) for name in ("validation", "fraction"))
    assert len(read_table(paths["manifest"])) == 24
    assert len(held_out) == 3
    assert not set(held_out["sha256"]) & set(trained["sha256"])
    assert len(trained) == 24 - 4 * held_out["sha256"].nunique()


def test_pairs_are_of_one_task(rainy):
    data = {"source": "paired_folders", "root": str(rainy), "inputs": "rain-*.png", "targets": "norain-*.png"}
    config = {"name": "x", "tasks": ["dr"], "data": data, "models": [{"name": "e", "variant": "edsr_tiny"}]}
    config |= {"evaluation": {"references": []}, "training": {"patch_size": 24}}
    parse(config)
    models = [{"name": "i", "variant": "ipt_tiny"}]
    with raises_naming(ConfigError, "data.source", "paired_folders", "dn30, dr"):
        parse({**config, "tasks": ["dr", "dn30"], "models": models})
    with raises_naming(ConfigError, "`inputs`", "`source: paired_folders`"):
        parse({**config, "data": {**data, "source": "image_folder"}})
    for key in ("root", "inputs", "targets"):
        with raises_naming(ConfigError, f"`{key}`", "missing"):
            parse({**config, "data": {name: value for name, value in data.items() if name != key}})


def test_real_rainy_pairs_train(shared_data):
    found = scan(shared_data / "Rain100L", min_side=48, pairs=PREFIXED)
    assert len(found.images) == 20  # two of them share their target
    assert found.images["sha256"].nunique() == 19
    x, y = make_pairs(Batches(found.images, shared_data / "Rain100L", ["dr"], 48, 8, 0).load(0), 48, seed=0)
    assert 0.001 < (x - y).mean() < 0.2
