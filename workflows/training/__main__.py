"""`python -m workflows.training`: train one run of an experiment's grid."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from ipt_models.suggestions import nearest
from workflows import models
from workflows.command_line import InputError, exit_status, fail
from workflows.config import grid
from workflows.config.runs import Run
from workflows.training import reuse
from workflows.training.lock import FolderLocked, locked


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workflows.training", description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="the experiment's YAML file")
    parser.add_argument("--run", required=True, help="name of the run, for example ipt-20-seed-0")
    parser.add_argument("--root", type=Path, required=True, help="folder of the training images")
    parser.add_argument("--fraction", type=Path, required=True, help="table of the run's training images")
    parser.add_argument("--validation", type=Path, required=True, help="table of the held-out images")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for model.safetensors, train.csv, provenance.json"
    )
    parser.add_argument(
        "--resume", type=Path, required=True, help="folder for checkpoints, from which an interrupted run resumes"
    )
    parser.add_argument("--init", type=Path, help="a model.safetensors whose weights the run starts from")
    parser.add_argument(
        "--reuse",
        type=Path,
        help="folder of experiments: a finished run of the same training in one of them is copied instead of trained again",
    )
    arguments = parser.parse_args()
    return exit_status(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    experiment = grid.read(arguments.experiment)
    runs = experiment.trainings()
    if arguments.run not in runs:
        hint = nearest(arguments.run, runs) or f"; its runs: {', '.join(runs)}"
        raise InputError(f"no run {arguments.run!r} in {arguments.experiment}{hint}")
    try:
        with locked(arguments.out):
            return _train(runs[arguments.run], arguments, trial=arguments.run in experiment.trials())
    except (FolderLocked, OSError) as error:
        return fail(error)


def _train(run: Run, arguments: argparse.Namespace, trial: bool) -> int:
    models.code(reuse.CODE, run.variant, run.kwargs)  # hashed now: the code on disk may change during the training
    started_by_another = "LOCAL_RANK" in os.environ  # the first task has searched already, and trains
    if not started_by_another:
        tables = (arguments.fraction, arguments.validation)
        others = arguments.reuse if run.training.reuse else None
        search = partial(reuse.find, run, tables, others, arguments.out, arguments.init, arguments.resume)
        source = reuse.agreed(search, arguments.resume)
        if source is not None:
            if reuse.is_first_task():
                reuse.take(source, run, arguments.out, arguments.init)
                reuse.keep(arguments.out, arguments.resume)
                print(f"{run.name}: the same training as {source}, copied", flush=True)
            return 0

    # After the checks: torch and Lightning take seconds to import.
    from workflows.training import checkpoint, devices, loggers, loop, processes

    expected = (
        *(loop.TrainingError, checkpoint.CheckpointError, processes.LostProcess),
        *(devices.DeviceError, loggers.LoggerError, models.ModelFileError, OSError),
    )
    try:
        loop.train(
            run,
            arguments.root,
            arguments.fraction,
            arguments.validation,
            arguments.out,
            arguments.resume,
            arguments.init,
            trial,
        )
    except loop.Interrupted as error:
        print(error, file=sys.stderr)
        return loop.EXIT_INTERRUPTED
    except expected as error:
        return fail(error)
    except RuntimeError as error:  # torch's, for an operation of a user's network
        what, refused, _ = str(error).partition(" does not have a deterministic implementation")
        if not refused:
            raise
        return fail(f"{run.name}: {run.variant}: {what}{refused} here; use another layer, or training.accelerator: cpu")
    return 0


if __name__ == "__main__":
    sys.exit(main())
