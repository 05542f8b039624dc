"""`make prove-slurm`: the workflow on a real Slurm, which is started on this machine for it and stopped again.

Two nodes are simulated by two slurmd. Through `snakemake --profile workflows/profiles/slurm` four networks are trained and
scored: one in two processes on a node, one in one process on each of two nodes, one that is sent SIGUSR1 on its way, as
Slurm does before a job's time is over, and one that a job of a higher priority drives out. What is printed at the end was
read from Slurm's records and the runs' files. Needs root and, where Slurm is not installed, apt-get.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "workflows" / "profiles" / "slurm"
ETC = Path("/etc/slurm")
MARK = "# Written by make prove-slurm, which removes it."
DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("node1", "node2")
STEPS = 200
LONGER = 600  # of the training that is interrupted twice
LIMIT = 400  # seconds, on a machine that does other work

EXPERIMENT = {
    "name": "prove-slurm",
    "data": {"count": 24, "size": 96, "validation": 2},
    "models": [
        {"name": "signalled", "variant": "ipt_tiny", "training": {"budget": {"steps": LONGER}}},
        {"name": "preempted", "variant": "ipt_tiny", "kwargs": {"depth": 1}},
        {"name": "two-processes", "variant": "edsr_tiny", "kwargs": {"num_block": 2}, "training": {"devices": 2}},
        {"name": "two-nodes", "variant": "edsr_tiny", "kwargs": {"num_block": 3}, "training": {"num_nodes": 2}},
    ],
    "training": {
        "budget": {"steps": STEPS},
        **{"batch_size": 4, "patch_size": 24, "learning_rate": 0.001, "accelerator": "cpu"},
        **{"memory_mb": 1000, "runtime_minutes": 10, "log_every": 10},
    },
    "evaluation": {"sets": ["photos@1"], "accelerator": "cpu", "memory_mb": 1000},
}


class Unproved(Exception):
    """An expected event that did not happen."""


def main() -> int:
    argparse.ArgumentParser(prog="python -m tests.proofs.slurm", description=__doc__).parse_args()
    if reason := why_not():
        print(f"prove-slurm: skipped: {reason}")
        return 0
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    stop_leftovers()
    install()
    folder = Path(tempfile.mkdtemp(prefix="prove-slurm-"))
    try:
        with cluster(folder):
            prove(folder)
    except Unproved as error:
        print(f"prove-slurm: NOT proved: {error}\nEverything that was written is in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print(f"prove-slurm: proved in {time.monotonic() - begun:.0f} s; what was started is stopped")
    return 0


def why_not() -> str:
    """Why this machine cannot hold the proof, or nothing."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs root on Linux, to start Slurm's daemons"
    if not installed() and not shutil.which("apt-get"):
        return "Slurm is not installed and there is no apt-get to install it"
    if (ETC / "slurm.conf").exists() and MARK not in (ETC / "slurm.conf").read_text():
        return f"{ETC}/slurm.conf belongs to another Slurm on this machine, which is left alone"
    return ""


def installed() -> bool:
    return all(map(shutil.which, (*DAEMONS, "sbatch", "srun")))


def install() -> None:
    if installed():
        return
    print("Installing slurm-wlm and munge", flush=True)
    apt = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300")
    for command in (["update"], ["install", "--no-install-recommends", "slurm-wlm", "munge"]):
        done = run(*apt, *command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode:
            raise SystemExit(f"apt-get {command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Slurm on this machine while the block runs: two nodes, a partition `batch`, and `urgent`, which preempts it."""
    host = socket.gethostname().split(".")[0]
    settings = {
        "ClusterName": "prove",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": 16817,
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": "cred_expire=5",  # also how long a job that is put back into the queue waits there
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool-%n",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd-%n.pid",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU_Memory",
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "SlurmdParameters": "config_overrides",  # more cores than there are
        "MpiDefault": "none",
        "KillWait": 20,
        "MinJobAge": 3600,
    }
    nodes = f"NodeName={','.join(NODES)} NodeHostname={host} NodeAddr=127.0.0.1 Port=16818,16819 CPUs=8 RealMemory=8000"
    partitions = ["PartitionName=batch Nodes=ALL Default=YES PriorityTier=1"]
    partitions += ["PartitionName=urgent Nodes=ALL PriorityTier=10"]
    lines = [MARK, *(f"{key}={value}" for key, value in settings.items()), nodes, *partitions]
    (folder / "state").mkdir()
    ETC.mkdir(exist_ok=True)
    (ETC / "slurm.conf").write_text("\n".join(lines) + "\n")
    running: list[subprocess.Popen] = []

    def start(*command: str, **options) -> None:
        log = open(folder / f"{'-'.join(command).replace('/', '_')}.log", "w", encoding="utf-8")  # noqa: SIM115
        running.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options))
        (folder / "pids").write_text("\n".join(str(process.pid) for process in running))

    try:
        if run("sh", "-c", "munge -n | unmunge").returncode:
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            start("munged", "--foreground", "--force", user="munge", group="munge", extra_groups=[])
            wait(lambda: run("sh", "-c", "munge -n | unmunge").returncode == 0, 10, "munged answers")
        start("slurmctld", "-D", "-c")
        wait(lambda: run("scontrol", "ping").stdout.count(" is UP"), 10, "slurmctld answers")
        for node in NODES:
            start("slurmd", "-D", "-N", node)
        wait(
            lambda: run("sinfo", "-h", "-N", "-p", "batch", "-o", "%t").stdout.split() == ["idle"] * 2,
            20,
            "2 idle nodes",
        )
        version = run("sinfo", "--version").stdout.strip()
        print(f"{version} on {host}: slurmctld and {len(NODES)} nodes are up", flush=True)
        yield
    finally:
        run("scancel", "--user=root", "--quiet")
        with contextlib.suppress(Unproved):
            wait(lambda: not run("squeue", "-h").stdout, 25, "no job left")
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        # Without control groups Slurm loses sight of a process whose parent it has ended.
        for directory in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if directory.resolve().is_relative_to(folder):
                    os.kill(int(directory.parent.name), signal.SIGKILL)
        (ETC / "slurm.conf").unlink()


def stop_leftovers() -> None:
    """End the daemons of a proof that was killed."""
    conf = ETC / "slurm.conf"
    found = re.search(r"^StateSaveLocation=(.*)/state$", conf.read_text(), re.M) if conf.exists() else None
    pids = Path(found[1]) / "pids" if found else None
    if pids is None or not pids.exists():
        return
    for pid in map(int, pids.read_text().split()):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            if name in DAEMONS:
                print(f"Ending {name} ({pid}), which an earlier proof left", flush=True)
                os.kill(pid, signal.SIGTERM)
                wait(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 20, f"{pid} ends")
    shutil.rmtree(pids.parent)


def wait(happened: Callable[[], object], seconds: float, what: str, alive: Callable[[], bool] = lambda: True) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline or not alive():
            raise Unproved(f"within {seconds:g} s: {what}")
        time.sleep(0.2)


def prove(folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    (work / "config.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    results = work / "results" / EXPERIMENT["name"]
    call = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", work]
    call += ["--configfile", work / "config.yaml"]
    # Without Slurm's data base of past jobs, and with shorter pauses than on a cluster.
    brisk = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
    brisk += ["--slurm-keep-successful-logs", "--slurm-no-account"]

    done = run(*call, "--cores", "2", "--until", "fraction")
    if done.returncode:
        raise Unproved(f"the data stage failed:\n{done.stdout}{done.stderr}")
    output = folder / "snakemake.log"
    # The simulated nodes' names lead nowhere; processes of both find each other on this machine.
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    with open(output, "w", encoding="utf-8") as log:
        command = [*call, "--profile", PROFILE, *brisk, (results / "results.csv").relative_to(work)]
        options = {"stdout": log, "stderr": log, "start_new_session": True, "env": environment}
        snakemake = subprocess.Popen(list(map(str, command)), **options)
    try:
        interrupt(results, lambda: snakemake.poll() is None)
        if snakemake.wait(LIMIT):
            raise Unproved(f"snakemake ended with {snakemake.returncode}; see {output}")
    except subprocess.TimeoutExpired:
        raise Unproved(f"snakemake did not end within {LIMIT} s; see {output}") from None
    finally:
        if snakemake.poll() is None:
            os.killpg(snakemake.pid, signal.SIGKILL)
            snakemake.wait()
    show(results, output.read_text(encoding="utf-8"))


def interrupt(results: Path, alive: Callable[[], bool]) -> None:
    """Drive all that runs out with a job of a higher priority; then send one training, which is back, SIGUSR1."""
    both = ("preempted", "signalled")
    wait(lambda: all(step(results, model) > 10 for model in both), LIMIT, "two trainings are on their way", alive)
    before = step(results, "signalled")
    told = run("sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    print(
        f"Job {told.stdout.strip()}, urgent, takes both nodes; `preempted` is at step {step(results, 'preempted')}",
        flush=True,
    )

    def is_back() -> bool:
        return int(job_of("signalled")["Restarts"]) > 0 and before + 20 < step(results, "signalled") < LONGER

    wait(is_back, LIMIT, "the training to be signalled is back", alive)
    job = job_of("signalled")["JobId"]
    run("scancel", "--signal=USR1", job)
    print(
        f"Job {job}: `signalled`, which is back and at step {step(results, 'signalled')}, is sent SIGUSR1", flush=True
    )


def step(results: Path, model: str) -> int:
    """How far a training is, by the percentages in its log."""
    percent = re.findall(r"(\d+)%  L1", train_log(results, model))
    return (LONGER if model == "signalled" else STEPS) * int(percent[-1]) // 100 if percent else 0


def train_log(results: Path, model: str) -> str:
    """What the last try of a training printed."""
    log = results / "logs" / "train" / f"{model}-100-seed-0.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


def job_of(model: str) -> dict[str, str]:
    """The last job that trains a model."""
    return [job for job in jobs() if job["Comment"] == f"rule_train_wildcards_{model}-100-seed-0"][-1]


def jobs() -> list[dict[str, str]]:
    """Slurm's records of the workflow's jobs, the oldest first."""
    lines = run("scontrol", "show", "job", "-o").stdout.splitlines()
    found = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
    return [{"Comment": "", **job} for job in found]


def show(results: Path, output: str) -> None:
    """Print what Slurm and the runs' files tell, and check it."""
    print("\nSlurm's jobs:")
    of_run: dict[str, list[dict[str, str]]] = {}
    for job in jobs():
        rule = job["Comment"].removeprefix("rule_").replace("_wildcards_", " ")
        facts = [f"{name}={job[name]}" for name in ("JobState", "ExitCode", "Restarts", "NumNodes", "NumTasks")]
        print(f"  {job['JobId']:>4} {rule:36} {' '.join(facts)}")
        if rule.startswith("train "):
            of_run.setdefault(rule.removeprefix("train "), []).append(job)
    print()
    for model in (model["name"] for model in EXPERIMENT["models"]):
        name = f"{model}-100-seed-0"
        tried, folder = of_run[name], results / "runs" / name
        steps = pd.read_csv(folder / "train.csv")["step"].iloc[-1]
        check(
            steps == (LONGER if model == "signalled" else STEPS), f"{name} is complete: train.csv ends at step {steps}"
        )
        check(tried[-1]["JobState"] == "COMPLETED", f"{name}: job {tried[-1]['JobId']} completed")
        check((folder / "metrics.csv").is_file(), f"{name} is scored")
    saved = re.search(r"signalled-100-seed-0.* saved after step ([\d,]+) on SIGUSR1", output)
    check(saved, "signalled: saved on SIGUSR1")
    first, *_, last = of_run["signalled-100-seed-0"]
    check(
        first["ExitCode"] != "0:0" and first["JobId"] != last["JobId"],
        f"its job ended, Snakemake sent job {last['JobId']}",
    )
    went_on("signalled", train_log(results, "signalled"))
    (again,) = of_run["preempted-100-seed-0"][-1:]
    check(int(again["Restarts"]) > 0, f"preempted: Slurm put job {again['JobId']} back into the queue")
    went_on("preempted", train_log(results, "preempted"))
    for model, nodes, devices in (("two-processes", 1, 2), ("two-nodes", 2, 1)):
        job = of_run[f"{model}-100-seed-0"][-1]
        check((job["NumNodes"], job["NumTasks"]) == (str(nodes), "2"), f"{model}: {nodes} node(s), 2 tasks by Slurm")
        record = json.loads((results / "runs" / f"{model}-100-seed-0" / "provenance.json").read_text())
        parts = record["training"]["computed_on"]
        check(
            {(part["num_nodes"], part["devices"]) for part in parts} == {(nodes, devices)},
            f"{model}: trained on {nodes} node(s) with {devices} process(es) each",
        )
    rows = pd.read_csv(results / "results.csv")
    check(
        rows["model"].nunique() == len(EXPERIMENT["models"]) + 1, f"results.csv holds {sorted(rows['model'].unique())}"
    )


def went_on(model: str, log: str) -> None:
    resumed = re.search(r"resumed after step ([\d,]+)", log)
    check(resumed, f"{model}: {resumed[0] if resumed else 'did not resume from its checkpoint'}")
    check(int(resumed[1].replace(",", "")) > 0, f"{model} did not start again from the beginning")


def check(holds: object, what: str) -> None:
    if not holds:
        raise Unproved(what)
    print(f"  ok  {what}")


if __name__ == "__main__":
    sys.exit(main())
