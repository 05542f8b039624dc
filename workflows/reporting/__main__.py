"""`python -m workflows.reporting <command>`: the report's steps, each with its inputs and outputs named."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from workflows.reporting.records import ReportError

FIGURES = ("psnr_fraction", "contrastive_gain", "training_curves", "ablations", "quality_cost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 2 with a message on bad input."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ReportError, OSError) as error:
        print(f"workflows.reporting {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.reporting", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    collect = commands.add_parser("collect", help="gather the runs' scores and facts into results.csv and runs.csv")
    collect.add_argument("--experiment-dir", type=Path, required=True, help="folder with runs/ and experiment.yaml")
    collect.add_argument(
        "--runs", nargs="+", required=True, help="the grid's runs in order, references (bicubic) among them"
    )
    collect.add_argument("--out-results", type=Path, required=True)
    collect.add_argument("--out-runs", type=Path, required=True)
    collect.set_defaults(run=_collect)

    tables = commands.add_parser("tables", help="write all tables as CSV, Markdown and LaTeX")
    _add_inputs(tables)
    tables.add_argument(
        "--out-dir",
        type=Path,
        required=True,
        help="for summary, differences, crossovers, data, costs, published and ensembled, each as .csv, .md and .tex",
    )
    tables.add_argument(
        "--bootstrap", action="store_true", help="add intervals over seeds x images (from eight seeds on)"
    )
    tables.set_defaults(run=_tables)

    figure = commands.add_parser("figure", help="draw one figure; a .csv among the outputs holds what it shows")
    figure.add_argument("name", choices=FIGURES)
    _add_inputs(figure)
    figure.add_argument("--train-logs", type=Path, nargs="*", default=[], help="runs/<run>/train.csv")
    figure.add_argument("--tasks", nargs="*", help="show these only")
    figure.add_argument("--datasets", nargs="*", help="show these only")
    figure.add_argument("--out", type=Path, nargs="+", required=True, help=".png, .pdf and .csv")
    figure.set_defaults(run=_figure)

    compare = commands.add_parser("compare", help="show one image as restored by every model, with a zoomed crop")
    compare.add_argument(
        "--experiment-dir", type=Path, required=True, help="folder with results.csv, runs.csv, runs/ and inputs/"
    )
    compare.add_argument("--dataset", required=True)
    compare.add_argument("--image", required=True, help="the image's name without suffix")
    compare.add_argument("--task", required=True)
    compare.add_argument(
        "--crop",
        type=int,
        nargs=4,
        metavar=("X", "Y", "W", "H"),
        help="in HR pixels; without it, where the models differ most",
    )
    compare.add_argument("--out", type=Path, nargs="+", required=True, help=".png and .pdf")
    compare.set_defaults(run=_compare)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, required=True, help="results.csv")
    parser.add_argument("--runs", type=Path, required=True, help="runs.csv")


# Each command imports what it needs: drawing libraries cost seconds, and gathering and tables need none of them.


def _collect(options: argparse.Namespace) -> None:
    from workflows.reporting.collect import collect_results, collect_runs, missing
    from workflows.reporting.files import write_csv

    results, runs = (gather(options.experiment_dir, options.runs) for gather in (collect_results, collect_runs))
    write_csv(results, options.out_results)
    write_csv(runs, options.out_runs)
    for run in missing(runs).itertuples():
        print(f"{run.status}: {run.run}", file=sys.stderr)


def _tables(options: argparse.Namespace) -> None:
    from workflows.reporting.records import read_results, read_runs
    from workflows.reporting.tables import write_tables

    write_tables(read_results(options.results), read_runs(options.runs), options.out_dir, options.bootstrap)


def _figure(options: argparse.Namespace) -> None:
    from workflows.reporting.records import read_results, read_runs
    from workflows.reporting.style import house_style, save

    results, runs = read_results(options.results), read_runs(options.runs)
    for column, wanted in (("task", options.tasks), ("dataset", options.datasets)):
        if wanted:
            results = results[results[column].isin(wanted)]
    draw = import_module(f"workflows.reporting.figures.{options.name}").draw
    with house_style():
        figure, data = draw(results, runs, options.train_logs)
        save(figure, data, options.out)


def _compare(options: argparse.Namespace) -> None:
    from workflows.reporting.comparison import draw
    from workflows.reporting.style import house_style, save

    with house_style():
        figure, data = draw(options.experiment_dir, options.task, options.dataset, options.image, options.crop)
        save(figure, data, options.out)


if __name__ == "__main__":
    sys.exit(main())
