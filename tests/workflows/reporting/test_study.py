import pytest

from tests.helpers import raises_naming
from workflows.command_line import InputError
from workflows.reporting.study import Study
from workflows.reporting.tables import write_tables


@pytest.mark.parametrize("content", ["", '"', "a,b\n1,2\n"])
@pytest.mark.parametrize("name", ["tables/summary.csv", "learning_rates.csv"])
def test_a_damaged_table_is_named(studies, tmp_path, name, content):
    for path in studies(fractions=(1.0,)).folder.glob("**/*.csv"):
        copy = tmp_path / path.relative_to(studies(fractions=(1.0,)).folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "experiment.yaml").write_text("models: [{name: edsr, learning_rates: [0.1, 0.2]}]")
    (tmp_path / name).write_text(content)
    with raises_naming(InputError, tmp_path / name):
        write_tables(Study(tmp_path), tmp_path / "out")
