"""The origin of a number: commit, versions, hardware and hashes of files. Imports no torch."""

import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from workflows import __version__
from workflows.files import write_text

ROOT = Path(__file__).parents[1]
CODE = ("baselines", "ipt_models", "workflows")  # the folders of code that numbers depend on
PACKAGES = (
    *("torch", "torchvision", "timm", "basicsr", "lightning-fabric", "numpy", "pandas", "scikit-image"),
    *("opencv-python-headless", "pillow", "spandrel", "safetensors", "snakemake"),
)


def sha256(path: Path | str) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def code(modules: tuple[str, ...], without: tuple[str, ...] = ()) -> str:
    """One hash of the project's source files that these modules depend on, as they are at the first call.

    Imports are followed from file to file, including those inside functions. `workflows.config` is left out: its values are
    recorded themselves.

    Args:
        modules: names with dots, for example `workflows.training.loop`; they include a network that is imported by name at
            run time, see `workflows.models.code`.
        without: modules that are not followed, such as networks that were not built.
    """
    listed = "".join(f"{path.relative_to(ROOT).as_posix()} {sha256(path)}\n" for path in sources(modules, without))
    return hashlib.sha256(listed.encode()).hexdigest()


def sources(modules: Iterable[str], without: Iterable[str] = ()) -> list[Path]:
    """The project's files that `code` hashes, sorted."""
    seen, paths, waiting = set(without), set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name.split(".")[0] not in CODE or f"{name}.".startswith("workflows.config."):
            continue
        seen.add(name)
        if path := _source(name):
            paths.add(path)
            waiting += [
                *_imports(path, path.stat().st_mtime_ns),
                name.rpartition(".")[0],
            ]  # a package's own file runs before its modules
    return sorted(paths)


def _source(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


@functools.cache
def _imports(path: Path, modified: int) -> list[str]:
    """Names of modules that a file may import; functions imported from a module are among them, but have no file."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def commit() -> dict[str, Any]:
    """`{"commit": …, "dirty": …}` of this checkout; both None outside git. A new source file makes it dirty."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return {
            "commit": head,
            "dirty": bool(changed or _git("ls-files", "--others", "--exclude-standard", "--", *CODE)),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(*arguments: str) -> str:
    # Git refuses a checkout of another user, whose code runs already; before 2.38 it does so all the same.
    command = ("git", "-c", "safe.directory=*", "-C", ROOT, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def versions() -> dict[str, str | None]:
    """Python's version and those of the packages that numbers depend on; None where not installed."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed[package] = None
    return installed


def hardware() -> dict[str, Any]:
    """Machine and processor; if torch is loaded, also its build and its accelerators."""
    facts = {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": processor().name,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
    }
    if torch := sys.modules.get("torch"):
        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        facts["torch_config"] = torch.__config__.show().strip().splitlines()
        onednn = re.search(r"(?:oneDNN|MKL-DNN) (v[\d.]+)", torch.__config__.show())
        facts["onednn"] = onednn[1] if onednn else None
        if torch.cuda.is_available():
            facts["accelerators"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


class Processor(NamedTuple):
    """A processor: its name with family and model (clouds often give only `AMD EPYC`); its maker; its flags."""

    name: str
    vendor: str
    flags: frozenset[str]


@functools.cache
def processor() -> Processor:
    """The processor of this machine, as Linux describes its first core."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        first = ""
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbered = ", ".join(
        f"{key.split()[-1]} {facts[key]}" for key in ("cpu family", "model", "stepping") if key in facts
    )
    return Processor(
        f"{name} ({numbered})" if numbered else name,
        facts.get("vendor_id", ""),
        frozenset(facts.get("flags", "").split()),
    )


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended, in core-seconds."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def record(code: str, data: Iterable[Path | str] = (), **facts: Any) -> dict[str, Any]:
    """Everything a reader needs to trace a result.

    Args:
        code: hash of the code that computed it, see `workflows.models.code`.
        data: files to hash.
        facts: further entries, which come first.
    """
    return {
        **facts,
        "version": __version__,
        **commit(),
        "code": code,
        "versions": versions(),
        "hardware": hardware(),
        "data": {Path(path).name: sha256(path) for path in data},
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON atomically."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)
