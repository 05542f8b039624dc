"""The report of an unfinished grid: `python -m workflows.partial_report results/<name>`.

Analysis and reporting, one after the other, of the scores so far; the rest is marked as missing. It is written to a separate
folder, `partial/`, so that it is not mistaken for the full report.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from workflows.command_line import exit_status
from workflows.config import grid


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.partial_report", description="Report an unfinished grid."
    )
    parser.add_argument("experiment_dir", type=Path, help="results/<name>; the report lands in its folder partial/")
    options = parser.parse_args(arguments)

    def report() -> None:
        page, scored, planned = report_partially(options.experiment_dir)
        print(f"{page}: {scored} of {planned} runs are scored")

    return exit_status(report)


def report_partially(experiment_dir: Path) -> tuple[Path, int, int]:
    """Write `partial/report.html` with its tables and figures.

    Args:
        experiment_dir: results/<name>, with `experiment.yaml` and the scored runs.

    Returns:
        The page, the number of scored runs, and the number of planned ones.

    Raises:
        ReportError: if no trained run is scored yet.
    """
    # Here, because they load torch and drawing libraries, which --help does not need.
    from workflows.analysis import computation
    from workflows.analysis.collect import collect_results, collect_runs, missing
    from workflows.analysis.records import ReportError
    from workflows.files import write_csv
    from workflows.reporting import outline, tables
    from workflows.reporting.html import write_html
    from workflows.reporting.study import Study
    from workflows.reporting.style import house_style, save

    spec = grid.read(experiment_dir / "experiment.yaml")
    names = [*spec.references, *spec.runs()]
    out = experiment_dir / "partial"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    write_csv(collect_results(experiment_dir, names), out / "results.csv")
    write_csv(collect_runs(experiment_dir, names), out / "runs.csv")
    study = Study(out)
    results, runs = study.results, study.runs
    if results["fraction"].isna().all():
        shutil.rmtree(out)
        raise ReportError(f"{experiment_dir}: no trained run is scored yet, so there is nothing to report")
    shutil.copyfile(experiment_dir / "experiment.yaml", out / "experiment.yaml")
    for name in ("runs", "inputs"):  # the page reads provenance and pictures from there
        (out / name).symlink_to(Path("..") / name)
    logs = [log for name in spec.runs() if (log := experiment_dir / "runs" / name / "train.csv").is_file()]
    computation.write_tables(results, runs, out / "tables", logs)
    tables.write_tables(study, out / "tables")
    for name in outline.figures(spec):
        with house_style(study.style):
            drawn = import_module(f"workflows.reporting.figures.{name}").draw(study)
            save(*drawn, [out / "figures" / f"{name}.{suffix}" for suffix in ("png", "pdf", "csv")])
    write_html(out, out / "report.html")
    return out / "report.html", len(runs) - len(missing(runs)), len(runs)


if __name__ == "__main__":
    sys.exit(main())
