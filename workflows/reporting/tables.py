"""Every table in three forms: tidy CSV with unrounded numbers, Markdown, and LaTeX with booktabs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from workflows.analysis.costs import costs
from workflows.analysis.effects import crossovers, data_limits, differences, gaps, power_laws
from workflows.analysis.means import ensembled, summarise
from workflows.analysis.published import published
from workflows.analysis.records import SCORED_ON
from workflows.files import write_text
from workflows.reporting import score_tables, study_tables
from workflows.reporting.markup import LATEX, MARKDOWN, Block, to_latex, to_markdown
from workflows.reporting.outline import TABLES


@dataclass(frozen=True)
class Table:
    """A table: its data, its form for readers, and what is said where there is nothing in it; titles are in `contents`."""

    data: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]
    blocks: Callable[..., list[Block]]
    nothing: str


def _data(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    keys = [*SCORED_ON, "model"]
    return data_limits(results, runs).merge(power_laws(results, runs), on=keys, how="outer", sort=False)


def tables(bootstrap: bool = False) -> dict[str, Table]:
    """All tables by file name, in reading order; `bootstrap` adds intervals over seeds × images to the differences."""
    found = {
        "summary": Table(summarise, score_tables.blocks, "No run is scored yet."),
        "differences": Table(
            partial(differences, bootstrap=bootstrap),
            partial(study_tables.difference_blocks, bootstrap=bootstrap),
            "No two models are scored at one fraction and seed.",
        ),
        "crossovers": Table(
            crossovers,
            study_tables.crossover_blocks,
            "There are no two fractions at which an IPT and another network are both scored.",
        ),
        "data": Table(_data, study_tables.data_blocks, "No model is scored at two fractions."),
        "gaps": Table(lambda _, runs: gaps(runs), study_tables.gap_blocks, "No run has both losses."),
        "costs": Table(
            lambda results, runs: costs(summarise(results, runs), runs),
            study_tables.cost_blocks,
            "Nothing was trained.",
        ),
        "published": Table(
            lambda results, runs: published(results, summarise(results, runs), runs),
            study_tables.published_blocks,
            "There are no published numbers for the sets and tasks scored here.",
        ),
        "ensembled": Table(
            ensembled,
            score_tables.ensembled_blocks,
            "Nothing was scored with overlap averaging or self-ensemble.",
        ),
    }
    return {name: found[name] for name in TABLES}


def write_tables(results: pd.DataFrame, runs: pd.DataFrame, folder: Path, bootstrap: bool = False) -> None:
    """Write `<name>.md` and `<name>.tex` for every table, the empty ones too.

    Raises:
        ReportError: `bootstrap` with fewer than eight seeds.
    """
    for name, table in tables(bootstrap).items():
        write_text(to_markdown(table.blocks(results, runs, MARKDOWN), table.nothing), folder / f"{name}.md")
        write_text(to_latex(table.blocks(results, runs, LATEX), table.nothing), folder / f"{name}.tex")
