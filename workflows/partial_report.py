"""The report of an unfinished grid: `python -m workflows.partial_report results/<name>`.

Analysis and reporting, one after the other, of the scores so far; the rest is marked as missing, and so are runs that wait to
be trained or scored again because the config was edited. It is written to a separate folder, `partial/`, so that it is not
mistaken for the full report. A later call replaces the folder when its page is complete.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ipt_models.tasks import parse_task
from workflows.command_line import InputError, exit_status
from workflows.config import grid
from workflows.config.benchmark_sets import parse_set
from workflows.config.experiment import Experiment
from workflows.evaluation.job_options import JobOptions
from workflows.files import write_csv, write_text

MADE = ".made"  # lists what the command wrote, relative to its folder


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
        InputError: if no trained run is scored yet, a file of the experiment is damaged, or `partial` holds files of others.
    """
    spec = grid.read(experiment_dir / "experiment.yaml")
    out, new = experiment_dir / "partial", experiment_dir / ".partial-new"
    _refuse_others(out)
    shutil.rmtree(new, ignore_errors=True)  # left by a killed call
    new.mkdir()
    try:
        counts = _write(experiment_dir, spec, new)
        write_text("".join(f"{name}\n" for name in _files(new)), new / MADE)
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return out / "report.html", *counts


def _files(folder: Path) -> list[str]:
    """Files and links, relative to the folder; links are not followed."""
    paths = (Path(root, name) for root, folders, files in os.walk(folder) for name in (*folders, *files))
    return sorted(path.relative_to(folder).as_posix() for path in paths if path.is_symlink() or not path.is_dir())


def _refuse_others(out: Path) -> None:
    """Raise InputError if replacing `out` would delete what this command did not write."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"{out}: is not a folder of this command; move it away")
    listed = out / MADE
    made = {MADE, *(listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else ())}
    if others := [name for name in _files(out) if name not in made]:
        raise InputError(
            f"{out}: would be replaced, but this command did not write {others[0]}"
            + (f" and {len(others) - 1} other files" if others[1:] else "")
            + "; move what you need, and delete the folder"
        )


def _sets(spec: Experiment) -> dict[str, list[str]]:
    """The references, methods and runs of the config, each with the sets and tasks of its scores, as metrics.json names them."""
    options = JobOptions(spec)
    scored = {name: options.scored_sets(name) for name in (*spec.references, *options.methods, *options.runs)}
    return {
        name: [
            f"{request.label} {task}"
            for request in map(parse_set, sets)
            for task in tasks
            if parse_task(task).kind in request.kinds
        ]
        for name, (tasks, sets) in scored.items()
    }


def _write(experiment_dir: Path, spec: Experiment, out: Path) -> tuple[int, int]:
    """Write the page with its tables and figures to `out`; the numbers of scored and of planned runs."""
    # Here, because they load torch and drawing libraries, which --help does not need.
    from workflows.analysis import computation
    from workflows.analysis.collect import collect_results, collect_runs, missing
    from workflows.analysis.records import ReportError, is_of_another_config
    from workflows.reporting import outline, tables
    from workflows.reporting.html import write_html
    from workflows.reporting.study import Study
    from workflows.reporting.style import house_style, save

    records = {name: (experiment_dir / "runs" / name / "provenance.json", run) for name, run in spec.runs().items()}
    edited = {name for name, (path, run) in records.items() if path.is_file() and is_of_another_config(path, run)}
    sets = _sets(spec)
    write_csv(collect_results(experiment_dir, [name for name in sets if name not in edited], sets), out / "results.csv")
    write_csv(collect_runs(experiment_dir, sets, edited, sets), out / "runs.csv")
    study = Study(out)
    results, runs = study.results, study.runs
    if results["fraction"].isna().all():
        raise ReportError(f"{experiment_dir}: no trained run is scored yet, so there is nothing to report")
    shutil.copyfile(experiment_dir / "experiment.yaml", out / "experiment.yaml")
    for name in ("runs", "inputs"):  # the page reads provenance and pictures from there
        (out / name).symlink_to(Path("..") / name)
    # A log without provenance is of a run that is trained again.
    trained = [path for name, (path, _) in records.items() if name not in edited and path.is_file()]
    logs = [log for path in trained if (log := path.with_name("train.csv")).is_file()]
    computation.write_tables(results, runs, out / "tables", logs)
    tables.write_tables(study, out / "tables")
    for name in outline.figures(spec):
        with house_style(study.style):
            drawn = import_module(f"workflows.reporting.figures.{name}").draw(study)
            save(*drawn, [out / "figures" / f"{name}.{suffix}" for suffix in ("png", "pdf", "csv")])
    write_html(out, out / "report.html")
    return len(runs) - len(missing(runs)), len(runs)


if __name__ == "__main__":
    sys.exit(main())
