"""Facts about where a number comes from."""

import ast
import importlib.metadata
import subprocess
import sys
import time

import pytest

from workflows import models, provenance


def test_processor_time_is_this_process_and_its_ended_children():
    before = provenance.cpu_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    child = provenance.cpu_seconds() - before
    assert 0.3 <= child < 3
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert provenance.cpu_seconds() - before >= child + 0.2


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a stage, two networks that are imported by name, and a document."""
    files = {
        "workflows/stage.py": "def run():\n    from workflows import helper\n",
        "workflows/helper.py": "import baselines\n",
        "workflows/config/schema.py": "KEYS = ()\n",
        "workflows/unrelated.py": "",
        "baselines/__init__.py": "",
        "baselines/edsr.py": "import workflows.config.schema\nfrom baselines import blocks\n",
        "baselines/blocks.py": "",
        "baselines/rdn.py": "",
        "README.md": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    return tmp_path


def test_a_checkout_of_another_user_has_a_commit(checkout, monkeypatch):
    mine = provenance.commit()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert subprocess.run(["git", "-C", checkout, "status"], capture_output=True).returncode, "git refuses it"
    assert provenance.commit() == mine
    assert mine["dirty"] is False


STAGE = (("workflows.stage", "baselines.edsr"), ("baselines.rdn",))


def test_code_is_what_a_stage_and_its_network_import_and_nothing_else(checkout):
    names = [path.relative_to(checkout).as_posix() for path in provenance.sources(*STAGE)]
    assert names == [
        *("baselines/__init__.py", "baselines/blocks.py", "baselines/edsr.py"),
        *("workflows/helper.py", "workflows/stage.py"),
    ]


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("workflows/helper.py", True),
        ("baselines/blocks.py", True),
        ("baselines/rdn.py", False),  # another network: runs of this one may still be reused
        ("workflows/unrelated.py", False),
        ("README.md", False),
    ],
)
def test_hash_changes_with_the_files_that_a_number_depends_on_alone(path, counts, checkout):
    before = provenance.code.__wrapped__(*STAGE)
    (checkout / path).write_text("# changed")
    assert (provenance.code.__wrapped__(*STAGE) != before) == counts


@pytest.mark.parametrize(
    ("path", "dirty"), [(None, False), ("README.md", True), ("baselines/new.py", True), ("notes.txt", False)]
)
def test_new_file_among_the_code_makes_the_checkout_dirty_and_one_elsewhere_does_not(path, dirty, checkout):
    if path:
        (checkout / path).write_text("changed")
    assert provenance.commit()["dirty"] is dirty


def test_a_file_is_parsed_once_until_it_changes(checkout, monkeypatch):
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda text, *rest: parsed.append(text) or parse(text, *rest))
    for _ in range(2):
        assert len(provenance.sources(*STAGE)) == len(parsed) == 5
    (checkout / "workflows/helper.py").write_text("import baselines.rdn")
    assert len(provenance.sources(["workflows.stage"])) == 4
    assert len(parsed) == 5 + 2, "it and what it imports now"


def test_every_network_s_code_is_its_own_and_training_s():
    hashes = {name: models.code("workflows.training.loop", name) for name in ("ipt_tiny", "ipt_small", "edsr", "rdn_b")}
    assert hashes["ipt_tiny"] == hashes["ipt_small"]
    assert len(set(hashes.values())) == 3
    matched = models.code("workflows.training.loop", "edsr", {"match": {"macs": "ipt_tiny"}})
    assert matched != hashes["edsr"], "its size depends on IPT's code as well"
    assert models.code("workflows.evaluation.__main__", "edsr") != hashes["edsr"]


def test_a_record_names_the_version_of_the_suite():
    assert provenance.record("code")["version"] == importlib.metadata.version("ipt-benchmark")
