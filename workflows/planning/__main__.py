"""Estimates what an experiment costs (hours, disk, operations) and shows which runs are finished. Trains nothing."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from workflows.command_line import InputError, above_zero, exit_status, positive
from workflows.config import grid
from workflows.config.experiment import Experiment
from workflows.config.runs import Run
from workflows.files import write_text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflows.planning", description=__doc__)
    parser.add_argument("experiment", type=Path, help="the experiment's YAML file")
    parser.add_argument("--preset", help="which of its presets (default: the file's choice)")
    parser.add_argument(
        "--patches-per-second",
        nargs="*",
        default=[],
        metavar="MODEL=RATE",
        help="training speed by model; the others are measured here; a single RATE applies to all models",
    )
    parser.add_argument(
        "--seconds", type=above_zero, help="length of a measurement (default: the experiment's plan.seconds)"
    )
    parser.add_argument("--out", type=Path, help="folder for plan.csv and plan.md (default: results/<name>)")
    parser.add_argument(
        "--gpus", type=positive, default=1, help="number of GPUs to distribute the runs over (default: 1)"
    )
    options = parser.parse_args(arguments)
    return exit_status(lambda: _plan(options), (ValueError, OSError))


def _plan(options: argparse.Namespace) -> None:
    # Importing pandas takes most of a second, and `--help` does not need it.
    from workflows.planning.costs import own_images, plan
    from workflows.planning.text import to_markdown
    from workflows.planning.throughput import SpeedError, measure

    experiment = grid.read(options.experiment, options.preset)
    rates = experiment.plan.patches_per_second | _rates(options.patches_per_second, experiment)
    seconds = options.seconds or experiment.plan.seconds

    def measured(run: Run) -> float | None:
        print(f"measuring {run.model}: about {seconds + 10:.0f} s", file=sys.stderr, flush=True)
        try:
            return measure(run, seconds, own_images(experiment, run.source))
        except SpeedError as error:
            print(f"{error}\n{run.model}: no speed known; set plan.patches_per_second", file=sys.stderr)
            return None

    table = plan(experiment, rates, measured)
    text = to_markdown(experiment, table, options.gpus)
    out = options.out or experiment.folder
    write_text(table.to_csv(index=False), out / "plan.csv")
    write_text(text, out / "plan.md")
    print(text)


def _rates(texts: Iterable[str], experiment: Experiment) -> dict[str, float]:
    models = [model.name for model in experiment.models]
    rates = {}
    for text in texts:
        name, _, rate = text.rpartition("=")
        if name and name not in models:
            raise InputError(f"--patches-per-second: no model is called {name!r}; allowed: {', '.join(models)}")
        try:
            number = above_zero(rate)
        except argparse.ArgumentTypeError:
            raise InputError(
                f"--patches-per-second: {text!r}: expected MODEL=RATE with a rate above 0, for example ipt=120"
            ) from None
        rates |= {name: number} if name else dict.fromkeys(models, number)
    return rates


if __name__ == "__main__":
    sys.exit(main())
