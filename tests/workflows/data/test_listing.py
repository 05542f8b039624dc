"""Folders as they lie on disks: links, archives beside images, reduced versions, broken names. Nothing is taken in silence."""

import os
from pathlib import Path

import cv2
import pytest

from tests.helpers import jpeg, raises_naming, tar, texture
from workflows.data.__main__ import main
from workflows.data.listing import Limits, limits
from workflows.data.manifest import scan
from workflows.data.sources import list_images


@pytest.fixture
def root(tmp_path) -> Path:
    """Twelve images in two folders."""
    for number in range(12):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), texture(number, 20, 24))
    return tmp_path / "images"


def paths(root: Path) -> list[str]:
    return [entry.path for entry in list_images(root).entries]


def test_links_to_folders_that_are_listed_already_are_not_followed(root, tmp_path):
    expected = paths(root)
    assert len(expected) == 12
    (root / "a" / "up").symlink_to("..")
    (root / "a" / "0first").symlink_to(root)
    (root / "outside").symlink_to(tmp_path)  # holds the source
    (root / "b" / "sibling").symlink_to("../a")
    (root / "0a").symlink_to("a")
    assert paths(root) == expected
    assert paths(root / "a") == [path.removeprefix("a/") for path in expected if path[0] == "a"]


def test_links_to_other_folders_and_files_are_followed_once(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").write_bytes((root / "a" / "00.png").read_bytes()[:-1] + b"\0")
    (root / "one").symlink_to(tmp_path / "elsewhere")
    (root / "two").symlink_to(tmp_path / "elsewhere")
    (root / "y.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    assert [path for path in paths(root) if path[0] not in "ab"] == ["one/x.png", "y.png"]


def test_a_link_that_leads_nowhere_and_a_pipe_are_named_rejections(root):
    (root / "lost.png").symlink_to("gone.png")
    os.mkfifo(root / "pipe.png")
    found = scan(root)
    assert len(found.images) == 12
    assert dict(zip(found.rejected["path"], found.rejected["reason"], strict=True)) == {
        "lost.png": "a link that leads nowhere",
        "pipe.png": "not a regular file",
    }


@pytest.mark.parametrize(
    ("name", "content", "noted"),
    [
        ("labels.tar", tar({"labels.txt": b"x"}), "labels.tar holds no images"),
        ("code.tar.gz", b"x", "compressed and not looked into: code.tar.gz"),
        ("download.zip", b"x", "compressed and not looked into: download.zip"),
        ("download.tar.md5", b"x", None),
        ("download.tar.torrent", b"x", None),
        ("._x.tar", b"x", None),
    ],
)
def test_what_is_no_archive_of_images_neither_stops_nor_hides_them(root, name, content, noted):
    (root / name).write_bytes(content)
    listing = list_images(root)
    assert len(listing.entries) == 12
    assert listing.notes == ([noted] if noted else [])


def test_images_next_to_an_archive_are_read_with_those_in_it(root):
    (root / "more.tar").write_bytes(tar({f"{number}.jpg": jpeg(number) for number in range(3)}))
    listing = list_images(root)
    assert len(listing.entries) == 15
    assert listing.notes == ["12 image files and 3 images in more.tar: all are taken"]


def test_archives_that_others_are_preferred_to_are_named(tmp_path):
    for name in ("a-train-0.tar", "a-val-0.tar", "constrained.tar"):
        (tmp_path / name).write_bytes(tar({"1.jpg": jpeg(1)}))
    listing = list_images(tmp_path)
    assert [entry.archive for entry in listing.entries] == ["a-train-0.tar"]
    assert listing.notes == ["left out because others have `train` in their path: a-val-0.tar, constrained.tar"]


def test_an_archive_and_what_was_unpacked_from_it_count_once(root):
    (root / "more.tar").write_bytes(tar({"1.jpg": jpeg(1), "2.jpg": jpeg(2)}))
    (root / "more").mkdir()
    (root / "more" / "1.jpg").write_bytes(jpeg(1))
    (root / "copy.jpg").write_bytes(jpeg(2))
    found = scan(root)
    assert len(found.images) == 14
    assert found.rejected["path"].tolist() == ["more/1.jpg", "more/2.jpg"]
    assert found.rejected["reason"].tolist() == ["listed already; this one is in more.tar", "the same file as copy.jpg"]


def test_only_compressed_archives_and_broken_ones_stop_with_a_name(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"x")
    with raises_naming(ValueError, tmp_path / "x.tar.gz"):
        list_images(tmp_path)
    (tmp_path / "cut.tar").write_bytes(tar({"1.jpg": jpeg(1)})[:1000])
    with raises_naming(ValueError, tmp_path / "cut.tar"):
        list_images(tmp_path)


@pytest.mark.parametrize("low", ["LR", "Flickr2K_LR_bicubic/X2", "LRx2", "lr_x4"])
def test_reduced_versions_next_to_the_images_are_left_out_by_name(tmp_path, low):
    for folder in ("Flickr2K/Flickr2K_HR", f"Flickr2K/{low}"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.png").write_bytes(b"x")
    listing = list_images(tmp_path)
    assert [entry.path for entry in listing.entries] == ["Flickr2K/Flickr2K_HR/1.png"]
    (note,) = listing.notes
    assert note.startswith(f"Flickr2K/{low.split('/')[0]}: 1 low-resolution")


def test_reduced_versions_without_others_are_trained_on_with_a_warning(tmp_path):
    for folder in ("LR", "colr_x"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(b"x")
    listing = list_images(tmp_path)
    assert [entry.path for entry in listing.entries] == ["LR/1.png", "colr_x/1.png"]
    assert listing.notes == ["LR: 1 images that look like low-resolution versions are trained on"]


def test_names_that_are_not_utf8_are_rejected_by_name(root):
    for name in (b"caf\xe9.png", b"caf\xe9/x.png"):
        path = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x")
    found = scan(root)
    assert len(found.images) == 12
    assert found.rejected["path"].tolist() == ["caf\\xe9.png", "caf\\xe9/x.png"]
    assert found.rejected["reason"].str.contains("not UTF-8").all()


def test_class_files_and_members_that_are_not_utf8_do_not_stop_a_scan(tmp_path):
    latin = "caf\udce9"
    (tmp_path / "a-train.tar").write_bytes(tar({"1.jpg": jpeg(1), "1.cls": b"caf\xe9", f"{latin}.jpg": jpeg(2)}))
    images = scan(tmp_path).images
    assert images["class"].tolist() == ["caf\\xe9", ""]
    assert images["path"].tolist() == ["a-train/1.jpg", "a-train/caf\\xe9.jpg"]


def test_equal_files_are_kept_once(root):
    for number, name in enumerate(("z.png", "b/again.png")):
        (root / name).write_bytes((root / "ab"[number] / f"{number:02d}.png").read_bytes())
    found = scan(root)
    assert found.images["sha256"].is_unique
    assert found.rejected[["path", "reason"]].to_numpy().tolist() == [
        ["b/again.png", "the same file as b/01.png"],
        ["z.png", "the same file as a/00.png"],
    ]


def test_limits_that_leave_out_the_same_images_count_as_those_of_the_tables(root, tmp_path):
    cv2.imwrite(str(root / "small.png"), texture(99, 9, 30))
    tables, made = tmp_path / "tables", Limits(12, 0.1)
    assert limits(tables, Limits(4, 0.1), "old") == Limits(4, 0.1)
    assert limits(tables, made, "old") == made, "no tables yet"
    arguments = ["--root", str(root), "--validation", "2", "--out-manifest", str(tables / "manifest.csv")]
    arguments += ["--out-validation", str(tables / "validation.csv"), "--min-side"]
    assert main(["manifest", *arguments, "12"]) == 0
    for same in (Limits(20, 0.1), Limits(10, 0.1), Limits(12, 0.0)):
        assert limits(tables, same, "old") == made
    for other in (Limits(21, 0.1), Limits(9, 0.1)):
        assert limits(tables, other, "old") == other
    assert limits(tables, Limits(20, 0.1), "old") == made
    assert main(["manifest", *arguments, "9"]) == 0
    assert limits(tables, Limits(8, 0.1), "old") == limits(tables, Limits(9, 0.1), "old") == Limits(8, 0.1)


def test_limits_follow_the_config_when_images_change(root, tmp_path):
    tables = tmp_path / "tables"
    arguments = ["--root", str(root), "--validation", "2", "--out-manifest", str(tables / "manifest.csv")]
    assert limits(tables, Limits(12, 0.1), "old") == Limits(12, 0.1)
    assert main(["manifest", *arguments, "--out-validation", str(tables / "validation.csv"), "--min-side", "12"]) == 0
    assert limits(tables, Limits(20, 0.1), "old") == Limits(12, 0.1)
    for _ in range(2):  # before the tables are made again, and afterwards
        assert limits(tables, Limits(20, 0.1), "new") == Limits(20, 0.1)
