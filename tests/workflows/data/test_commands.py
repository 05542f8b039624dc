"""`python -m workflows.data`: what the workflow's rules call."""

import hashlib
import json
import subprocess
import sys

import pytest

from tests.helpers import assert_names
from workflows.data.__main__ import main
from workflows.data.manifest import read_table


def files(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def drawn(tmp_path):
    out = tmp_path / "images"
    assert (
        main(["synthesize", "--seed", "1", "--count", "10", "--size", "64", "--out", str(out), "--threads", "2"]) == 0
    )
    return out


def manifest_arguments(root, out, *more):
    paths = ["--out-manifest", str(out / "manifest.csv"), "--out-validation", str(out / "validation.csv")]
    return ["manifest", "--root", str(root), "--validation", "2", *paths, *more]


def test_from_nothing_to_a_fraction(drawn, tmp_path, capsys):
    out = tmp_path / "data"
    assert main(manifest_arguments(drawn, out)) == 0
    fraction = ["--fraction", "0.5", "--seed", "3", "--out", str(out / "fraction.csv")]
    tables = ["--manifest", str(out / "manifest.csv"), "--validation", str(out / "validation.csv")]
    assert main(["fraction", *tables, *fraction]) == 0
    images, validation, chosen = (read_table(out / f"{name}.csv") for name in ("manifest", "validation", "fraction"))
    assert (len(images), len(validation), len(chosen)) == (10, 2, 4)
    assert set(validation["path"]) < set(images["path"])
    assert not set(chosen["path"]) & set(validation["path"])
    assert (images["class"] == [path.split("/")[1] for path in images["path"]]).all()
    assert sorted(path.name for path in out.iterdir()) == [
        "fraction.csv",
        "manifest.csv",
        "rejected.csv",
        "validation.csv",
    ]
    assert_names(capsys.readouterr().out, "4 of 8")


def test_drawing_again_replaces_what_was_drawn(drawn, tmp_path):
    first = files(drawn)
    assert json.loads(first["dead_leaves.json"]) == {"source": "dead_leaves", "seed": 1, "count": 10, "size": 64}
    main(["synthesize", "--seed", "1", "--count", "4", "--size", "64", "--out", str(drawn), "--threads", "1"])
    second = files(drawn)
    assert len(second) == 5
    assert all(first[name] == data for name, data in second.items() if name.endswith(".png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_a_folder_with_other_files_does_not_change(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("x")
    assert main(["synthesize", "--count", "1", "--size", "64", "--out", str(tmp_path)]) == 2
    assert_names(capsys.readouterr().err, tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_failed_manifest_says_why_and_keeps_what_it_found(drawn, tmp_path, capsys):
    path = next(drawn.rglob("*.png"))
    path.write_bytes(b"")
    out = tmp_path / "data"
    assert main(manifest_arguments(drawn, out)) == 2
    assert_names(capsys.readouterr().err, path.relative_to(drawn).as_posix(), out / "rejected.csv")
    assert sorted(path.name for path in out.iterdir()) == ["manifest.csv.partial", "rejected.csv"]
    assert (out / "rejected.csv").read_text().count("empty file") == 1
    assert main(manifest_arguments(drawn, out, "--max-undecodable", "0.2", "--min-side", "64")) == 0
    assert "9 of 10" not in capsys.readouterr().err
    (line,) = (out / "rejected.csv").read_text().splitlines()[1:]
    assert line == f"{path.relative_to(drawn).as_posix()},0,{hashlib.sha256().hexdigest()},empty file"


@pytest.mark.parametrize("stage", [[], ["synthesize"], ["manifest"], ["fraction"]])
def test_every_stage_explains_itself(stage, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*stage, "--help"])
    assert ended.value.code == 0
    assert_names(capsys.readouterr().out, " ".join(["python -m workflows.data", *stage]))


def test_a_negative_count_is_refused_by_its_option(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["synthesize", "--count", "-3", "--size", "64", "--out", str(tmp_path / "x")])
    assert_names(capsys.readouterr().err, "--count", 1, -3)


def test_two_tables_are_not_written_to_one_file(drawn, tmp_path, capsys):
    out = tmp_path / "data"
    assert main(manifest_arguments(drawn, out, "--out-rejected", str(out / "manifest.csv"))) == 2
    assert_names(capsys.readouterr().err, "error", "--out-manifest", "--out-rejected")
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"junk"])
def test_a_damaged_table_is_named(drawn, tmp_path, capsys, content):
    out = tmp_path / "data"
    assert main(manifest_arguments(drawn, out)) == 0
    (out / "manifest.csv").write_bytes(content)
    tables = ["--manifest", str(out / "manifest.csv"), "--validation", str(out / "validation.csv")]
    assert main(["fraction", *tables, "--fraction", "0.5", "--seed", "3", "--out", str(out / "fraction.csv")]) == 2
    assert_names(capsys.readouterr().err, "error", out / "manifest.csv")


def test_the_command_needs_no_torch():
    code = "import sys, workflows.data.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
