"""Experiments with their analysis done, each made once for all tests that read it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.helpers import analyse, write_experiment
from workflows.reporting.study import Study
from workflows.reporting.style import house_style


@pytest.fixture(scope="session")
def studies(tmp_path_factory) -> Callable[..., Study]:
    """Makes an experiment and its tables: `studies(seeds=(0, 1), lost=["ipt-20-seed-0"])`; equal calls share a folder."""
    known: dict[str, Path] = {}

    def make(lost: Sequence[str] = (), **options) -> Study:
        key = json.dumps([*lost, options], sort_keys=True, default=str)
        if key not in known:
            folder = tmp_path_factory.mktemp("study") / "small"
            names = write_experiment(folder, **options)
            for name in lost:
                (folder / "runs" / name / "metrics.csv").unlink()
            analyse(folder, names)
            known[key] = folder
        return Study(known[key])

    return make


@pytest.fixture
def styled():
    """Figures as the commands draw them."""
    with house_style():
        yield
