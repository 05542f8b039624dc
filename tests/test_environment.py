"""Lock, pyproject, environment.yml and Makefile say the same."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def locked() -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in LOCK.splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def declared() -> list[Requirement]:
    """What the lock is made for. W&B is left out: timm imports it where it is installed, which costs every process seconds."""
    project = PROJECT["project"]
    return [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]


def test_every_declared_package_is_locked_inside_its_range():
    lock = locked()
    for requirement in declared():
        versions = lock.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is declared, but not locked: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(str(version.specifier).removeprefix("==")), (requirement, version)


def test_lock_was_resolved_for_exactly_the_declared_packages():
    roots = set()
    name = None
    for line in LOCK.splitlines():
        if line and not line.startswith((" ", "#")):
            name = canonicalize_name(Requirement(line).name)
        elif "ipt-benchmark (pyproject.toml)" in line:
            roots.add(name)
    assert roots == {canonicalize_name(requirement.name) for requirement in declared()}


def test_lock_has_exact_versions_for_both_pythons_and_no_hosts():
    assert "://" not in LOCK
    for name, requirements in locked().items():
        for requirement in requirements:
            assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        for python in ("3.11", "3.12"):
            there = {
                "python_version": python,
                "python_full_version": f"{python}.7",
                "sys_platform": "linux",
                "platform_machine": "x86_64",
            }
            chosen = [r for r in requirements if r.marker is None or r.marker.evaluate(there)]
            assert len(chosen) <= 1, (name, python, chosen)


def test_conda_environment_has_a_supported_python_and_only_the_installer():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert Requirement(f"python>={PROJECT['project']['requires-python'].split('>=')[1]}").specifier.contains(
        Version(re.fullmatch(r"python=(3\.\d+)", python)[1])
    )
    assert pip == "pip"
    makefile = (ROOT / "Makefile").read_text()
    assert packages == {"pip": [f"uv=={re.search(r'UV_VERSION := (.*)', makefile)[1]}"]}


def test_stated_needs_of_basicsr_are_locked():
    (basicsr,) = PROJECT["tool"]["uv"]["dependency-metadata"]
    (version,) = locked()["basicsr"]
    assert version.specifier.contains(basicsr["version"])
    assert {canonicalize_name(name) for name in basicsr["requires-dist"]} <= set(locked())
    assert "basicsr" in PROJECT["tool"]["uv"]["no-build-isolation-package"]
