import numpy as np
import pytest

from tests.helpers import raises_naming
from workflows.command_line import InputError
from workflows.readers import numbers, read_arrays, read_csv, read_json


def test_whole_files_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("name,value\nü,1.5\nnone,\n", encoding="utf-8")
    table = read_csv(tmp_path / "a.csv", ("name", "value"), dtype=str, keep_default_na=False)
    assert table["name"].tolist() == ["ü", "none"]
    np.testing.assert_array_equal(numbers(table, "value", "a.csv"), [1.5, np.nan])
    (tmp_path / "a.json").write_text('{"a": [1]}')
    assert read_json(tmp_path / "a.json") == {"a": [1]}
    np.savez(tmp_path / "a.npz", a=np.arange(3), b=1)
    assert read_arrays(tmp_path / "a.npz", ("a",))["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b'a\n"', b"a,b\n1\n1,2,3\n", b"[1]", b"[" * 10**5, b"PK\x03\x04"]
)
@pytest.mark.parametrize(
    "read", [lambda path: read_csv(path, ("name",)), read_json, lambda path: read_arrays(path, "a")]
)
def test_a_damaged_file_is_named(tmp_path, read, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with raises_naming(InputError, path) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    for read in (read_csv, read_json, lambda path: read_arrays(path, "a")):
        with raises_naming(FileNotFoundError, repr(str(tmp_path / "absent"))):
            read(tmp_path / "absent")


def test_a_value_that_is_no_number_is_named_with_its_line(tmp_path):
    (tmp_path / "a.csv").write_text("value\n1\nmuch\n")
    with raises_naming(InputError, "a.csv", "value", "'much'", "line 3"):
        numbers(read_csv(tmp_path / "a.csv"), "value", "a.csv")
