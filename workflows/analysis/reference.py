"""`python -m workflows.analysis.reference`: write the tables' columns into docs/results.md."""

from pathlib import Path

from workflows.analysis.tables import TABLES
from workflows.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "results.md"
BEGIN, END = "<!-- tables: written by `make docs` -->", "<!-- end of tables -->"


def reference() -> str:
    """One Markdown section per table, its columns in a list."""
    sections = []
    for name, table in TABLES.items():
        columns = [f"- `{column}`" + (f": {meaning}" if meaning else "") for column, meaning in table.columns.items()]
        sections.append(f"### `{name}.csv`\n\n{table.about}.\n\n" + "\n".join(columns))
    return "\n\n".join(sections)


def rewritten(text: str) -> str:
    """`text` of the page with the part between the markers replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


if __name__ == "__main__":
    write_text(rewritten(PAGE.read_text(encoding="utf-8")), PAGE)
