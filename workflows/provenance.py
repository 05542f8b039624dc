"""Where a number comes from: commit, versions, hardware and hashes of files."""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflows.files import write_text

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("torch", "torchvision", "timm", "basicsr", "lightning-fabric", "numpy", "pandas", "scikit-image"),
    *("opencv-python-headless", "safetensors", "snakemake"),
)


def sha256(path: Path | str) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def code() -> str:
    """One hash of all source files that weights depend on: networks, data, training. As they are when first asked."""
    folders = ("ipt_models", "baselines", "workflows/data", "workflows/training")
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    listed = "".join(
        f"{path.relative_to(ROOT).as_posix()} {sha256(path)}\n" for path in (*files, ROOT / "workflows/models.py")
    )
    return hashlib.sha256(listed.encode()).hexdigest()


def commit() -> dict[str, Any]:
    """`{"commit": …, "dirty": …}` of this checkout; both None outside of git."""
    try:
        head = _git("rev-parse", "HEAD")
        return {"commit": head, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(*arguments: str) -> str:
    return subprocess.run(("git", "-C", ROOT, *arguments), check=True, capture_output=True, text=True).stdout.strip()


def versions() -> dict[str, str | None]:
    """Python's version and those of the packages that numbers depend on; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def hardware() -> dict[str, Any]:
    """Machine, processor and, where torch is loaded and sees one, the accelerator."""
    found = {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
    }
    if torch := sys.modules.get("torch"):
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        if torch.cuda.is_available():
            found["accelerators"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended, in core-seconds."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def record(data: Iterable[Path | str] = (), **facts: Any) -> dict[str, Any]:
    """Everything a reader needs to find a result's origin; `data` are files whose hashes are taken."""
    return {
        **facts,
        **commit(),
        "code": code(),
        "versions": versions(),
        "hardware": hardware(),
        "data": {Path(path).name: sha256(path) for path in data},
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON atomically."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)
