"""Reporting renders: it computes nothing from scores."""

import ast
from pathlib import Path

import pytest

import workflows.reporting

ROOM = Path(workflows.reporting.__file__).parent
FILES = sorted(ROOM.rglob("*.py"))
# What reporting may read from the analysis: names and readers.
READERS = {"records", "tables"}
LIBRARIES = {"pandas", "numpy", "matplotlib", "seaborn", "PIL", "jinja2", "docutils", "yaml"}
# Methods of tables and arrays that would compute a statistic.
STATISTICS = {
    "mean",
    "median",
    "std",
    "var",
    "sem",
    "quantile",
    "corr",
    "rank",
    "agg",
    "aggregate",
    "rolling",
    "describe",
}
# Pixels are not scores: which crop is shown is chosen by an image's own pixels.
OF_PIXELS = {"image_panels.py"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(path: Path) -> set[str]:
    """Modules that a file imports."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module in ("workflows.analysis", "workflows.reporting") else {node.module}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_of_statistics_is_imported(path):
    import sys

    imported = modules(path)
    analysis = {name.split(".")[2] for name in imported if name.startswith("workflows.analysis")}
    assert analysis <= READERS
    other = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) - LIBRARIES
    assert other <= {"workflows", "ipt_models"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_statistic_is_computed(path):
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    assert path.name in OF_PIXELS or not names & STATISTICS
