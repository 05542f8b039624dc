"""Which of the project's files a module's work depends on, so that a rule runs again when one of them changes."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def sources(modules: Iterable[str], package: str) -> list[str]:
    """The files of some modules and of all modules of `package` that they import, directly or through one another.

    Args:
        modules: names with dots, for example `workflows.reporting.figures.psnr_fraction`.
        package: imports from elsewhere are not followed.

    Returns:
        Paths, sorted.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and (path := _path(name)):
            found[name] = path
            waiting += [other for other in _imports(path) if f"{other}.".startswith(f"{package}.")]
    return sorted(path.as_posix() for path in found.values())


def _path(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    """Names of modules that a file may import; a name that is a function in a module is one that has no file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
