"""The machine and code that were measured."""

import hashlib
import os
import platform
import shutil
import subprocess
from typing import Any

import torch

from workflows import provenance

FOLDERS = ("baselines", "benchmarks", "ipt_models", "workflows")


def facts(device: str) -> dict[str, Any]:
    """Card, driver, versions and commit; `code` is a hash of all sources, which also works without git."""
    hardware, commit = provenance.hardware(), provenance.commit()
    cuda = device.startswith("cuda")
    return {
        "card": torch.cuda.get_device_name(device) if cuda else "cpu",
        "cards": torch.cuda.device_count() if cuda else 0,
        "card_memory_gb": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1) if cuda else None,
        "driver": driver() if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": hardware["processor"],
        "cores": len(os.sched_getaffinity(0)),
        "commit": commit["commit"],
        "dirty": commit["dirty"],
        "code": code(),
    }


def driver() -> str | None:
    """The version of NVIDIA's driver."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    done = subprocess.run(query, capture_output=True, text=True)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout.split() else None


def code() -> str:
    """One hash of all sources."""
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((provenance.ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(provenance.ROOT).as_posix()} {provenance.sha256(path)}\n".encode())
    return digest.hexdigest()[:16]
