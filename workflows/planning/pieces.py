"""A grid without Snakemake, in pieces of a few minutes: `python -m workflows.planning.pieces config/small.yaml --preset gpu`.

It prints the grid's commands in the order in which they run, and writes the config that they read. With `--run` it
runs them: images are listed, then trainings run in parallel, each on a GPU that it claims. After `--minutes`, running trainings
save and stop. A training that would not finish in time is not started, unless it is longer than a whole piece. The same call
continues where the last one stopped. `--score` also scores each network of the grid when it is trained. `--pack` writes what is
finished into archives of limited size, to be unpacked anywhere; there, Snakemake scores what is not scored yet, and makes the
report. Exit status: 0 all done, 75 trainings or scores are left, 1 a command failed, 2 the config is not valid.
"""

import argparse
import functools
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from workflows import launch, models, preflight, provenance
from workflows.command_line import above_zero, exit_status, fail, positive
from workflows.config import grid
from workflows.config.experiment import Experiment
from workflows.config.messages import ConfigError
from workflows.config.runs import Run
from workflows.evaluation.job_options import JobOptions
from workflows.planning import archives
from workflows.planning.made import Made
from workflows.training import reuse

EXIT_LEFT = 75
ENDING = 30  # seconds for trainings to save and end
# In the experiment's folder. Jobs that Snakemake runs there read experiment.yaml, which printing must not change.
LOGS = Path("logs", "pieces")
SPEC = LOGS / "experiment.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workflows.planning.pieces",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="the experiment's YAML file")
    parser.add_argument("--preset", help="which of its presets (default: the file's choice)")
    parser.add_argument("--run", action="store_true", help="run the commands instead of printing them")
    parser.add_argument("--minutes", type=above_zero, default=8.0, help="length of a piece (default 8)")
    parser.add_argument("--jobs", type=positive, default=4, metavar="N", help="jobs at a time (default 4)")
    parser.add_argument("--score", action="store_true", help="score trained networks too; needs the benchmark sets")
    parser.add_argument(
        "--pack", type=Path, metavar="FOLDER", help="write finished trainings and scores there as archives"
    )
    parser.add_argument("--no-weights", action="store_true", help="leave out weights that nothing reads any more")
    parser.add_argument("--archive-mb", type=above_zero, default=15.0, help="largest archive (default 15)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: carry_out(options))


def carry_out(options: argparse.Namespace) -> int:
    """Print or run the grid's commands, then pack; returns the exit status."""
    experiment = grid.read(options.experiment, options.preset)
    status = 0
    if options.run:
        preflight.check(experiment, scores=options.score)
        if lacking := preflight.lacking_gpus(experiment, scores=options.score):
            raise ConfigError(lacking)
        if "SLURM_JOB_ID" not in os.environ and any(r.training.num_nodes > 1 for r in experiment.trainings().values()):
            raise ConfigError(["training.num_nodes: several nodes need Slurm: run this in one of its jobs"])
    spec = experiment.folder / "experiment.yaml"
    if options.run or not spec.is_file():
        grid.write(experiment, spec)
    elif not _is_of(spec, experiment):  # jobs of a running grid may read it
        print(f"note: {spec} is of another config and stays as it is; --run and Snakemake replace it", file=sys.stderr)
    grid.write(experiment, experiment.folder / SPEC)
    if options.run:
        status = run(experiment, time.time() + 60 * options.minutes, options.jobs, options.score)
    else:
        jobs = trainings(experiment) | (scorings(experiment) if options.score else {})
        # One write, so that `| head` ends without a traceback.
        commands = [*preparation(experiment).values(), *jobs.values()]
        print("\n".join(map(shlex.join, commands)) + "\n", end="")
    if options.pack:
        without = unread_weights(experiment) if options.no_weights else ()
        for archive, names in archives.pack(experiment, options.pack, options.archive_mb * 1e6, without):
            print(f"{archive}: {', '.join(names)}")
    return status


def _is_of(spec: Path, experiment: Experiment) -> bool:
    try:
        return grid.read(spec) == experiment
    except ConfigError:
        return False


def preparation(experiment: Experiment) -> dict[Path, list[str]]:
    """Commands that list the images and choose the fractions, by what they write, unless that is done."""
    python, made = [sys.executable, "-m", "workflows.data"], Made(experiment.folder)
    left: dict[Path, list[str]] = {}
    for source, data in experiment.sources.items():
        folder, root = experiment.folder / source, experiment.images(source)
        manifest, validation = folder / "manifest.csv", folder / "validation.csv"
        steps: dict[Path, list[str | int | Path]] = {}
        if data.source == "dead_leaves":
            numbers = ["--seed", data.seed, "--count", data.count, "--size", data.size]
            steps[root] = [*python, "synthesize", *numbers, "--out", root]
        limits = ["--min-side", experiment.min_side(source), "--max-undecodable", data.max_undecodable]
        split = [*experiment.pair_options(source), "--validation", data.validation, "--seed", data.seed]
        written = ["--out-manifest", manifest, "--out-validation", validation]
        steps[manifest] = [*python, "manifest", "--root", root, *split, *limits, *written]
        for run in experiment.trainings().values():
            if run.source == source:
                read = ["--manifest", manifest, "--validation", validation]
                chosen = ["--fraction", run.subset_fraction, "--seed", run.seed]
                out = experiment.folder / run.subset
                steps[out] = [*python, "fraction", *read, *chosen, "--out", out]
        again = False  # what is made of something that is made again is made again too
        for path, step in steps.items():
            words = [*map(str, step)]
            if again or not made.holds(path, words) or (path == manifest and not validation.is_file()):
                left[path] = words
                again |= path in (root, manifest)
    return left


def trainings(experiment: Experiment) -> dict[str, list[str]]:
    """The command of each training that is not finished, trials of learning rates first, then seed by seed.

    A run that is finished is trained again if its tables of images, or the weights that it started from, are others now.
    """
    trials, hash_of = experiment.trials(), functools.cache(provenance.sha256)

    def is_current(run: Run) -> bool:
        if not _finished(experiment, run):
            return False
        used = [experiment.folder / run.subset, experiment.folder / run.source / "validation.csv"]
        record = json.loads((_out(experiment, run) / "provenance.json").read_text(encoding="utf-8"))
        if not all(record["data"].get(path.name) == hash_of(path) for path in used if path.is_file()):
            return False
        if run.pretrained is None:
            return True
        start = _out(experiment, run.pretrained) / archives.WEIGHTS
        return is_current(run.pretrained) and record["init"]["weights_sha256"] == models.weights_sha256(start)

    ordered = sorted(
        experiment.trainings().values(), key=lambda run: (run.name not in trials, run.finetuned, run.seed, run.fraction)
    )
    return {run.name: command(experiment, run) for run in ordered if not is_current(run)}


def command(experiment: Experiment, run: Run) -> list[str]:
    """The command that trains a run on a GPU that it claims."""
    out, recipe = _out(experiment, run), run.training
    gpus = _gpus(recipe.accelerator, recipe.processes)
    claimed = ["--gpus", gpus, "--processes", str(recipe.devices), "--nodes", str(recipe.num_nodes)]
    claimed += ["--cpus", str(run.cores), "--"]
    init = ["--init", str(out.parent / run.pretrained.name / "model.safetensors")] if run.pretrained else []
    return [
        *(sys.executable, "-m", "workflows.launch", *claimed, sys.executable, "-m", "workflows.training"),
        *("--experiment", str(experiment.folder / SPEC), "--run", run.name),
        *("--root", str(experiment.images(run.source)), "--fraction", str(experiment.folder / run.subset)),
        *("--validation", str(experiment.folder / run.source / "validation.csv"), *init),
        *("--out", str(out), "--resume", str(experiment.folder / "resume" / run.name)),
        *("--reuse", str(experiment.folder.parent)),
    ]


def scorings(experiment: Experiment) -> dict[str, list[str]]:
    """The command of each table of scores that a finished training lacks, by the table's path."""
    options, python, made = JobOptions(experiment), [sys.executable, "-m"], Made(experiment.folder)
    device = experiment.evaluation.accelerator
    claimed = [*python, "workflows.launch", "--gpus", _gpus(device)]
    commands, ensembles = {}, experiment.ensembles()
    for name, trained in experiment.runs().items():
        if not _finished(experiment, trained):
            continue
        out = _out(experiment, trained)
        shared = ["--model", out / archives.WEIGHTS, *options.scope(name), *options.protocol, "--device", device]
        if experiment.evaluation.data_root is not None:
            shared += ["--data-root", experiment.evaluation.data_root]
        saved = options.saved_images(name) if name in options.compared else []
        tables = {"metrics.csv": [*options.windows(name), *saved]}
        tables |= {f"metrics-{kind}.csv": options.ensemble(name, kind) for kind in ensembles[name]}
        for table, further in tables.items():
            path = out / table
            further += [*options.kept(name, path.stem), "--out", path]
            words = [*claimed, "--", *python, "workflows.evaluation", *map(str, [*shared, *further])]
            if not made.holds(path, words) or path.stat().st_mtime < (out / archives.WEIGHTS).stat().st_mtime:
                commands[str(path)] = words
    return commands


def unread_weights(experiment: Experiment) -> set[str]:
    """Finished runs whose weights nothing reads any more: trials, and networks of which every table is made."""
    runs = experiment.runs()
    unscored = {Path(table).parent.name for table in scorings(experiment)}
    started_from = {run.pretrained.name for run in runs.values() if run.pretrained and not _finished(experiment, run)}
    mapped = JobOptions(experiment).compared if experiment.report.similarity else []
    scored = {name for name, run in runs.items() if _finished(experiment, run)} - unscored
    return {*experiment.trials(), *scored} - started_from - set(mapped)


def run(experiment: Experiment, until: float, at_once: int, score: bool = False) -> int:
    """Run the remaining jobs until all are done or the time is up; returns the exit status."""
    longest = until - ENDING - time.time()  # seconds of training that fit into a whole piece
    logs = experiment.folder / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    made, prepared = Made(experiment.folder), preparation(experiment)
    for path in prepared:
        made.forget(path)  # so that what is not reached now is still due in the next call
    for path, words in prepared.items():
        if subprocess.run(words).returncode:
            return fail(f"failed: {shlex.join(words)}")
        made.note(path, words)
    with ended_by_sigterm() as ended:
        failed = work(experiment, until, longest, at_once, score, ended)
    runs, rest, unscored = experiment.trainings(), trainings(experiment), scorings(experiment) if score else {}
    print(
        f"{len(runs) - len(rest)} of {len(runs)} trainings are finished"
        + (f"; {len(unscored)} of their tables of scores are left" if score else "")
        + (f"; failed, see {logs}: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else EXIT_LEFT if rest or unscored else 0


def work(
    experiment: Experiment, until: float, longest: float, at_once: int, score: bool, ended: threading.Event
) -> list[str]:
    """Run jobs side by side until the time is up; returns the names of those that failed."""
    runs, left = experiment.trainings(), trainings(experiment)
    tables = scorings(experiment) if score else {}
    environment = os.environ | {"RUNS_PER_GPU": str(at_once)}
    under_way: dict[str, tuple[subprocess.Popen, float]] = {}
    made = Made(experiment.folder)
    took: dict[str, list[float]] = {}  # seconds of finished trainings, by model
    failed: list[str] = []

    def start(name: str, words: list[str]) -> None:
        path = experiment.folder / LOGS / f"{name.replace(os.sep, '-')}.log"
        with open(path, "a", encoding="utf-8") as log:
            under_way[name] = subprocess.Popen(words, env=environment, stdout=log, stderr=log), time.time()

    def end(name: str) -> None:
        process, begun = under_way.pop(name)
        if process.returncode == 0 and name in runs:
            took.setdefault(runs[name].model, []).append(time.time() - begun)
            # Its scores come next, before other trainings.
            tables.update(_scores_of(experiment, name) if score else {})
        elif process.returncode == 0:
            made.note(Path(name), process.args)
        elif process.returncode not in (EXIT_LEFT, -signal.SIGTERM):
            failed.append(name)
        print(f"{name}: exit status {process.returncode} after {time.time() - begun:.0f} s", flush=True)

    try:
        while left or tables or under_way:
            for name in [name for name, (process, _) in under_way.items() if process.poll() is not None]:
                end(name)
            if time.time() > until - ENDING or ended.is_set():
                break
            for name in list(tables)[: at_once - len(under_way)]:
                start(name, tables.pop(name))
            for name in list(left):
                base = runs[name].pretrained
                waits = base is not None and (base.name in {*left, *under_way} or not _finished(experiment, base))
                if len(under_way) >= at_once or waits:
                    continue
                takes = seconds(experiment, runs[name], took, at_once)
                # A training that is longer than a piece continues from its checkpoint in the next one.
                if time.time() + takes > until - ENDING and takes <= longest:
                    continue
                start(name, left.pop(name))
            if not under_way:
                break  # no remaining training would end in time
            time.sleep(0.2)
    finally:  # on Ctrl-C too: no job outlives this process
        for process, _ in under_way.values():
            process.send_signal(signal.SIGTERM)
        for name, (process, _) in list(under_way.items()):
            process.wait()
            end(name)
    return failed


@contextmanager
def ended_by_sigterm() -> Iterator[threading.Event]:
    """An event that is set when this process is asked to end."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)


def _scores_of(experiment: Experiment, name: str) -> dict[str, list[str]]:
    folder = str(experiment.folder / "runs" / name) + os.sep
    return {table: words for table, words in scorings(experiment).items() if table.startswith(folder)}


def seconds(experiment: Experiment, run: Run, took: dict[str, list[float]], at_once: int) -> float:
    """Duration of a training: from finished ones of its model, or from `plan.patches_per_second`; 0 if unknown."""
    if run.model in took:
        return median(took[run.model])
    rate = experiment.plan.patches_per_second.get(run.model)
    steps = run.training.budget.steps
    if not rate or not steps:
        return 0.0
    return at_once * steps * run.training.batch_size / rate


def _gpus(accelerator: str, devices: int = 1) -> str:
    """The number of GPUs that a job claims."""
    return str(devices if accelerator == "cuda" or (accelerator == "auto" and _any_gpu()) else 0)


@functools.cache
def _any_gpu() -> bool:
    return bool(launch.visible_gpus())


def _out(experiment: Experiment, run: Run) -> Path:
    return experiment.folder / "runs" / run.name


def _finished(experiment: Experiment, run: Run) -> bool:
    return reuse.is_finished(_out(experiment, run), run)


if __name__ == "__main__":
    sys.exit(main())
