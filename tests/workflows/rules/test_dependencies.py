"""What is made again after a change of the project's own code or of a config: a statistic re-runs no scoring, a label too."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CONFIG = {
    "name": "small",
    "fractions": [0.5, 1.0],
    "models": [
        {"name": "ipt", "label": "IPT", "variant": "ipt_tiny", "learning_rates": [0.001, 0.002]},
        {"name": "edsr", "variant": "edsr_tiny"},
    ],
    "training": {"budget": {"steps": 10}, "patch_size": 24, "accelerator": "cpu", "learning_rate": 0.001},
    "trial_seeds": [9],
    "evaluation": {"ensembles": ["x8"]},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the workflow with an experiment that is finished, as far as a dry run looks at it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("workflows", "ipt_models", "baselines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    for line in snakemake(folder, "--summary").splitlines():
        path = folder / line.split("\t")[0]
        if line.startswith("results/"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir()
    snakemake(folder, "--touch")
    return folder


def snakemake(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config.yaml", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def jobs_after(folder: Path, source: str, change: tuple[str, str] | None = None) -> set[str]:
    """Names of the rules that a change of a source file, or of some of its text, makes run."""
    path = folder / "workflows" / source
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(*change) if change else before + "\n", encoding="utf-8")
    try:
        text = snakemake(folder, "--dry-run", "--quiet", "reason")
    finally:
        path.write_text(before, encoding="utf-8")
    return set(re.findall(r"^(\w+) +\d+$", text, re.MULTILINE)) - {"total", "all"}


def test_a_changed_statistic_runs_the_analysis_again_and_no_scoring(checkout):
    jobs = jobs_after(checkout, "analysis/gains.py")
    assert "analyse" in jobs
    assert not {"train", "evaluate", "evaluate_reference", "collect", "comparison"} & jobs


def test_a_changed_label_or_dropped_ensemble_gathers_again_and_scores_nothing(checkout):
    jobs = jobs_after(checkout, "../config.yaml", ("label: IPT", "label: Transformer"))
    assert {"collect", "learning_rates"} <= jobs
    dropped = jobs_after(checkout, "../config.yaml", ("ensembles:\n  - x8", "ensembles: []"))
    assert "collect" in dropped
    assert not [job for job in jobs | dropped if job.startswith(("train", "evaluate"))]


def test_a_changed_colour_or_caption_runs_no_analysis_again(checkout):
    for source, remade in (("reporting/style.py", "figure_psnr_fraction"), ("reporting/captions/tables.rst", "report")):
        jobs = jobs_after(checkout, source)
        assert remade in jobs
        assert not {"collect", "analyse", "evaluate"} & jobs


def test_a_figure_is_drawn_again_after_a_change_of_any_module_that_it_imports(checkout):
    assert "figure_gains" in jobs_after(checkout, "reporting/numbers.py")
    assert jobs_after(checkout, "reporting/figures/gains.py") == {"figure_gains", "report"}
