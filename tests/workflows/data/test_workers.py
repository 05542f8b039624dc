"""A worker that dies or meets a bad file gives one clear error, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from itertools import islice

import pytest

from tests.helpers import raises_naming
from workflows.data.batches import Batches

TASKS = ["sr2", "dn30"]


@pytest.mark.parametrize("long_ago", [False, True])
def test_a_killed_worker_gives_one_clear_error(folder, table, long_ago):
    """Also where batches that it had ready are still to be taken."""
    stream = Batches(table, folder, TASKS, 8, 4, seed=0, workers=2).iterate()
    next(stream)
    children = f"/proc/self/task/{os.getpid()}/children"
    if not os.path.exists(children):
        pytest.skip("children of a process are listed by Linux only")
    with open(children, encoding="utf-8") as listing:
        worker = int(listing.read().split()[-1])
    time.sleep(0.5 * long_ago)  # until it has batches ready
    os.kill(worker, signal.SIGKILL)
    while long_ago and alive(worker):
        time.sleep(0.01)
    with raises_naming(ChildProcessError, "worker 1", f"process {worker}", "SIGKILL", "data.workers", "data.cache_mb"):
        list(islice(stream, 200))


def test_workers_end_when_their_parent_is_killed(folder, table, tmp_path):
    table.to_csv(tmp_path / "table.csv")
    code = f"""
import multiprocessing, os, time, pandas
from workflows.data.batches import Batches
stream = Batches(pandas.read_csv({str(tmp_path / "table.csv")!r}), {str(folder)!r}, ["sr2"], 8, 4, 0, workers=2).iterate()
next(stream)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        for pid in workers:
            os.kill(pid, signal.SIGTERM)  # the parent's to answer
        parent.kill()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_bad_file_met_by_a_worker_is_named(tmp_path, folder, table):
    for name in table["path"]:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "05.png").write_bytes(b"no image")
    for workers in (0, 2):
        stream = Batches(table, tmp_path, ["sr2"], 8, 6, seed=0, workers=workers).iterate()
        with raises_naming(OSError, tmp_path / "05.png", "8 bytes"):
            # Slowly, so that the worker has ended before the last of its batches is taken.
            list(map(lambda _, pause=0.2 * (workers > 0): time.sleep(pause), islice(stream, 4)))
