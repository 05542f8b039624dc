"""`python -m workflows.analysis.column_docs`: write the columns of train.csv and of tables into docs/results.md."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from workflows.analysis.tables import TABLES
from workflows.files import write_text
from workflows.generated_docs import rewritten
from workflows.training import history

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def columns_of_tables() -> str:
    """One Markdown section per table, its columns in a list."""
    sections = []
    for name, table in TABLES.items():
        sections.append(f"### `{name}.csv`\n\n{table.about}.\n\n{_listed(table.columns)}")
    return "\n\n".join(sections)


def _listed(columns: Mapping[str, str]) -> str:
    return "\n".join(f"- `{column}`" + (f": {meaning}" if meaning else "") for column, meaning in columns.items())


def page() -> str:
    """The page as the code has it now."""
    text = PAGE.read_text(encoding="utf-8")
    return rewritten(rewritten(text, "train.csv", _listed(history.COLUMNS)), "tables", columns_of_tables())


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m workflows.analysis.column_docs", description=__doc__).parse_args()
    write_text(page(), PAGE)
