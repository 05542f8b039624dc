"""`python -m workflows.training`: train one run of an experiment's grid."""

import argparse
import difflib
import sys
from pathlib import Path

from workflows import experiment


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
        "--resume", type=Path, required=True, help="folder for checkpoints; goes on from one found there"
    )
    parser.add_argument("--init", type=Path, help="a model.safetensors whose weights the run starts from")
    arguments = parser.parse_args()

    try:
        runs = experiment.read(arguments.experiment).trainings()
    except (OSError, experiment.ConfigError) as error:
        return _fail(error)
    if arguments.run not in runs:
        near = difflib.get_close_matches(arguments.run, runs, n=1)
        hint = f"did you mean {near[0]}?" if near else f"its runs: {', '.join(runs)}"
        return _fail(f"no run {arguments.run!r} in {arguments.experiment}; {hint}")

    from workflows import models
    from workflows.training import checkpoint, loop  # after the checks: torch and Lightning take seconds to import

    try:
        loop.train(
            runs[arguments.run],
            arguments.root,
            arguments.fraction,
            arguments.validation,
            arguments.out,
            arguments.resume,
            arguments.init,
        )
    except loop.Interrupted as error:
        print(error, file=sys.stderr)
        return loop.EXIT_INTERRUPTED
    except (loop.TrainingError, checkpoint.CheckpointError, models.ModelFileError, FileNotFoundError) as error:
        return _fail(error)
    return 0


def _fail(message: object) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
