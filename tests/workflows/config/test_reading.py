"""A config's file: UTF-8, each key once, a section of keys, no program."""

import pytest

from tests.helpers import raises_naming
from workflows.config.reading import ConfigError, load


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"name: a\nseeds: [0]\nname: b\n", ["name", 1, 3]),
        (b"training:\n  threads: 1\n  threads: 2\n", ["threads", 2, 3]),
        ("label: \u03bb".encode("gbk"), ["UTF-8", 8]),
        (b"- name: x\n", ["`name`"]),
        (b"", ["`name`"]),
        (b"name: [\n", ["YAML"]),
        (b"name: a\nmodels:\n  - {name: b\nseeds: [0]\n", ["YAML", "line 4, column 6", "on line 3"]),
        (b"name: a\n seeds: [0]\n", ["YAML", "line 2, column 7"]),
        (b"name: *a\n", ["YAML", "line 1, column 7", "alias"]),
        (b"name: 2020-99-99\n", ["YAML"]),
        (b"? [a]\n: 1\n", ["line 1", "['a']"]),
        (b"__use_yte__: true\nname: x\n", ["__use_yte__"]),
    ],
)
def test_what_is_no_config_is_refused_with_its_file_and_reason(tmp_path, data, named):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with raises_naming(ConfigError, path, *named):
        load(path)


def test_merged_keys_may_be_replaced(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", encoding="utf-8")
    assert load(tmp_path / "x.yaml")["b"] == {"x": 3, "y": 2}
