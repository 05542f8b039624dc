import subprocess
import sys

from workflows.imports import ROOT, sources

PACKAGE = "workflows.analysis"


def test_what_a_figure_works_by_is_found_through_other_modules():
    found = {
        path.removeprefix(f"{ROOT}/workflows/analysis/") for path in sources([f"{PACKAGE}.contrastive_pairs"], PACKAGE)
    }
    assert found == {"contrastive_pairs.py", "records.py", "statistics.py", "means.py"}


def test_nothing_is_missed_that_python_itself_loads():
    module = f"{PACKAGE}.effects"
    names = f"[sys.modules[m].__file__ for m in sys.modules if m.startswith('{PACKAGE}.')]"
    command = [sys.executable, "-c", f"import sys, {module}; print(*{names}, sep='\\n')"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert set(sources([module], PACKAGE)) == {path for path in loaded if not path.endswith("__init__.py")}
