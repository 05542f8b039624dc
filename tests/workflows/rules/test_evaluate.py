"""Scoring under Snakemake: any name of a folder or an image, and scores again when, and only when, images changed."""

import shutil

import pandas as pd
import pytest

from tests.helpers import texture
from tests.snakemake_call import run_snakemake
from workflows.evaluation.image_files import write

EVIL = "it's a $(touch PWN) {x} [1]"
SCORES = "results/names/runs/{}/metrics.csv"


@pytest.fixture
def snakemake(tmp_path):
    """Runs the workflow on bicubic and on outputs of another program, all in folders with names that break shells."""
    config = {
        "name": "names",
        "models": [],
        "evaluation": {
            "sets": [f"mine={EVIL}"],
            "data_root": str(tmp_path / EVIL),
            "methods": [{"name": "theirs", "restored": str(tmp_path / f"outputs of {EVIL}"), "training_data": "-x"}],
        },
        "report": {"comparisons": [{"dataset": "mine", "image": name, "task": "sr2"} for name in (EVIL, "-1a")]},
    }
    for number, name in enumerate(("a", EVIL, "-1a")):
        write(tmp_path / EVIL / EVIL / f"{name}.png", texture(number, 24, 30))
        write(tmp_path / f"outputs of {EVIL}" / f"{name}_x2.png", texture(number + 5, 24, 30))

    def run(*arguments: str, root: str = EVIL, **scoring) -> str:
        config["evaluation"] |= {"data_root": str(tmp_path / root), **scoring}
        targets = [SCORES.format("bicubic"), SCORES.format("theirs"), "results/names/inputs"]
        return run_snakemake(tmp_path, config, *targets, *arguments, cores=1)

    return run


def test_names_are_never_code_and_changed_images_are_scored_again(tmp_path, snakemake):
    snakemake()
    assert not list(tmp_path.rglob("PWN"))
    for name in ("bicubic", "theirs"):
        table = pd.read_csv(tmp_path / SCORES.format(name))
        assert list(table["image"]) == ["-1a", "a", EVIL]
        for image in ("-1a", EVIL):
            assert (tmp_path / "results/names/runs" / name / "images/sr2/mine" / f"{image}.png").is_file()
    assert (tmp_path / "results/names/inputs/sr2/mine" / f"{EVIL}_HR.png").is_file()

    shutil.copytree(tmp_path / EVIL, tmp_path / "moved", copy_function=shutil.copyfile)
    assert "Nothing to be done" in snakemake("--dry-run", root="moved", runtime_minutes=90, memory_mb=4000)
    write(tmp_path / "moved" / EVIL / "a.png", texture(9, 24, 30))
    again = snakemake("--dry-run", "--quiet", "reason", root="moved")
    assert "evaluate_reference" in again
    assert "evaluate_method" in again
