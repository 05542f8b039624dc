"""`python -m workflows.analysis.column_docs`: write the tables' columns into docs/results.md."""

from pathlib import Path

from workflows.analysis.tables import TABLES
from workflows.files import write_text
from workflows.generated_docs import rewritten

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def columns_of_tables() -> str:
    """One Markdown section per table, its columns in a list."""
    sections = []
    for name, table in TABLES.items():
        columns = [f"- `{column}`" + (f": {meaning}" if meaning else "") for column, meaning in table.columns.items()]
        sections.append(f"### `{name}.csv`\n\n{table.about}.\n\n" + "\n".join(columns))
    return "\n\n".join(sections)


def page() -> str:
    """The page as the code has it now."""
    return rewritten(PAGE, "tables", columns_of_tables())


if __name__ == "__main__":
    write_text(page(), PAGE)
