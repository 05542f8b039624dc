"""`python -m workflows.reporting <command>`: render an experiment's tables as Markdown, LaTeX, figures and a page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from workflows.command_line import InputError, exit_status, refuse_repeated
from workflows.reporting.outline import FIGURES

# Each command imports what it needs: drawing libraries cost seconds, and --help needs none of them.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.reporting", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    tables = commands.add_parser("tables", help="write every table as Markdown and LaTeX")
    _add_experiment(tables)
    tables.add_argument("--out-dir", type=Path, required=True, help="for <table>.md and <table>.tex")
    tables.set_defaults(run=_tables)

    figure = commands.add_parser("figure", help="draw one figure; a .csv among the outputs holds what it shows")
    figure.add_argument("name", choices=FIGURES)
    _add_experiment(figure)
    _add_drawn(figure)
    figure.set_defaults(run=_figure)

    comparison = commands.add_parser("comparison", help="show one image as restored by every model, with a zoomed crop")
    _add_experiment(comparison)
    _add_picture(comparison)
    comparison.add_argument(
        "--crop",
        type=int,
        nargs=4,
        metavar=("X", "Y", "W", "H"),
        help="in HR pixels; default: a detailed region where the models differ most",
    )
    comparison.add_argument("--crops-only", action="store_true", help="omit the whole image")
    _add_drawn(comparison)
    comparison.set_defaults(run=_comparison)

    similarity = commands.add_parser(
        "similarity", help="map the similarity of IPT's patch features to reference patches"
    )
    _add_experiment(similarity)
    _add_picture(similarity)
    similarity.add_argument("--runs", nargs="+", required=True, help="one row per run")
    similarity.add_argument("--maps-only", action="store_true", help="omit the image")
    _add_drawn(similarity)
    similarity.set_defaults(run=_similarity)

    page = commands.add_parser("html", help="write the whole report as one HTML file")
    _add_experiment(page)
    page.add_argument("--out", type=Path, required=True)
    page.set_defaults(run=_html)
    return parser


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--experiment-dir",
        type=Path,
        required=True,
        help="folder with experiment.yaml, results.csv, runs.csv, tables/ and runs/",
    )


def _add_picture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--image", required=True, help="the image's name without suffix")
    parser.add_argument("--task", required=True)


def _add_drawn(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, nargs="+", required=True, help=".png, .pdf and .csv")


def _tables(options: argparse.Namespace) -> None:
    from workflows.reporting.study import Study
    from workflows.reporting.tables import write_tables

    write_tables(Study(options.experiment_dir), options.out_dir)


def _figure(options: argparse.Namespace) -> None:
    from importlib import import_module

    _draw(options, import_module(f"workflows.reporting.figures.{options.name}").draw)


def _comparison(options: argparse.Namespace) -> None:
    from workflows.reporting.comparison import draw

    _draw(options, draw, options.task, options.dataset, options.image, options.crop, not options.crops_only)


def _similarity(options: argparse.Namespace) -> None:
    from workflows.reporting.similarity import draw

    refuse_repeated("--runs", options.runs)
    _draw(options, draw, options.task, options.dataset, options.image, options.runs, not options.maps_only)


def _draw(options: argparse.Namespace, draw, *arguments) -> None:
    from workflows.reporting.study import Study
    from workflows.reporting.style import FORMATS, house_style, save

    if unknown := [path for path in options.out if path.suffix not in FORMATS]:
        raise InputError(f"--out: {', '.join(map(str, unknown))}: unknown format; allowed: {', '.join(FORMATS)}")
    study = Study(options.experiment_dir)
    with house_style(study.style):
        save(*draw(study, *arguments), options.out)


def _html(options: argparse.Namespace) -> None:
    from workflows.reporting.html import write_html

    write_html(options.experiment_dir, options.out)


if __name__ == "__main__":
    sys.exit(main())
