"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from ipt_models.files import replacing, target
from tests.helpers import raises_naming


def test_a_file_appears_when_the_block_ends_and_its_folder_with_it(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".csv"
        assert temporary.name.startswith(".")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("ha")
        raise OSError("full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("deep/table.csv")
    with replacing(tmp_path / "link.csv") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "deep" / "table.csv").read_text() == "new"


def test_folders_pipes_and_devices_are_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "link", Path("/dev/null")):
        with raises_naming(FileExistsError, path.resolve()), replacing(path):
            pass
    with raises_naming(NotADirectoryError, tmp_path / "file", tmp_path / "file" / "deep" / "table.csv"):
        target(tmp_path / "file" / "deep" / "table.csv")
    assert (tmp_path / "pipe").is_fifo()
