"""Every command in README, docs and config comments is one that its program takes.

Options are read by each program's own parser, make's targets by `make -n`, configs and rules by the workflow's own code. What a
command then does is tested where its program is tested.
"""

import argparse
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

from workflows.__main__ import COMMANDS
from workflows.config import grid, reading

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("config/*.md"),
    *ROOT.glob("benchmarks/*.md"),
]
CONFIGS = [*ROOT.glob("config/**/*.yaml")]
# Programs of others: their lines are checked for the shell's grammar alone.
FOREIGN = {"cat", "cd", "cp", "conda", "do", "done", "export", "for", "git", "ls", "mkdir", "pip", "pre-commit", "ruff"}
FOREIGN |= {"scp", "source", "srun", "tar", "tensorboard", "uv", "wandb"}
RULES = set(re.findall(r"^ *rule (\w+):", "".join(path.read_text("utf-8") for path in ROOT.glob("**/*.smk")), re.M))


def commands() -> dict[tuple[str, str], bool]:
    """Every page and command, and whether it can be typed as it stands: one in a sentence may lack arguments."""
    typed, mentioned = [], []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = [block for _, block in re.findall(r"^```(sh|bash|console)\n(.*?)^```", text, re.M | re.S)]
        lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        typed += [(page.name, line) for line in lines if line and not line.startswith("#")]
        inline = re.findall(r"(?<!`)`((?:snakemake|make|python3? -m|ipt-bench) [^`\n]+)`(?!`)", text)
        mentioned += [(page.name, line) for line in inline if "…" not in line and "<" not in line]
    for path in CONFIGS:
        lines = re.findall(r"^# +((?:snakemake|make|python -m) .*[^.:])$", path.read_text(encoding="utf-8"), re.M)
        typed += [(path.name, line) for line in lines]
    return dict.fromkeys(mentioned, False) | dict.fromkeys(typed, True)


def words(line: str) -> list[str]:
    """The words of the first command in the line, without assignments in front of it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    parts = list(lexer)
    parts = parts[: next((i for i, part in enumerate(parts) if set(part) <= set(";&|<>")), None)]
    while parts and re.match(r"\w+=", parts[0]):
        parts = parts[1:]
    return parts


class Accepted(Exception):
    """The parser took the arguments."""


def take(module: str, arguments: list[str], typed: bool, monkeypatch, capsys) -> None:
    """Start the module as `python -m` does, up to where its options are read."""

    def parse(self, args=None, namespace=None):
        _, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown: {unknown}")
        raise Accepted

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Accepted:
        return
    except SystemExit as end:
        printed = capsys.readouterr()
        if end.code and (typed or "arguments are required" not in printed.err):
            pytest.fail(printed.err)


def workflow(arguments: list[str], monkeypatch) -> None:
    """Snakemake takes the options, the config is valid, and targets are rules or files of an experiment."""
    monkeypatch.chdir(ROOT)
    _, options = parse_args(arguments)
    for path in map(Path, options.configfile or []):
        if path.name.startswith(("my", "X.")):
            continue  # a reader's own
        config = reading.load(path)
        config |= {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in options.config or [])}
        grid.parse(config)
    for target in options.targets:
        assert target in RULES or "/" in target, f"{target} is not a rule"


@pytest.mark.parametrize(("page", "line", "typed"), [(*command, typed) for command, typed in commands().items()])
def test_a_documented_command_is_taken_by_its_program(page, line, typed, monkeypatch, capsys):
    parts = words(line)
    program = Path(parts[0]).name if parts else "true"
    if program in ("python", "python3") and parts[1] == "-m":
        # The last one gives its options to BasicSR; tests/baselines trains with it.
        if parts[2] not in ("pip", "pytest", "baselines.basicsr_registry"):
            take(parts[2], parts[3:], typed, monkeypatch, capsys)
    elif program == "ipt-bench":
        assert parts[1] in COMMANDS
        take(COMMANDS[parts[1]][0], parts[2:], typed and len(parts) > 2, monkeypatch, capsys)
    elif program == "snakemake":
        workflow(parts[1:], monkeypatch)
    elif program == "make":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(["make", "--dry-run", *parts[1:]], cwd=ROOT, check=True, capture_output=True, env=environment)
    else:
        assert program in FOREIGN, f"{page} has a command that this test does not know: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_shell_can_read_every_block(page):
    text = page.read_text(encoding="utf-8")
    for _, block in re.findall(r"^```(sh|bash)\n(.*?)^```", text, re.M | re.S):
        subprocess.run(["bash", "-n", "-c", block], check=True)


@pytest.mark.parametrize(
    "line",
    ["snakemake --configfile config/dmeo.yaml", "snakemake demo", "python -m workflows.audit prove", "make dmeo"],
)
def test_a_wrong_command_is_noticed(line, monkeypatch, capsys):
    with pytest.raises((AssertionError, OSError, pytest.fail.Exception, subprocess.CalledProcessError)):
        test_a_documented_command_is_taken_by_its_program("page", line, True, monkeypatch, capsys)
