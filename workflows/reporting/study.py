"""Reads an experiment's folder: its config, `results.csv`, `runs.csv` and the tables of the analysis."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from workflows.analysis.records import ReportError, labels, read_results, read_runs
from workflows.analysis.tables import TABLES
from workflows.config import reading
from workflows.config.schema import Style
from workflows.readers import read_csv

# Columns that are always text.
_TEXT = ["task", "dataset", "model", "rival", "other", "with", "without", "baseline", "value", "image", "setting"]
_TEXT += ["windows", "span"]


class Study:
    """Reads each file once, when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, pd.DataFrame] = {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """`experiment.yaml`; empty without one."""
        path = self.folder / "experiment.yaml"
        return reading.load(path) if path.is_file() else {}

    @property
    def report(self) -> dict[str, Any]:
        """`report` of the config."""
        return self.config.get("report") or {}

    @property
    def style(self) -> Style:
        """`report.style` of the config."""
        return Style.model_validate(self.report.get("style") or {})

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row per image: see `workflows.analysis.records`."""
        return read_results(self.folder / "results.csv")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run: see `workflows.analysis.records`."""
        return read_runs(self.folder / "runs.csv")

    @cached_property
    def labels(self) -> dict[str, str]:
        """The models' names in figures and tables."""
        return labels(self.runs)

    def table(self, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
        """`tables/<name>.csv`: see `workflows.analysis.tables`.

        Args:
            name: the table's.
            columns: those that it needs, if `TABLES` does not say.

        Raises:
            InputError: if it is missing or damaged.
        """
        if name not in self._tables:
            path = self.folder / "tables" / f"{name}.csv"
            try:
                kinds = dict.fromkeys(_TEXT, "str")
                needed = columns or [
                    column for column in (TABLES[name].columns if name in TABLES else ()) if "<" not in column
                ]
                self._tables[name] = read_csv(path, needed, dtype=kinds, keep_default_na=False, na_values=[""])
            except FileNotFoundError:
                hint = "python -m workflows.analysis --help"
                raise ReportError(f"{path}: is missing; the analysis writes it ({hint})") from None
        return self._tables[name]
