"""Benchmark images among the training images are found by their bytes, under whatever name."""

import shutil

import pytest

from tests.helpers import texture
from workflows.data.manifest import scan, write_table
from workflows.data.overlap import trained_on
from workflows.evaluation.image_files import write


@pytest.fixture
def folders(tmp_path):
    """A source of three images, and a benchmark set of two, one of which is in the source under another name."""
    for number in range(3):
        write(tmp_path / "source" / "train" / "x" / f"{number}.png", texture(number, 32, 32))
    write(tmp_path / "set" / "a.png", texture(7, 32, 32))
    shutil.copyfile(tmp_path / "source" / "train" / "x" / "1.png", tmp_path / "set" / "b.png")
    return tmp_path


def files(folder):
    return sorted((folder / "set").iterdir())


def test_a_copy_under_another_name_is_found_as_long_as_it_is_there(folders):
    copy, manifest = folders / "set" / "b.png", folders / "manifest.csv"
    assert trained_on(files(folders), folders / "source", manifest) == {copy: "train/x/1.png"}
    write_table(scan(folders / "source").images, manifest)
    shutil.move(folders / "source" / "train" / "x" / "1.png", folders / "away.png")
    assert trained_on(files(folders), folders / "source", manifest) == {}
    shutil.move(folders / "away.png", folders / "source" / "train" / "x" / "9.png")
    assert trained_on(files(folders), folders / "source", manifest) == {copy: "train/x/9.png"}


def test_an_image_of_equal_size_and_other_content_is_not_taken_for_a_copy(folders):
    copy = folders / "set" / "b.png"
    data = bytearray(copy.read_bytes())
    data[-20] ^= 1
    copy.write_bytes(data)
    assert trained_on(files(folders), folders / "source", folders / "manifest.csv") == {}


def test_uncompressed_images_of_one_size_are_told_apart(folders):
    for number in range(3):
        write(folders / "source" / "train" / f"{number}.bmp", texture(number, 64, 64))
        write(folders / "set" / f"{number + 1}.bmp", texture(number + 1, 64, 64))
    found = trained_on(files(folders), folders / "source", folders / "manifest.csv")
    assert {file.name: path for file, path in found.items() if file.suffix == ".bmp"} == {
        "1.bmp": "train/1.bmp",
        "2.bmp": "train/2.bmp",
    }


def test_images_in_archives_are_compared_once_the_manifest_lists_them(folders):
    archive = shutil.make_archive(str(folders / "packed" / "train"), "tar", folders / "source" / "train")
    assert trained_on(files(folders), folders / "packed", folders / "manifest.csv") == {}
    write_table(scan(folders / "packed").images, folders / "manifest.csv")
    (found,) = trained_on(files(folders), folders / "packed", folders / "manifest.csv")
    assert found == folders / "set" / "b.png"
    shutil.move(archive, folders / "away.tar")
    assert trained_on(files(folders), folders / "packed", folders / "manifest.csv") == {}


def test_of_pairs_the_targets_are_compared(folders):
    for number in range(3):
        shutil.copyfile(folders / "set" / "a.png", folders / "source" / f"rainy-{number}.png")
        shutil.move(folders / "source" / "train" / "x" / f"{number}.png", folders / "source" / f"clean-{number}.png")
    pairs = ("rainy-*.png", "clean-*.png")
    found = trained_on(files(folders), folders / "source", folders / "manifest.csv", pairs)
    assert found == {folders / "set" / "b.png": "clean-1.png"}
