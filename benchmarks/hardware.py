"""Time, memory and hardware of a measurement, and tables of measurements as text and CSV."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import trange

from ipt_models.files import replacing
from workflows import provenance

# On a shared machine, processor time equals the wall time of an idle one, but only with one thread, because waiting threads
# spin.
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def duration(work: Callable[[], object], device: torch.device | str = "cpu") -> dict[str, float]:
    """Seconds of one call by each of `CLOCKS`, including the device's work."""

    def now() -> dict[str, float]:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        return {name: clock() for name, clock in CLOCKS.items()}

    started = now()
    work()
    ended = now()
    return {name: ended[name] - started[name] for name in CLOCKS}


def alternate(
    works: Sequence[Callable[[], object]],
    rounds: int,
    device: torch.device | str = "cpu",
    warm_up: int = 1,
    label: str | None = None,
) -> list[pd.DataFrame]:
    """The times of works that take turns, so that noise affects all alike.

    Args:
        works: each is called once a round.
        rounds: those that count.
        device: where they compute.
        warm_up: rounds before them: caches, compilation, the optimizer's state.
        label: of the progress bar.

    Returns:
        A table for each work: one row a round, seconds by each of `CLOCKS`.
    """
    times: list[list[dict[str, float]]] = [[] for _ in works]
    for _ in trange(warm_up + rounds, desc=label, unit="round", leave=False):
        for work, taken in zip(works, times, strict=True):
            taken.append(duration(work, device))
    return [pd.DataFrame(taken[warm_up:]) for taken in times]


def facts(threads: int, device: str = "cpu") -> dict[str, Any]:
    """Columns of every measurement."""
    hardware = provenance.hardware()
    return {
        "processor": hardware["processor"],
        "cpu_capability": hardware["cpu_capability"],
        "cores": hardware["cores"],
        "threads": threads,
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
        "torch": torch.__version__,
        "commit": provenance.commit()["commit"],
    }


def report(rows: Sequence[dict[str, Any]], out: Path, threads: int, device: str = "cpu", append: bool = False) -> None:
    """Print the rows and write them to a CSV file, with hardware, threads and versions in further columns.

    With `append` the file's rows are kept.
    """
    table = pd.DataFrame(rows)
    beside = facts(threads, device)
    print(", ".join(f"{name} {value}" for name, value in beside.items() if value != ""))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="-"))
    table = table.assign(**beside)
    if append and out.exists():
        table = pd.concat([pd.read_csv(out), table])
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    print(f"written to {out}")


def peak_memory() -> float:
    """Largest resident size of this process since `reset_peak_memory`, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def reset_peak_memory() -> float:
    """Reset the peak, and return the present size of the process, in bytes (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak_memory()


# Return freed memory to the system at once, so that a process's size is the memory in use.
EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0"}


def in_new_process(measure: Callable[..., Any], *arguments: Any) -> Any:
    """Call a module's function in a fresh process with exact memory; returns its result."""
    os.environ |= EXACT_MEMORY  # for the new process, whose C library reads it at its start
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)
