"""Names of images, and the digits of a table."""

import pandas as pd
import pytest

from workflows.files import is_image, write_csv


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("deep/B.JPEG", True), ("a.tar.TIF", True)]
    + [(name, False) for name in ("a.txt", "png", ".hidden.png", "deep/._a.png", "a.png.part", "a.gif")],
)
def test_an_image_has_a_known_suffix_and_is_not_hidden(name, expected):
    assert is_image(name) == expected


def test_a_table_has_seven_significant_digits_or_all(tmp_path):
    table = pd.DataFrame({"a,b": ["ü", None], "value": [0.1 + 0.2, 123456789.0]})
    write_csv(table, tmp_path / "short.csv")
    assert (tmp_path / "short.csv").read_bytes() == '"a,b",value\nü,0.3\n,1.234568e+08\n'.encode()
    write_csv(table, tmp_path / "all.csv", digits=None)
    assert pd.read_csv(tmp_path / "all.csv")["value"].tolist() == table["value"].tolist()
    assert {path.name for path in tmp_path.iterdir()} == {"short.csv", "all.csv"}
