"""A small experiment as the earlier stages write it, in a folder of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import gather, write_experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[..., tuple[Path, list[str]]]:
    """Makes an experiment's folder: `experiment(seeds=(0, 1, 2))` returns it and its runs' names."""

    def make(name: str = "small", **options) -> tuple[Path, list[str]]:
        folder = tmp_path / name
        return folder, write_experiment(folder, **options)

    return make


@pytest.fixture
def gathered(experiment) -> Callable[..., tuple[pd.DataFrame, pd.DataFrame]]:
    """Makes an experiment and gathers it: `results, runs = gathered(seeds=(0, 1), lost=["ipt-20-seed-0"])`."""

    def make(lost: Sequence[str] = (), **options) -> tuple[pd.DataFrame, pd.DataFrame]:
        folder, names = experiment(**options)
        for name in lost:
            (folder / "runs" / name / "metrics.csv").unlink()
        return gather(folder, names)

    return make
