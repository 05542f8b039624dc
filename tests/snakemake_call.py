"""Snakemake's command line in a process of its own, which begins with the imports done: they take most of a dry run."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml
from snakemake import cli

ROOT = Path(__file__).parents[1]

# Calls are forked from a process that has only imported what Snakemake and the Snakefile import.
FORKS = multiprocessing.get_context("forkserver")
IMPORTED = ["snakemake.cli", "workflows.preflight", "workflows.data.listing", "workflows.reporting.outline"]


def run_snakemake(workdir: Path, config: dict, *arguments: str, cores: int = 2) -> str:
    """Run the workflow in `workdir`; returns what it printed. A failure shows the jobs' logs."""
    path = workdir / "micro.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    words = ("--snakefile", ROOT / "Snakefile", "--directory", workdir, "--configfile", path, "--cores", cores)
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder, name) for name in ("stdout", "stderr")]
        FORKS.set_forkserver_preload(IMPORTED)  # here, as other tests set theirs
        process = FORKS.Process(target=_main, args=([*map(str, words), *arguments], dict(os.environ), printed))
        process.start()
        process.join()
        text = "".join(file.read_text(encoding="utf-8") for file in printed)
    if process.exitcode:
        logs = workdir.glob("results/*/logs/**/*.log")
        shown = "\n".join(f"--- {log}\n{log.read_text(encoding='utf-8')}" for log in logs)
        raise AssertionError(f"snakemake failed:\n{text}\n{shown}")
    return text


def planned(workdir: Path, config: dict, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a call would run; nothing if nothing is to be done."""
    text = run_snakemake(workdir, config, *arguments, "--dry-run", "--quiet", "reason")
    if "Nothing to be done" in text:
        return {}
    lines = text.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
    jobs = {name: int(count) for name, count in (line.split() for line in lines if line.strip())}
    return {name: count for name, count in jobs.items() if name != "total"}


def _main(arguments: list[str], environment: Mapping[str, str], printed: list[Path]) -> None:
    for descriptor, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    cli.main(arguments)
