"""Which finished trainings of a copy Snakemake takes for up to date: those of the config, whatever their files' times."""

import json
import os

import pytest

from workflows import provenance
from workflows.config.grid import parse
from workflows.freshness import settle
from workflows.training.reuse import RESULTS

CONFIG = {
    "name": "micro",
    "models": [{"name": "first", "variant": "edsr_tiny"}, {"name": "second", "variant": "rdn_tiny"}],
    "training": {"patch_size": 24, "learning_rate": 0.01},
}
TABLES = ("fraction-100-seed-0.csv", "validation.csv")


@pytest.fixture
def copied(tmp_path):
    """Two finished runs whose tables are newer, as after a copy."""
    (tmp_path / "data").mkdir()
    for name in TABLES:
        (tmp_path / "data" / name).write_text(name)
        os.utime(tmp_path / "data" / name, (1000, 1000))
    used = {name: provenance.sha256(tmp_path / "data" / name) for name in TABLES}
    for run in parse(CONFIG).trainings().values():
        folder = tmp_path / "runs" / run.name
        folder.mkdir(parents=True)
        for name in RESULTS:
            (folder / name).write_text(json.dumps({"digest": run.digest, "data": used}))
            os.utime(folder / name, (500, 500))
    return tmp_path


def stale(folder) -> set[str]:
    """Runs that are older than one of their tables."""
    tables = max((folder / "data" / name).stat().st_mtime for name in TABLES)
    return {path.parent.name for path in folder.glob("runs/*/*") if path.stat().st_mtime < tables}


@pytest.mark.parametrize("edited", [(), ("first",), ("second",), ("first", "second")])
def test_exactly_the_edited_runs_are_trained_again(copied, edited):
    own = {"training": {"learning_rate": 0.02}}
    models = [model | own if model["name"] in edited else model for model in CONFIG["models"]]
    settle(copied, parse(CONFIG | {"models": models}).trainings())
    assert stale(copied) == {f"{name}-100-seed-0" for name in edited}
    settle(copied, parse(CONFIG).trainings())
    assert stale(copied) == set(), "the edit is undone"


def test_runs_of_other_images_stay_older_than_their_tables(copied):
    (copied / "data" / TABLES[0]).write_text("others")
    settle(copied, parse(CONFIG).trainings())
    assert len(stale(copied)) == 2
