"""A config's file: UTF-8, each key once, a section of keys, no program."""

import pytest

from workflows.config.reading import ConfigError, load


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"name: a\nseeds: [0]\nname: b\n", "name: is given twice (lines 1 and 3)"),
        (b"training:\n  threads: 1\n  threads: 2\n", "threads: is given twice (lines 2 and 3)"),
        ("label: \u03bb".encode("gbk"), "is not UTF-8"),
        (b"- name: x\n", "holds no keys"),
        (b"", "holds no keys"),
        (b"name: [\n", "is not YAML"),
        (b"name: 2020-99-99\n", "is not YAML"),
        (b"? [a]\n: 1\n", "cannot be a key"),
        (b"__use_yte__: true\nname: x\n", "would run the config as a program"),
    ],
)
def test_what_is_no_config_is_refused_with_its_file_and_reason(tmp_path, data, said):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_merged_keys_may_be_replaced(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", encoding="utf-8")
    assert load(tmp_path / "x.yaml")["b"] == {"x": 3, "y": 2}
