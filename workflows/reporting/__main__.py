"""`python -m workflows.reporting <command>`: the report's steps, each with its inputs and outputs named."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from workflows.analysis.records import ReportError
from workflows.reporting.outline import FIGURES, TABLES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0, or 2 with a message on bad input."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ReportError, OSError) as error:
        print(f"workflows.reporting {options.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.reporting", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    tables = commands.add_parser("tables", help="write all tables as CSV, Markdown and LaTeX")
    _add_inputs(tables)
    tables.add_argument(
        "--out-dir",
        type=Path,
        required=True,
        help=f"for {', '.join(TABLES)}, each as .csv, .md and .tex",
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
    compare.add_argument("--crops-only", action="store_true", help="leave the whole image out")
    compare.add_argument("--out", type=Path, nargs="+", required=True, help=".png, .pdf and .csv")
    compare.set_defaults(run=_compare)
    similarity = commands.add_parser(
        "similarity", help="map the similarity of IPT's patch features to a few chosen patches"
    )
    similarity.add_argument(
        "--experiment-dir", type=Path, required=True, help="folder with runs.csv and runs/<run>/features/"
    )
    similarity.add_argument("--dataset", required=True)
    similarity.add_argument("--image", required=True)
    similarity.add_argument("--task", required=True)
    similarity.add_argument(
        "--runs", nargs="*", help="a row each; without them a model without and one with the contrastive loss"
    )
    similarity.add_argument("--out", type=Path, nargs="+", required=True, help=".png, .pdf and .csv")
    similarity.set_defaults(run=_similarity)

    rates = commands.add_parser("learning-rates", help="compare the learning rates that were tried, on held-out images")
    rates.add_argument("--experiment-dir", type=Path, required=True, help="folder with experiment.yaml and runs/")
    rates.add_argument("--out", type=Path, nargs="+", required=True, help=".csv and .md")
    rates.set_defaults(run=_learning_rates)

    verdict = commands.add_parser("verdict", help="say in three sentences what the scores show")
    _add_inputs(verdict)
    verdict.add_argument("--out", type=Path, required=True, help="Markdown")
    verdict.set_defaults(run=_verdict)

    page = commands.add_parser("html", help="write the whole study as one HTML file")
    page.add_argument(
        "--experiment-dir", type=Path, required=True, help="folder with results.csv, runs.csv, figures/ and runs/"
    )
    page.add_argument("--out", type=Path, required=True)
    page.set_defaults(run=_html)
    so_far = commands.add_parser("so-far", help="the study of an unfinished grid, in results/<name>/so-far/")
    so_far.add_argument("experiment_dir", type=Path, help="results/<name>")
    so_far.set_defaults(run=_so_far)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, required=True, help="results.csv")
    parser.add_argument("--runs", type=Path, required=True, help="runs.csv")


# Each command imports what it needs: drawing libraries cost seconds, and gathering and tables need none of them.


def _tables(options: argparse.Namespace) -> None:
    from workflows.analysis.records import read_results, read_runs
    from workflows.reporting.tables import write_tables

    write_tables(read_results(options.results), read_runs(options.runs), options.out_dir, options.bootstrap)


def _figure(options: argparse.Namespace) -> None:
    from workflows.analysis.records import read_results, read_runs
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
        shown = (options.task, options.dataset, options.image, options.crop, not options.crops_only)
        figure, data = draw(options.experiment_dir, *shown)
        save(figure, data, options.out)


def _similarity(options: argparse.Namespace) -> None:
    from workflows.reporting.similarity import draw
    from workflows.reporting.style import house_style, save

    with house_style():
        figure, data = draw(options.experiment_dir, options.task, options.dataset, options.image, options.runs)
        save(figure, data, options.out)


def _learning_rates(options: argparse.Namespace) -> None:
    from workflows.analysis.learning_rates import compare, to_text
    from workflows.files import write_csv, write_text

    table = compare(options.experiment_dir)
    for path in options.out:
        write_csv(table, path) if path.suffix == ".csv" else write_text(to_text(table), path)


def _verdict(options: argparse.Namespace) -> None:
    from workflows.analysis.records import read_results, read_runs
    from workflows.files import write_text
    from workflows.reporting.verdict import judge

    sentences = judge(read_results(options.results), read_runs(options.runs)).sentences
    write_text("".join(f"- {sentence}\n" for sentence in sentences), options.out)


def _html(options: argparse.Namespace) -> None:
    from workflows.reporting.html import write_html

    write_html(options.experiment_dir, options.out)


def _so_far(options: argparse.Namespace) -> None:
    from workflows.reporting.partial import report_so_far

    page, scored, planned = report_so_far(options.experiment_dir)
    print(f"{page}: {scored} of {planned} runs are scored")


if __name__ == "__main__":
    sys.exit(main())
