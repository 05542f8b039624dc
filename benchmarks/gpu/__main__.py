"""Checks that numbers are right, repeatable and fast on this machine's GPU: `python -m benchmarks.gpu`, or `make prove-gpu`.

Each check writes lines of ok, failed or not applicable, with a number and its bound. They are also written to a CSV and a
JSON file with card, driver, versions and commit. Checks that passed on the same card with the same code are not repeated, so
the same call continues one that ran out of time. Exit status: 0, 1 if a check failed, 2 if the command cannot start. Needs
neither Snakemake nor a download.
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.computer import Computer, WorkerError
from benchmarks.gpu.record import Record
from benchmarks.gpu.registry import CHECKS, FAILED, NOT_APPLICABLE, OK
from ipt_models.suggestions import nearest

HANGS, LEAST = 6, 300  # a check is stopped after this multiple of its estimate, but not before this many seconds


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these checks")
    parser.add_argument("--minutes", type=float, help="stop in time; what does not fit is left for the next call")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu: tiny sizes, to test this command"
    )
    parser.add_argument("--again", action="store_true", help="repeat checks that have passed already")
    parser.add_argument("--list", action="store_true", help="list the checks and exit")
    parser.add_argument("--out", type=Path, help="CSV (default: benchmarks/measured/gpu.csv, on a CPU gpu-cpu.csv)")
    options = parser.parse_args(arguments)
    if options.minutes is not None and not options.minutes > 0:
        parser.error(f"--minutes {options.minutes:g}: expected a number above 0")
    for name in options.only or ():
        if name not in CHECKS:
            parser.error(f"--only {name}: no such check{nearest(name, CHECKS)}; allowed: {', '.join(CHECKS)}")
    if options.list:
        for check in CHECKS.values():
            print(f"{check.name:20} {check.seconds:4.0f} s  {check.about}")
        return 0
    out = options.out or Path("benchmarks/measured") / ("gpu.csv" if options.device == "cuda" else "gpu-cpu.csv")
    names = [name for name in CHECKS if name in (options.only or CHECKS)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the worker ends too
    try:
        return prove(names, options.device, options.minutes, Record(out), options.again)
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def prove(names: list[str], device: str, minutes: float | None, record: Record, again: bool) -> int:
    """Run checks until they are done or the time is up; returns the exit status.

    Raises:
        WorkerError: if the device cannot be used.
    """
    until = time.time() + 60 * minutes if minutes else float("inf")
    record.path.parent.mkdir(parents=True, exist_ok=True)
    left_out = []
    with Computer(device, record.path.with_suffix(".log")) as computer:
        facts = computer.start()
        print(", ".join(f"{key} {value}" for key, value in facts.items() if value is not None), flush=True)
        finished = record.resume(facts)
        for name in names:
            if name in finished and not again:
                print(f"kept: {name}")
                continue
            estimate = CHECKS[name].seconds if device == "cuda" else 1
            if time.time() + estimate > until:
                left_out.append(name)
                continue
            begun = time.time()
            limit = begun + max(LEAST, HANGS * estimate)
            lines = computer.run(name, min(until, limit), lambda line, name=name: show(name, line))
            if time.time() >= until:
                left_out.append(name)  # stopped before its end
            else:
                record.add(name, lines, time.time() - begun)
    lines = [line for name in names for line in record.checks.get(name, {"lines": []})["lines"]]
    count = {state: sum(line["state"] == state for line in lines) for state in (OK, FAILED, NOT_APPLICABLE)}
    print(", ".join(f"{number} {state}" for state, number in count.items()) + f"; written to {record.path}")
    if left_out:
        print(f"out of time for {', '.join(left_out)}; rerun the same command to continue")
    return int(count[FAILED] > 0)


def show(check: str, line: dict[str, Any]) -> None:
    value = "" if line["value"] is None else f"{line['value']:.4g} {line['unit']}".rstrip()
    bound = "" if line["bound"] is None else f" ({line['sense']} {line['bound']:g})"
    note = f"  {line['note']}" if line["note"] else ""
    print(f"{line['state']:14} {check}: {line['subject']}: {value}{bound}{note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
