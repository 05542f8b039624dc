"""Two trainings never share a folder, and a lock never outlives its process."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import raises_naming
from workflows.training.lock import FolderLocked, locked

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from workflows.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_second_process_is_refused_and_learns_who_holds_the_folder_where(holder, tmp_path):
    named = (tmp_path, f"process {holder.pid}", socket.gethostname(), f"`kill {holder.pid}`")
    with raises_naming(FolderLocked, *named), locked(tmp_path):
        pass
    assert holder.poll() is None


def test_lock_ends_with_a_process_that_is_killed_hard(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir()), "a released lock leaves nothing"


def test_other_processes_of_one_run_share_the_lock(holder, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()), "and do not release it"
