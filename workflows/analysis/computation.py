"""Computes the tables that `tables.py` documents, each once."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from workflows.analysis import curves
from workflows.analysis.ablations import effects
from workflows.analysis.cells import Grid, grids
from workflows.analysis.claims import claims
from workflows.analysis.contrastive_pairs import gains as contrastive_gains
from workflows.analysis.costs import costs
from workflows.analysis.crossovers import crossovers
from workflows.analysis.data_needs import data_needs, loss_gaps
from workflows.analysis.data_slopes import data_slopes
from workflows.analysis.differences import differences
from workflows.analysis.gains import gain_differences, gains
from workflows.analysis.means import ensembled, identical_images, per_seed, summarise
from workflows.analysis.power_laws import power_laws
from workflows.analysis.published import published
from workflows.analysis.records import transformers
from workflows.analysis.tables import TABLES
from workflows.files import write_csv


class Tables(dict):
    """All tables of an experiment by name, each computed when it is first requested.

    Args:
        results, runs: as `read_results` and `read_runs` give them.
        train_logs: the runs' `train.csv`.
    """

    def __init__(self, results: pd.DataFrame, runs: pd.DataFrame, train_logs: Sequence[Path] = ()) -> None:
        super().__init__()
        self.results, self.runs, self.train_logs = results, runs, train_logs

    @cached_property
    def grids(self) -> list[Grid]:
        """The scores of the grid, set by set."""
        return grids(self.results, self.runs)

    def __missing__(self, name: str) -> pd.DataFrame:
        self[name] = COMPUTED[name](self)
        return self[name]


COMPUTED: dict[str, Callable[[Tables], pd.DataFrame]] = {
    "summary": lambda t: summarise(t.results, t.runs),
    "ensembled": lambda t: ensembled(t.results, t.runs),
    "seeds": lambda t: per_seed(t.results, setting=None),
    "identical": lambda t: identical_images(t.results),
    "claims": lambda t: claims(t, transformers(t.runs)),
    "quality_data": lambda t: curves.quality_data(t.results, t.runs),
    "gains": lambda t: gains(t.grids, t.runs),
    "gain_differences": lambda t: gain_differences(t.grids, t.runs),
    "slopes": lambda t: data_slopes(t.grids, t.runs),
    "crossovers": lambda t: crossovers(t.grids, t.runs),
    "differences": lambda t: differences(t.grids, t.runs),
    "contrastive": lambda t: contrastive_gains(t.results, t.runs),
    "gradient_shares_by_seed": lambda t: curves.gradient_shares_by_seed(t.runs),
    "gradient_shares": lambda t: curves.gradient_shares(t["gradient_shares_by_seed"]),
    "ablations": lambda t: effects(t.grids, t.results, t.runs),
    "data": lambda t: data_needs(t, power_laws(t.grids, t.runs), t.runs),
    "gaps": lambda t: loss_gaps(t.runs),
    "costs": lambda t: costs(t["summary"], t.runs),
    "quality_cost": lambda t: curves.quality_cost(t["quality_data"], t.runs),
    "published": lambda t: published(t.results, t["summary"], t.runs),
    "learning_curves": lambda t: curves.learning_curves(t.runs, t.train_logs),
}


def write_tables(results: pd.DataFrame, runs: pd.DataFrame, folder: Path, train_logs: Sequence[Path] = ()) -> None:
    """Write `<folder>/<name>.csv` for every table, including empty ones."""
    tables = Tables(results, runs, train_logs)
    for name in TABLES:
        write_csv(tables[name], folder / f"{name}.csv", digits=None)
