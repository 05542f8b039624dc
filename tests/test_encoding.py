"""Every text file is read and written as UTF-8, whatever the locale."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("baselines", "benchmarks", "examples", "ipt_models", "workflows")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def without_encoding(source: str) -> Iterator[int]:
    """Lines of calls that open a file as text in the locale's encoding."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        match node.func:
            case ast.Attribute(attr="read_text") if not node.args:
                yield node.lineno
            case ast.Attribute(attr="write_text") if len(node.args) == 1:
                yield node.lineno
            case ast.Name(id="open"):
                modes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
                if not modes or "b" not in ast.literal_eval(modes[0]):
                    yield node.lineno


def test_every_text_file_is_opened_as_utf_8():
    assert len(FILES) > 100
    lines = [
        f"{path.relative_to(ROOT)}:{n}" for path in FILES for n in without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert not lines


def test_what_the_check_looks_for():
    wrong = "open(p); open(p, 'w'); p.read_text(); p.write_text(t)"
    right = "open(p, 'rb'); open(p, encoding='utf-8'); write_text(t, p); p.read_bytes()"
    assert (list(without_encoding(wrong)), list(without_encoding(right))) == ([1, 1, 1, 1], [])


@pytest.mark.parametrize("locale", ["C", "zh_CN.GBK"])
def test_the_projects_own_configs_are_read_in_any_locale(locale):
    """PYTHONUTF8=0 keeps Python from choosing UTF-8 by itself in the C locale."""
    code = "from workflows.config import grid; print(ascii(grid.read('config/ablations/lambda.yaml').models[1].label))"
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\\u03bb" in done.stdout
