"""Options that Snakemake reads from the profiles."""

import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

ROOT = Path(__file__).parents[3]


def options(monkeypatch, *arguments: str):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
    return parse_args(list(arguments))[1]


def test_a_bare_call_uses_all_cores_and_the_projects_terminal_output(monkeypatch):
    bare = options(monkeypatch)
    assert bare.cores >= 1
    assert bare.logger == ["jobs"]


def test_the_cores_of_the_command_line_count(monkeypatch):
    assert options(monkeypatch, "--cores", "1").cores == 1


@pytest.mark.parametrize("arguments", [["--profile", "workflows/profiles/slurm"], ["--executor", "slurm"]])
def test_on_a_cluster_jobs_are_not_limited_to_the_login_nodes_cores(monkeypatch, arguments):
    chosen = options(monkeypatch, *arguments)
    assert (chosen.executor, chosen.cores) == ("slurm", None)


def test_a_profile_from_the_environment_counts_too(monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "workflows/profiles/slurm")
    assert options(monkeypatch).cores is None


def test_every_rule_that_may_request_a_gpu_is_in_slurms_template():
    asking = {"finetune"}  # with train's resources
    for path in (ROOT / "workflows" / "rules").glob("*.smk"):
        for name, body in re.findall(
            r"^ *rule (\w+):\n(.*?)(?=^ *rule |\Z)", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            asking |= {name} if re.search(r"^ *gpu=(?!0,)", body, re.MULTILINE) else set()
    text = (ROOT / "workflows" / "profiles" / "slurm" / "config.yaml").read_text()
    part = text.partition("# set-resources:\n")[2].partition("\n\n")[0]
    template = yaml.safe_load(part.replace("\n# ", "\n").removeprefix("# "))
    assert template.keys() == asking == {*asking, "train", "evaluate_method"}
    assert all(wanted["slurm_partition"] == "gpu" for wanted in template.values())
