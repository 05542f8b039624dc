"""A grid without Snakemake, in pieces of a few minutes: `python -m workflows.planning.pieces config/small.yaml --budget gpu`.

It prints the grid's commands in the order in which they run. With `--run` it runs them: images are listed, then trainings run
in parallel, each on a GPU that it claims. After `--minutes`, running trainings save and stop. A training that would not
finish in time is not started, unless it is longer than a whole piece. The same call continues where the last one stopped.
`--pack` writes finished trainings into archives of limited size, to be unpacked and scored anywhere. Exit status: 0 all
trained, 75 trainings are left, 1 a command failed.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import yaml

from workflows.config import grid
from workflows.config.experiment import Experiment
from workflows.config.messages import ConfigError
from workflows.config.runs import Run
from workflows.training import reuse

EXIT_LEFT = 75
ENDING = 30  # seconds for trainings to save and end
PACKED = ("model.safetensors", "train.csv", "provenance.json")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workflows.planning.pieces",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="the experiment's YAML file")
    parser.add_argument("--budget", help="which of its budgets (default: the file's)")
    parser.add_argument("--run", action="store_true", help="run the commands instead of printing them")
    parser.add_argument("--minutes", type=float, default=8.0, help="length of a piece (default 8)")
    parser.add_argument("--side-by-side", type=int, default=4, metavar="N", help="trainings at a time (default 4)")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write finished trainings there as archives")
    parser.add_argument("--archive-mb", type=float, default=15.0, help="largest archive (default 15)")
    options = parser.parse_args(arguments)
    if options.side_by_side < 1 or not options.minutes > 0 or not options.archive_mb > 0:
        parser.error("--side-by-side, --minutes and --archive-mb are above 0")
    try:
        experiment = read(options.experiment, options.budget)
    except (OSError, ConfigError, yaml.YAMLError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not options.run:
        print("\n".join(shlex.join(command) for command in [*preparation(experiment), *trainings(experiment).values()]))
    status = 0
    if options.run:
        until = time.time() + 60 * options.minutes
        status = run(experiment, until, options.side_by_side)
    if options.pack:
        for archive, names in pack(experiment, options.pack, options.archive_mb * 1e6):
            print(f"{archive}: {', '.join(names)}")
    return status


def read(path: Path, budget: str | None) -> Experiment:
    """An experiment in one of its sizes."""
    if budget is None:
        return grid.read(path)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ConfigError([f"{path}: is not a section of keys"])
    return grid.parse(config | {"budget": budget})


def preparation(experiment: Experiment) -> Iterator[list[str]]:
    """Commands that list the images and choose the fractions, unless that is done."""
    python = [sys.executable, "-m", "workflows.data"]
    for source, data in experiment.sources.items():
        folder, root = experiment.folder / source, images(experiment, source)
        if data.source == "dead_leaves" and not root.is_dir():
            numbers = ["--seed", str(data.seed), "--count", str(data.count), "--size", str(data.size)]
            yield [*python, "synthesize", *numbers, "--out", str(root)]
        tables = [str(folder / "manifest.csv"), str(folder / "validation.csv")]
        if not all(map(os.path.isfile, tables)):
            limits = ["--min-side", str(experiment.min_side(source)), "--max-undecodable", str(data.max_undecodable)]
            split = ["--validation", str(data.validation), "--seed", str(data.seed)]
            written = ["--out-manifest", tables[0], "--out-validation", tables[1]]
            yield [*python, "manifest", "--root", str(root), *split, *limits, *written]
        subsets = {run.subset: run for run in experiment.trainings().values() if run.source == source}
        for subset, first in subsets.items():
            if not (experiment.folder / subset).is_file():
                chosen = ["--fraction", str(first.subset_fraction), "--seed", str(first.seed)]
                tables_read = ["--manifest", tables[0], "--validation", tables[1]]
                yield [*python, "fraction", *tables_read, *chosen, "--out", str(experiment.folder / subset)]


def trainings(experiment: Experiment) -> dict[str, list[str]]:
    """The command of each training that is not finished, trials of learning rates first, then seed by seed."""
    trials = experiment.trials()
    ordered = sorted(
        experiment.trainings().values(), key=lambda run: (run.name not in trials, run.finetuned, run.seed, run.fraction)
    )
    return {run.name: command(experiment, run) for run in ordered if not reuse.is_finished(_out(experiment, run), run)}


def command(experiment: Experiment, run: Run) -> list[str]:
    """The command that trains a run on a GPU that it claims."""
    out, recipe = _out(experiment, run), run.training
    gpus = recipe.processes if recipe.accelerator == "cuda" else 0
    launch = ["--gpus", str(gpus), "--processes", str(recipe.devices), "--cpus", str(run.cores), "--"]
    init = ["--init", str(out.parent / run.pretrained.name / "model.safetensors")] if run.pretrained else []
    return [
        *(sys.executable, "-m", "workflows.launch", *launch, sys.executable, "-m", "workflows.training"),
        *("--experiment", str(experiment.folder / "experiment.yaml"), "--run", run.name),
        *("--root", str(images(experiment, run.source)), "--fraction", str(experiment.folder / run.subset)),
        *("--validation", str(experiment.folder / run.source / "validation.csv"), *init),
        *("--out", str(out), "--resume", str(experiment.folder / "resume" / run.name)),
    ]


def run(experiment: Experiment, until: float, side_by_side: int) -> int:
    """Run the remaining trainings until all are done or the time is up; returns the exit status."""
    longest = until - ENDING - time.time()  # seconds of training that fit into a whole piece
    grid.write(experiment, experiment.folder / "experiment.yaml")
    logs = experiment.folder / "logs" / "pieces"
    logs.mkdir(parents=True, exist_ok=True)
    for words in preparation(experiment):
        if subprocess.run(words).returncode:
            print(f"error: failed: {shlex.join(words)}", file=sys.stderr)
            return 1
    runs, left = experiment.trainings(), trainings(experiment)
    environment = os.environ | {"RUNS_PER_GPU": str(side_by_side)}
    under_way: dict[str, tuple[subprocess.Popen, float]] = {}
    took: dict[str, list[float]] = {}  # seconds of finished trainings, by model
    failed: list[str] = []
    while left or under_way:
        for name, (process, begun) in list(under_way.items()):
            if process.poll() is not None:
                del under_way[name]
                if process.returncode == 0:
                    took.setdefault(runs[name].model, []).append(time.time() - begun)
                elif process.returncode != EXIT_LEFT:
                    failed.append(name)
                print(f"{name}: exit status {process.returncode} after {time.time() - begun:.0f} s", flush=True)
        if time.time() > until - ENDING:
            break
        for name in list(left):
            waits = runs[name].pretrained is not None and not _finished(experiment, runs[name].pretrained)
            if len(under_way) >= side_by_side or waits:
                continue
            takes = seconds(experiment, runs[name], took, side_by_side)
            # A training that is longer than a piece continues from its checkpoint in the next one.
            if time.time() + takes > until - ENDING and takes <= longest:
                continue
            with open(logs / f"{name}.log", "a", encoding="utf-8") as log:
                process = subprocess.Popen(left.pop(name), env=environment, stdout=log, stderr=log)
            under_way[name] = process, time.time()
        if not under_way:
            break  # no remaining training would end in time
        time.sleep(0.2)
    for process, _ in under_way.values():
        process.send_signal(signal.SIGTERM)
    for process, _ in under_way.values():
        process.wait()
    rest = trainings(experiment)
    print(
        f"{len(runs) - len(rest)} of {len(runs)} trainings are finished"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else EXIT_LEFT if rest else 0


def seconds(experiment: Experiment, run: Run, took: dict[str, list[float]], side_by_side: int) -> float:
    """Duration of a training: from finished ones of its model, or from `plan.patches_per_second`; 0 if unknown."""
    if run.model in took:
        return median(took[run.model])
    rate = experiment.plan.patches_per_second.get(run.model)
    steps = run.training.budget.steps
    if not rate or not steps:
        return 0.0
    return side_by_side * steps * run.training.batch_size / rate


def pack(experiment: Experiment, folder: Path, largest: float) -> Iterator[tuple[Path, list[str]]]:
    """Archive the finished trainings that are in no archive of `folder` yet; returns each archive with its content.

    Args:
        experiment: the experiment.
        folder: for `<experiment>-001.tar`, …; paths in them are relative to the results folder.
        largest: bytes per archive. A larger training gets a separate archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = sorted(folder.glob(f"{experiment.name}-*.tar"))
    held = {name for archive in written for name in _names(archive)}
    finished = [run for run in experiment.trainings().values() if _finished(experiment, run) and run.name not in held]
    parts: list[list[Run]] = []
    size = largest + 1
    for one in finished:
        takes = sum((_out(experiment, one) / file).stat().st_size for file in PACKED)
        if not parts or size + takes > largest:
            parts.append([])
            size = 0.0
        parts[-1].append(one)
        size += takes
    for number, part in enumerate(parts, start=len(written) + 1):
        path = folder / f"{experiment.name}-{number:03d}.tar"
        with tarfile.open(path, "w") as archive:
            for one in part:
                for file in PACKED:
                    source = _out(experiment, one) / file
                    archive.add(source, source.relative_to(experiment.folder.parent))
        yield path, [one.name for one in part]


def images(experiment: Experiment, source: str) -> Path:
    """The folder of a stage's images."""
    return (experiment.sources[source].root or experiment.folder / source / "images").expanduser()


def _names(archive: Path) -> set[str]:
    with tarfile.open(archive) as opened:
        return {Path(name).parts[-2] for name in opened.getnames()}


def _out(experiment: Experiment, run: Run) -> Path:
    return experiment.folder / "runs" / run.name


def _finished(experiment: Experiment, run: Run) -> bool:
    return reuse.is_finished(_out(experiment, run), run)


if __name__ == "__main__":
    sys.exit(main())
