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


def test_a_copy_under_another_name_is_found_before_and_after_the_manifest_is_made(folders):
    expected = {folders / "set" / "b.png": "train/x/1.png"}
    assert trained_on(files(folders), folders / "source", folders / "manifest.csv") == expected
    write_table(scan(folders / "source").images, folders / "manifest.csv")
    assert trained_on(files(folders), folders / "source", folders / "manifest.csv") == expected


def test_an_image_of_equal_size_and_other_content_is_not_taken_for_a_copy(folders):
    copy = folders / "set" / "b.png"
    data = bytearray(copy.read_bytes())
    data[-20] ^= 1
    copy.write_bytes(data)
    assert trained_on(files(folders), folders / "source", folders / "manifest.csv") == {}


def test_images_in_archives_are_compared_once_the_manifest_lists_them(folders):
    shutil.make_archive(str(folders / "packed" / "train"), "tar", folders / "source" / "train")
    write_table(scan(folders / "packed").images, folders / "manifest.csv")
    (found,) = trained_on(files(folders), folders / "packed", folders / "manifest.csv")
    assert found == folders / "set" / "b.png"


def test_of_pairs_the_targets_are_compared(folders):
    for number in range(3):
        shutil.copyfile(folders / "set" / "a.png", folders / "source" / f"rainy-{number}.png")
        shutil.move(folders / "source" / "train" / "x" / f"{number}.png", folders / "source" / f"clean-{number}.png")
    pairs = ("rainy-*.png", "clean-*.png")
    found = trained_on(files(folders), folders / "source", folders / "manifest.csv", pairs)
    assert found == {folders / "set" / "b.png": "clean-1.png"}
