"""Peak memory of scoring one large image, by size and model: the whole process, including imports.

Run as `python -m benchmarks.large_images`. Networks are untrained: memory does not depend on the weights.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.hardware import report
from workflows import models
from workflows.command_line import exit_status

SIZES = {"2k": (1080, 2048), "4k": (2160, 4096), "8k": (4320, 7680)}
REFERENCES = {"bicubic": "sr2", "identity": "dn30"}
LIMIT_GIGABYTES = 3


def main() -> int:
    """Measure, write the table, and fail if the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--models", nargs="+", default=[*REFERENCES, "edsr_tiny", "ipt_tiny"], help="variants at sr2")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/large_images.csv"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.sizes:
            write_image(Path(scratch, size), *SIZES[size])
            for model in options.models:
                source = model
                if model not in REFERENCES:
                    source = Path(scratch, f"{model}.safetensors")
                    models.save(models.build(model, ["sr2"]), source, {"model": model})
                command = [sys.executable, "-m", "workflows.evaluation", "--model", str(source), "--threads", "1"]
                command += ["--sets", f"large={Path(scratch, size)}", "--tasks", REFERENCES.get(model, "sr2")]
                gigabytes, seconds = measure([*command, "--out", str(Path(scratch, "metrics.csv"))])
                height, width = SIZES[size]
                row = {"size": size, "height": height, "width": width, "model": model}
                rows.append(row | {"gigabytes": gigabytes, "seconds": seconds})
                print(f"{size} by {model}: {gigabytes:.2f} GB, {seconds:.1f} s", flush=True)
    report(rows, options.out, threads=1)
    return int(max(row["gigabytes"] for row in rows) > LIMIT_GIGABYTES)


def write_image(folder: Path, height: int, width: int) -> None:
    """Write a smooth random image into a new folder."""
    folder.mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "image.png"), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def measure(command: list[str]) -> tuple[float, float]:
    """A process's peak resident memory in GB, as counted by the system, and its seconds."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss * 1024 / 1e9, time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
