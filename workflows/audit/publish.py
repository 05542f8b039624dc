"""What of an experiment is worth keeping in a repository: everything that a reader checks numbers by, without weights and images.

`verify` still checks what is there: configs, scores, tables. Of benchmark images, which are other people's, small crops
and maps alone are kept: no comparison or similarity map that shows a whole image.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from workflows.analysis.records import ReportError
from workflows.config import grid
from workflows.reporting.outline import slugs

KEPT = (
    *("experiment.yaml", "results.csv", "runs.csv", "learning_rates.csv", "learning_rates.md"),
    *("tables/*", "figures/*", "data/*.csv"),
    *("runs/*/metrics.csv", "runs/*/metrics.json", "runs/*/train.csv", "runs/*/provenance.json"),
)
LARGEST = 2**20  # bytes of a file


def excerpt(experiment_dir: Path, out: Path) -> list[Path]:
    """Copy the small files of a finished experiment; `out` appears whole or not at all, and replaces an older one.

    Args:
        experiment_dir: results/<name>.
        out: for example results/reference/<name>.

    Returns:
        The copied files, relative to `out`.

    Raises:
        ReportError: the experiment has no results.csv, or a file is larger than 1 MiB.
    """
    if not (experiment_dir / "results.csv").is_file():
        raise ReportError(f"{experiment_dir}: no results.csv, so nothing to keep; run the experiment first")
    report = grid.read(experiment_dir / "experiment.yaml").report
    parts = {f"comparison-{slug}" for slug, shown in slugs(report.comparisons).items() if not shown.whole}
    parts |= {
        f"similarity-{slug}" for slug, shown in slugs(filter(None, [report.similarity])).items() if not shown.whole
    }
    files = [file for file in _files(experiment_dir) if not _shows_an_image(file, parts)]
    for file in files:
        if (size := (experiment_dir / file).stat().st_size) > LARGEST:
            raise ReportError(
                f"{experiment_dir / file} has {size:,} bytes; a repository is given at most {LARGEST:,} a file"
            )
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    for file in files:
        (temporary / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(experiment_dir / file, temporary / file)
    if out.exists():
        shutil.rmtree(out)
    temporary.rename(out)
    return files


def _shows_an_image(file: Path, parts: set[str]) -> bool:
    """Whether a figure shows an image as a whole; `parts` names those that show crops or maps alone."""
    pictured = file.suffix in (".png", ".pdf") and file.name.startswith(("comparison-", "similarity-"))
    return pictured and file.stem not in parts


def _files(experiment_dir: Path) -> Iterator[Path]:
    for pattern in KEPT:
        for path in sorted(experiment_dir.glob(pattern)):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(experiment_dir)
