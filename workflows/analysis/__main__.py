"""`python -m workflows.analysis <command>`: from runs to results.csv and runs.csv, and from these to tables/*.csv."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from workflows.command_line import exit_status, refuse_repeated, refuse_same_file

# Each command imports what it needs, so that --help is there at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    collect = commands.add_parser("collect", help="gather the runs' scores and facts into results.csv and runs.csv")
    collect.add_argument("--experiment-dir", type=Path, required=True, help="folder with runs/ and experiment.yaml")
    collect.add_argument("--runs", nargs="+", required=True, help="the grid's runs in order, references among them")
    collect.add_argument("--out-results", type=Path, required=True)
    collect.add_argument("--out-runs", type=Path, required=True)
    collect.set_defaults(run=_collect)

    tables = commands.add_parser("tables", help="compute every table; workflows/analysis/tables.py says what they hold")
    tables.add_argument("--results", type=Path, required=True, help="results.csv")
    tables.add_argument("--runs", type=Path, required=True, help="runs.csv")
    tables.add_argument("--train-logs", type=Path, nargs="*", default=[], help="runs/<run>/train.csv")
    tables.add_argument("--out-dir", type=Path, required=True, help="for <table>.csv")
    tables.set_defaults(run=_tables)

    rates = commands.add_parser("learning-rates", help="compare the learning rates that were tried, on held-out images")
    rates.add_argument("--experiment-dir", type=Path, required=True, help="folder with experiment.yaml and runs/")
    rates.add_argument("--out", type=Path, required=True, help=".csv")
    rates.set_defaults(run=_learning_rates)

    similarity = commands.add_parser("similarity", help="compare IPT's patch features of one image with each other")
    similarity.add_argument("--experiment-dir", type=Path, required=True, help="folder with runs/<run>/features/")
    for name, about in (("task", None), ("dataset", None), ("image", "the image's name without suffix")):
        similarity.add_argument(f"--{name}", required=True, help=about)
    similarity.add_argument("--runs", nargs="+", required=True, help="runs whose features were exported")
    similarity.add_argument("--out", type=Path, required=True, help=".csv")
    similarity.set_defaults(run=_similarity)
    return parser


def _collect(options: argparse.Namespace) -> None:
    from workflows.analysis.collect import collect_results, collect_runs, missing
    from workflows.files import write_csv

    refuse_repeated("--runs", options.runs)
    refuse_same_file({"--out-results": options.out_results, "--out-runs": options.out_runs})
    results, runs = (gather(options.experiment_dir, options.runs) for gather in (collect_results, collect_runs))
    write_csv(results, options.out_results)
    write_csv(runs, options.out_runs)
    for run in missing(runs).itertuples():
        print(f"{run.status}: {run.run}", file=sys.stderr)


def _tables(options: argparse.Namespace) -> None:
    from workflows.analysis.computation import write_tables
    from workflows.analysis.records import read_results, read_runs

    write_tables(read_results(options.results), read_runs(options.runs), options.out_dir, options.train_logs)


def _learning_rates(options: argparse.Namespace) -> None:
    from workflows.analysis.learning_rates import compare_rates
    from workflows.files import write_csv

    write_csv(compare_rates(options.experiment_dir), options.out)


def _similarity(options: argparse.Namespace) -> None:
    from workflows.analysis.patch_similarity import similarities
    from workflows.files import write_csv

    refuse_repeated("--runs", options.runs)
    file = Path("features", options.task, options.dataset, f"{options.image}.npz")
    files = {run: options.experiment_dir / "runs" / run / file for run in options.runs}
    write_csv(similarities(files), options.out, digits=None)


if __name__ == "__main__":
    sys.exit(main())
