"""Cost and scores of the demo: `python -m benchmarks.demo`, on an idle machine.

Runs the default experiment from scratch in a new folder and prints wall time, core-seconds by stage (imports included),
and each network's gain over bicubic at 100 % of the data.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from workflows import provenance
from workflows.command_line import InputError, exit_status


def run(folder: Path, cores: int) -> dict[str, float]:
    """Run the demo in `folder`; wall seconds and core-seconds of the whole process tree."""
    files = ("--snakefile", provenance.ROOT / "Snakefile", "--configfile", provenance.ROOT / "config/demo.yaml")
    command = (sys.executable, "-m", "snakemake", *files, "--directory", folder, "--cores", cores)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(word) for word in command], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": time.perf_counter() - started, "core_seconds": spent}


def by_stage(results: Path) -> pd.Series:
    """Core-seconds of each stage's jobs: trainings count their own, Snakemake samples the others.

    Sampling misses the ends of processes; that time is listed with Snakemake's own.
    """
    rows = []
    for path in sorted((results / "benchmarks").glob("*/*.tsv")):
        rows.append({"stage": path.parent.name, "core_seconds": pd.read_csv(path, sep="\t")["cpu_time"].sum()})
    seconds = pd.DataFrame(rows).groupby("stage")["core_seconds"].sum()
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("runs/*/provenance.json"))]
    seconds["train"] = sum(record["training"]["cpu_seconds"] for record in records)
    return seconds


def gains(results: Path) -> pd.Series:
    """Each model's mean PSNR-Y at the largest fraction minus bicubic's, in dB."""
    table = pd.read_csv(results / "results.csv")
    mean = (
        table[(table.fraction == table.fraction.max()) | table.fraction.isna()]
        .groupby("model", sort=False)
        .psnr_y.mean()
    )
    return (mean - mean["bicubic"]).drop("bicubic")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="an empty folder to run in; it holds results/demo afterwards")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        raise InputError(f"{arguments.folder} is not empty: the demo is measured from nothing")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    cost = run(arguments.folder, arguments.cores)
    results = arguments.folder / "results" / "demo"
    stages = by_stage(results)
    stages["snakemake and the rest"] = cost["core_seconds"] - stages.sum()
    machine = provenance.hardware()
    print(f"\n{machine['processor']}, {machine['cores']} cores, {arguments.cores} used")
    print(f"wall time: {cost['wall_seconds'] / 60:.1f} minutes; {cost['core_seconds']:.0f} core-seconds, of them")
    for stage, seconds in stages.items():
        print(f"  {stage:24}{seconds:7.0f}  {seconds / cost['core_seconds']:4.0%}")
    print("gain over bicubic at 100 % of the data, mean PSNR-Y on photos:")
    for model, gain in gains(results).items():
        print(f"  {model:24}{gain:+7.2f} dB")


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
