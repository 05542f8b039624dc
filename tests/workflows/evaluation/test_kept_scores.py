"""`--keep`: a stopped scoring continues, an added set is scored alone, and nothing that has changed is used again."""

import json

import numpy as np
import pytest
import torch

from tests.helpers import ROOT, assert_names
from workflows import models
from workflows.evaluation.__main__ import main
from workflows.evaluation.image_files import write
from workflows.evaluation.restorer import Restorer

RNG = np.random.default_rng(3)
SMALL = {"num_feat": 4, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1}


@pytest.fixture
def restored(monkeypatch):
    """Names of the images that a network has restored, in order."""
    names, pixels = [], Restorer.pixels

    def counted(self, degraded, task, path):
        names.append(f"{path.parent.name}/{path.stem}")
        return pixels(self, degraded, task, path)

    monkeypatch.setattr(Restorer, "pixels", counted)
    return names


def noise(path):
    write(path, RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8))


def save(path, seed=0):
    torch.manual_seed(seed)
    models.save(models.build("ipt_tiny", ["sr2"], **SMALL), path, {"model": "ipt"})


@pytest.fixture
def root(tmp_path):
    for dataset in ("first", "second"):
        for image in "ab":
            noise(tmp_path / dataset / f"{image}.png")
    save(tmp_path / "model.safetensors")
    return tmp_path


def score(root, *datasets, keep=True, out="metrics.csv", threads=1, further=()):
    sets = [f"{name}={root / name}" for name in datasets]
    given = ["--model", root / "model.safetensors", "--tasks", "sr2", "--sets", *sets, "--threads", threads]
    given += ["--keep", root / "kept"] if keep else []
    return main([str(word) for word in [*given, "--out", root / out, *further]])


FIRST, SECOND = ["first/a", "first/b"], ["second/a", "second/b"]


def test_an_added_set_is_scored_alone_and_the_table_is_the_same(root, restored, capsys):
    assert score(root, "first") == 0
    assert restored == FIRST
    assert "scored_earlier" not in json.loads((root / "metrics.json").read_text())
    restored.clear()
    assert score(root, "second", "first") == 0
    assert restored == SECOND
    assert "first sr2: scored earlier" in capsys.readouterr().out
    assert score(root, "second", "first", keep=False, out="anew.csv") == 0
    assert (root / "metrics.csv").read_bytes() == (root / "anew.csv").read_bytes()
    kept, anew = (json.loads((root / name).read_text()) for name in ("metrics.json", "anew.json"))
    record = kept.pop("scored_earlier")
    assert kept == anew
    assert list(record) == ["first sr2"]
    assert record["first sr2"]["hardware"] == anew["hardware"]
    assert record["first sr2"]["commit"] == anew["commit"]


def test_a_stopped_scoring_continues_with_the_set_that_it_was_at(root, restored, monkeypatch):
    counted = Restorer.pixels

    def interrupted(self, degraded, task, path):
        if path.parent.name == "second" and path.stem == "b":
            raise KeyboardInterrupt
        return counted(self, degraded, task, path)

    monkeypatch.setattr(Restorer, "pixels", interrupted)
    assert score(root, "first", "second") == 130
    assert not (root / "metrics.csv").exists()
    monkeypatch.setattr(Restorer, "pixels", counted)
    restored.clear()
    assert score(root, "first", "second") == 0
    assert restored == SECOND


def other_weights(root):
    save(root / "model.safetensors", seed=1)


def other_image(root):
    noise(root / "first" / "a.png")


def damaged(text):
    def change(root):
        for path in (root / "kept").iterdir():
            path.write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (other_weights, {}),
        (other_image, {}),
        *((damaged(text), {}) for text in ('{"of": ', "[]", "{}", "null")),
        (None, {"threads": 2}),
        (None, {"further": ["--windows", "averaged"]}),
        (None, {"further": ["--self-ensemble"]}),
        (None, {"further": ["--bicubic", "float"]}),
        (None, {"further": ["--precision", "bf16"]}),
    ],
)
def test_what_determines_scores_decides_whether_they_are_used_again(root, restored, change, options):
    assert score(root, "first") == 0
    restored.clear()
    if change:
        change(root)
    assert score(root, "first", **options) == 0
    assert restored == FIRST


def test_a_set_with_a_failed_image_is_not_kept(root, restored):
    (root / "second" / "b.png").write_bytes(b"no image")
    assert score(root, "first", "second") == 1
    noise(root / "second" / "b.png")
    restored.clear()
    assert score(root, "first", "second") == 0
    assert restored == SECOND


def test_a_set_of_which_outputs_are_saved_is_scored(root, restored):
    saves = ["--save-images", root / "out", "--images", "a"]
    write(root / "second" / "c.png", RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    (root / "second" / "a.png").unlink()
    assert score(root, "first", "second") == 0
    restored.clear()
    assert score(root, "first", "second", further=saves) == 0
    assert restored == FIRST
    assert (root / "out" / "sr2" / "first" / "a.png").is_file()


def test_scores_that_no_table_needs_any_more_are_deleted(root):
    assert score(root, "first", "second") == 0
    assert len(list((root / "kept").iterdir())) == 2
    other_weights(root)
    (root / "kept" / "mine.json").touch()
    assert score(root, "first") == 0
    assert len(list((root / "kept").glob("scores-*"))) == 1
    assert (root / "kept" / "mine.json").exists()


def test_a_set_whose_images_change_while_it_is_scored_is_not_kept(root, restored, monkeypatch):
    counted = Restorer.pixels

    def meanwhile(self, degraded, task, path):
        if path.stem == "b":
            noise(root / "first" / "a.png")
        return counted(self, degraded, task, path)

    monkeypatch.setattr(Restorer, "pixels", meanwhile)
    assert score(root, "first") == 0
    monkeypatch.setattr(Restorer, "pixels", counted)
    restored.clear()
    assert score(root, "first") == 0
    assert restored == FIRST


def test_scores_of_a_users_class_are_not_kept(root, restored):
    torch.manual_seed(0)
    own = f"{ROOT / 'examples' / 'srcnn.py'}:SRCNN"
    models.save(models.build(own, ["sr2"], num_feat=4), root / "model.safetensors", {"model": "srcnn"})
    assert score(root, "first") == 0
    assert score(root, "first") == 0
    assert restored == [*FIRST, *FIRST]


@pytest.mark.parametrize("source", [["--model", "bicubic"], ["--restored", "first"]])
def test_what_takes_seconds_is_not_kept(root, source, capsys):
    words = [*source, "--tasks", "sr2", "--sets", f"first={root / 'first'}", "--keep", root / "kept"]
    assert main([str(word) for word in [*words, "--out", root / "metrics.csv"]]) == 2
    assert_names(capsys.readouterr().err, "--keep", "trained networks")


def test_the_folder_is_checked_before_anything_is_scored(root, restored, capsys):
    (root / "kept").touch()
    assert score(root, "first") == 2
    assert_names(capsys.readouterr().err, "--keep", root / "kept")
    assert restored == []
