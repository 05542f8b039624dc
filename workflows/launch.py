"""Starts a job on GPUs that it claims: `python -m workflows.launch --gpus 1 -- COMMAND`.

Snakemake's resource `gpu` limits how many jobs use GPUs at a time, but does not assign devices. Here a job claims its GPUs
with one lock file each, and COMMAND sees only these through CUDA_VISIBLE_DEVICES. A lock is released when its process ends,
however it ends. If RUNS_PER_GPU, which the workflow sets, is larger than one, several jobs share a GPU.

In a Slurm job, GPUs are claimed among those of the job, and `srun` starts a COMMAND of several processes, one per device.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from workflows.command_line import InputError, exit_status, fail, positive, whole

POLL_SECONDS = 0.5


class LaunchError(RuntimeError):
    """A job that cannot be started here; the message says why."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workflows.launch", description=__doc__)
    parser.add_argument("--gpus", type=whole, required=True, help="GPUs per node; 0: none")
    parser.add_argument("--processes", type=positive, default=1, help="processes per node (default 1)")
    parser.add_argument("--nodes", type=positive, default=1, help="nodes (default 1); several need a Slurm job")
    parser.add_argument("--cpus", type=positive, default=1, help="cores per process (default 1)")
    parser.add_argument("command", nargs="+", help="the job, after --")
    options = parser.parse_args()
    return exit_status(lambda: start(options))


def start(options: argparse.Namespace) -> int:
    """Become the job; returns only if that is not possible."""
    # Variables of the enclosing Slurm job, which srun would read as options and Fabric as its own ranks.
    inherited = {name for name in os.environ if name.startswith("SLURM_")} - {"SLURM_JOB_ID", "SLURM_CONF"}
    command, environment = options.command, {k: v for k, v in os.environ.items() if k not in inherited}
    try:
        if options.nodes * options.processes > 1 and "SLURM_JOB_ID" in os.environ:
            command = [*srun(options.nodes, options.processes, options.cpus), *command]
        elif options.nodes > 1:
            raise LaunchError(f"{options.nodes} nodes need Slurm: snakemake --profile workflows/profiles/slurm")
        elif options.gpus:
            _find(command[0])  # before waiting
            held = claim(visible_gpus(), options.gpus, runs_per_gpu())
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(held)
    except LaunchError as error:
        return fail(error)
    try:
        # exec replaces this process: signals reach the job itself, and the claims end with it.
        os.execve(_find(command[0]), command, environment)
    except OSError as error:
        raise InputError(f"{command[0]!r} cannot be started: {error.strerror}") from None


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise InputError(f"{program!r} is not a program that can be started here; the job follows after --")
    return found


def runs_per_gpu() -> int:
    """How many jobs share a GPU."""
    given = os.environ.get("RUNS_PER_GPU", "1")
    try:
        return positive(given)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"RUNS_PER_GPU: {error}") from None


def srun(nodes: int, processes: int, cpus: int) -> list[str]:
    """The command that starts `processes` processes per node of the Slurm job, so that Lightning Fabric finds its ranks."""
    return [
        *("srun", "--job-name=train", f"--nodes={nodes}", f"--ntasks={nodes * processes}"),
        *(f"--ntasks-per-node={processes}", f"--cpus-per-task={cpus}", "--kill-on-bad-exit=0"),
    ]


def visible_gpus() -> list[str]:
    """The GPUs that CUDA shows to this process, by UUID, or by number if UUIDs are not known."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = [name for part in named.split(",") if (name := part.strip()) not in ("", "-1")]
        # One GPU has one name, so that jobs which are given its number and its UUID do not both claim it.
        uuids = _uuids() if any(name.isdecimal() for name in names) else []
        return list(dict.fromkeys(uuids[int(n)] if n.isdecimal() and int(n) < len(uuids) else n for n in names))
    if shutil.which("nvidia-smi"):
        return _uuids(numbered=False)
    return sorted(
        match[1] for path in Path("/dev").glob("nvidia*") if (match := re.fullmatch(r"nvidia(\d+)", path.name))
    )


def _uuids(numbered: bool = True) -> list[str]:
    """UUIDs from nvidia-smi; none if they have to be in the order of CUDA's numbers, and that is not known."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ("nvidia-smi", "--query-gpu=uuid,name", "--format=csv,noheader")
    done = subprocess.run(query, capture_output=True, text=True)
    cards = [line.split(", ", 1) for line in done.stdout.splitlines()] if done.returncode == 0 else []
    # nvidia-smi lists by PCI bus. CUDA does for cards of one kind, and otherwise puts the fastest first unless told not to.
    by_bus = len({name for _, name in cards}) == 1 or os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return [uuid for uuid, _ in cards] if by_bus or not numbered else []


def claim(gpus: Sequence[str], count: int, runs_per_gpu: int = 1) -> list[str]:
    """Claim `count` different GPUs for this process and the command that replaces it, waiting until they are free.

    The least used come first. Claims hold among the jobs of one user on one machine; inside a Slurm job, among its own.

    Args:
        gpus: the GPUs to choose from.
        count: number of GPUs.
        runs_per_gpu: claims per GPU.

    Returns:
        Names of the GPUs, in the order of `gpus`.

    Raises:
        LaunchError: if there are fewer than `count`.
    """
    if count > len(gpus):
        seen = f"only {', '.join(gpus)}" if gpus else "none"
        raise LaunchError(
            f"needs {count} GPU{'s' * (count > 1)}, but CUDA shows {seen}; see training.accelerator, training.devices"
        )
    scope = f"slurm-{os.environ['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in os.environ else "machine"
    folder = Path(tempfile.gettempdir()) / f"ipt-benchmark-gpus-{os.getuid()}-{scope}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while True:
        with open(folder / "choosing", "w", encoding="utf-8") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            free = {gpu: [lock for slot in range(runs_per_gpu) if (lock := _lock(folder, gpu, slot))] for gpu in gpus}
            least_used = sorted((gpu for gpu in gpus if free[gpu]), key=lambda gpu: -len(free[gpu]))
            chosen = least_used[:count] if len(least_used) >= count else []
            for gpu, locks in free.items():
                for lock in locks[1:] if gpu in chosen else locks:
                    os.close(lock)
        if chosen:
            for gpu in chosen:
                os.set_inheritable(free[gpu][0], True)
            return [gpu for gpu in gpus if gpu in chosen]
        if not waiting:
            print(f"waiting for {count} of {len(gpus)} GPUs: other jobs hold them", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL_SECONDS)


def _lock(folder: Path, gpu: str, slot: int) -> int | None:
    """An open, locked file, or None if another process holds it."""
    file = os.open(folder / f"{re.sub('[^A-Za-z0-9_-]', '_', gpu)}.{slot}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


if __name__ == "__main__":
    sys.exit(main())
