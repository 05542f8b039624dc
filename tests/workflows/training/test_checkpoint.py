"""A checkpoint is whole or absent, and never runs code."""

import errno
import hashlib
import io
import os
import pickle
import resource

import pytest
import torch

from tests.helpers import assert_names, raises_naming
from workflows.training import checkpoint
from workflows.training.checkpoint import CheckpointError, load_latest, save

STATE = {"digest": "d", "model": {"w": torch.arange(3.0)}}


def steps(folder):
    return sorted(int(path.name.split("-")[1]) for path in folder.iterdir())


def put(folder, step, content):
    """A file under a checkpoint's name."""
    path = folder / f"step-{step:09d}-{hashlib.sha256(content).hexdigest()[: checkpoint.HASH_DIGITS]}.pt"
    path.write_bytes(content)
    return path


def test_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    for step in (1, 2, 10):
        save(tmp_path, step, STATE)
    assert steps(tmp_path) == [2, 10]
    state = load_latest(tmp_path, "d")
    assert state["step"] == 10
    assert torch.equal(state["model"]["w"], STATE["model"]["w"])


def test_no_checkpoint_is_none(tmp_path):
    assert load_latest(tmp_path / "nothing", "d") is None


def test_truncated_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, capsys):
    save(tmp_path, 1, STATE)
    path = save(tmp_path, 2, STATE)
    os.truncate(path, path.stat().st_size // 2)
    assert load_latest(tmp_path, "d")["step"] == 1
    assert path.name in capsys.readouterr().out


@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_one_flipped_bit_is_noticed_and_the_checkpoint_before_is_used(where, tmp_path, capsys):
    """torch.load itself takes nearly every flipped bit without a word; `make prove-faults` flips hundreds."""
    save(tmp_path, 1, STATE)
    path = save(tmp_path, 2, STATE)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)
    assert load_latest(tmp_path, "d")["step"] == 1
    assert_names(capsys.readouterr().out, path.name)
    save(tmp_path, 2, STATE)
    assert load_latest(tmp_path, "d")["step"] == 2
    assert steps(tmp_path) == [1, 2]


def test_damaged_checkpoint_does_not_take_the_place_of_a_good_one(tmp_path):
    for step in (4, 8):
        path = save(tmp_path, step, STATE)
    os.truncate(path, 10)
    save(tmp_path, 6, STATE)
    assert steps(tmp_path) == [4, 6]


def test_only_unreadable_checkpoints_are_an_error_that_names_them(tmp_path):
    written = io.BytesIO()
    torch.save({"weights": 1}, written)
    paths = [put(tmp_path, 1, b"no checkpoint"), put(tmp_path, 2, written.getvalue())]
    with raises_naming(CheckpointError, *(path.name for path in paths)):
        load_latest(tmp_path, "d")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harmed"),))

    put(tmp_path, 1, pickle.dumps(Harmful()))
    with pytest.raises(CheckpointError):
        load_latest(tmp_path, "d")
    assert not (tmp_path / "harmed").exists()


def test_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    save(tmp_path, 1, STATE)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with raises_naming(CheckpointError, "step 2", "No space left on device", tmp_path):
        save(tmp_path, 2, STATE)
    assert steps(tmp_path) == [1]
    assert load_latest(tmp_path, "d")["step"] == 1


def test_short_write_reports_its_cause_and_not_torchs_error(tmp_path):
    """A real one: files may not grow beyond half of a checkpoint. torch alone says "unexpected pos"."""
    size, limits = save(tmp_path, 1, STATE).stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
    try:
        with raises_naming(CheckpointError, "step 2", os.strerror(errno.EFBIG)):
            save(tmp_path, 2, STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert steps(tmp_path) == [1]


def test_what_a_process_left_that_was_killed_while_it_wrote_is_removed_and_never_read(tmp_path):
    save(tmp_path, 1, STATE)
    (tmp_path / ".step-000000002.4711").write_bytes(b"half a checkpoint")
    assert load_latest(tmp_path, "d")["step"] == 1
    save(tmp_path, 3, STATE)
    assert steps(tmp_path) == [1, 3]
    assert len(list(tmp_path.iterdir())) == 2


def test_checkpoint_of_another_version_of_the_program_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    path = save(tmp_path, 1, STATE)
    monkeypatch.undo()
    with raises_naming(CheckpointError, path.name, 1, checkpoint.FORMAT):
        load_latest(tmp_path, "d")
