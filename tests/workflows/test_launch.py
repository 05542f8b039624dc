"""Jobs get GPUs of their own, also when they are killed, and ranks in a Slurm job. Needs no GPU: the names are given."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers import assert_names
from workflows import launch

ROOT = Path(__file__).parents[2]
SHOW = ("sh", "-c", "echo $CUDA_VISIBLE_DEVICES")


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Two GPUs, and lock files of this test alone."""
    for name in ("SLURM_JOB_ID", "RUNS_PER_GPU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return monkeypatch


def started(*command: str, gpus: int = 1, options: tuple[str, ...] = ()) -> subprocess.Popen:
    call = (sys.executable, "-m", "workflows.launch", "--gpus", str(gpus), *options, "--", *command)
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def held(process: subprocess.Popen) -> str:
    """What the job sees, once it runs."""
    return process.stdout.readline().strip()


@pytest.fixture
def holding(environment):
    """Start jobs that hold their GPUs until the test ends."""
    processes = []

    def start(gpus: int = 1) -> subprocess.Popen:
        processes.append(started("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 60", gpus=gpus))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_each_job_gets_a_gpu_of_its_own(holding):
    assert {held(holding()), held(holding())} == {"GPU-a", "GPU-b"}


def test_job_waits_for_a_gpu_and_gets_that_of_one_that_was_killed(holding):
    first, second = holding(), holding()
    freed = held(first)
    assert held(second) != freed
    third = started(*SHOW)
    assert_names(third.stderr.readline(), "1 of 2")
    first.send_signal(signal.SIGKILL)
    assert third.communicate(timeout=30)[0].strip() == freed


def test_gpus_shared_by_two_jobs_each_are_filled_evenly(holding, environment):
    environment.setenv("RUNS_PER_GPU", "2")
    seen = []
    for _ in range(4):
        seen.append(held(holding()))
        assert max(Counter(seen).values()) - min(Counter(seen)[gpu] for gpu in ("GPU-a", "GPU-b")) <= 1
    assert Counter(seen) == {"GPU-a": 2, "GPU-b": 2}


def test_job_of_two_gpus_gets_two_different_ones_even_where_they_are_shared(holding, environment):
    environment.setenv("RUNS_PER_GPU", "2")
    assert held(holding(gpus=2)) == "GPU-a,GPU-b"
    assert held(holding(gpus=2)) == "GPU-a,GPU-b"


def test_crowd_never_oversubscribes(environment, tmp_path):
    job = f"mkdir {tmp_path}/$CUDA_VISIBLE_DEVICES && sleep 0.05 && rmdir {tmp_path}/$CUDA_VISIBLE_DEVICES"
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: started("sh", "-c", job).wait(timeout=60), range(12)))
    assert done == [0] * 12  # mkdir fails where another job has the GPU


def test_too_few_gpus_are_reported_before_the_job_starts(environment):
    process = started("true", gpus=3)
    assert_names(process.communicate()[1], 3, "GPU-a, GPU-b")
    assert process.returncode == 1
    environment.setenv("CUDA_VISIBLE_DEVICES", "")
    process = started("true")
    assert_names(process.communicate()[1], 1, "CUDA")
    assert process.returncode == 1


def test_bad_arguments_are_refused_before_anything_waits(environment):
    for options in (["--gpus", "-1"], ["--processes", "0"], ["--nodes", "0"], ["--cpus", "0"], ["--gpus", "one"]):
        process = started("true", gpus=0, options=tuple(options))
        assert_names(process.communicate(timeout=30)[1], *options)
        assert process.returncode == 2
    environment.setenv("RUNS_PER_GPU", "many")
    process = started("true")
    assert_names(process.communicate(timeout=30)[1], "error", "RUNS_PER_GPU", "'many'")
    assert process.returncode == 2


def test_a_program_that_is_not_there_is_named(holding, environment, tmp_path):
    holding(gpus=2).stdout.readline()
    for gpus in (0, 1):
        process = started("nosuchcmd", gpus=gpus)
        printed = process.communicate(timeout=30)[1]
        assert_names(printed, "error", "'nosuchcmd'")
        assert printed.count("\n") == 1, "no traceback, and no waiting for a GPU"
        assert process.returncode == 2
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    process = started(str(broken), gpus=0)
    assert_names(process.communicate(timeout=30)[1], "error", f"'{broken}'")
    assert process.returncode == 2


def test_an_interrupted_wait_says_so(holding):
    holding(gpus=2).stdout.readline()
    waiting = started("true")
    waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    assert waiting.communicate(timeout=30)[1] == "interrupted\n"
    assert waiting.returncode == 130


def test_job_without_gpu_is_started_as_it_is(environment):
    assert held(started(*SHOW, gpus=0)) == "GPU-a,GPU-b"


def test_signal_and_status_are_the_jobs_own(environment):
    job = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); print(flush=True); time.sleep(60)"
    process = started(sys.executable, "-c", job)
    held(process)
    process.terminate()
    assert process.wait(timeout=30) == 75


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A stand-in that lists these cards."""

    def lists(*cards: str) -> None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!{shutil.which('sh')}\n" + "".join(f"echo '{card}'\n" for card in cards))
        tool.chmod(0o755)

    lists()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return lists


def test_gpus_are_found_as_cuda_shows_them(nvidia_smi, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 0")
    assert launch.visible_gpus() == ["2", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,0")
    assert launch.visible_gpus() == ["0", "1"], "one GPU is claimed once"
    nvidia_smi("GPU-1, fast card", "GPU-2, slow card")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert launch.visible_gpus() == ["GPU-1", "GPU-2"]


def test_a_number_and_a_uuid_of_one_gpu_are_one_name(nvidia_smi, monkeypatch):
    nvidia_smi("GPU-1, card", "GPU-2, card")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, GPU-2, 0, MIG-3, 7")
    assert launch.visible_gpus() == ["GPU-2", "GPU-1", "MIG-3", "7"]
    nvidia_smi("GPU-1, slow card", "GPU-2, fast card")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert launch.visible_gpus() == ["0"], "the fastest card, which nvidia-smi does not tell"
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert launch.visible_gpus() == ["GPU-1"]


def test_jobs_that_know_a_gpu_by_number_and_by_uuid_wait_for_each_other(holding, environment, nvidia_smi):
    nvidia_smi("GPU-1, card")
    environment.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert held(holding()) == "GPU-1"
    environment.delenv("CUDA_VISIBLE_DEVICES")
    assert_names(holding().stderr.readline(), "1 of 1")


def test_slurm_job_of_several_processes_starts_them_with_srun(environment, tmp_path):
    tool = tmp_path / "srun"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)
    environment.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    environment.setenv("SLURM_JOB_ID", "7")
    said = held(started("train", gpus=2, options=("--processes", "2", "--nodes", "3", "--cpus", "4")))
    for part in ("--nodes=3", "--ntasks=6", "--ntasks-per-node=2", "--cpus-per-task=4"):
        assert part in said.split()
    assert said.endswith(" train")


def test_job_of_one_process_does_not_take_itself_for_a_rank_of_the_slurm_job_around_it(environment):
    environment.setenv("SLURM_JOB_ID", "7")
    environment.setenv("SLURM_NTASKS", "4")
    assert held(started("sh", "-c", "echo ${SLURM_NTASKS:-none}")) == "none"


def test_several_nodes_without_slurm_are_refused(environment):
    process = started("true", gpus=0, options=("--nodes", "2"))
    assert_names(process.communicate()[1], 2, "Slurm")
    assert process.returncode == 1


def test_claims_of_two_slurm_jobs_do_not_meet(environment, tmp_path):
    """Slurm gave each job a GPU, which each of them sees as number 0."""
    environment.setenv("CUDA_VISIBLE_DEVICES", "0")
    running = []
    for job in ("7", "8"):
        environment.setenv("SLURM_JOB_ID", job)
        running.append(started("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 60"))
    assert [held(process) for process in running] == ["0", "0"]
    for process in running:
        process.kill()
        process.communicate()
