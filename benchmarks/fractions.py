"""Time and memory of choosing a fraction of ImageNet: 1.28 million synthetic rows.

Run as `python -m benchmarks.fractions`. It calls the workflow's command, including reading and writing.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from benchmarks.hardware import report
from workflows.command_line import exit_status

LIMITS = {"seconds": 10, "gigabytes": 1}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--fraction", type=float, default=0.6)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/fractions.csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest, validation, out = (Path(folder, name) for name in ("manifest.csv", "validation.csv", "fraction.csv"))
        write_manifest(manifest, validation, options.images, options.classes)
        command = [sys.executable, "-m", "workflows.data", "fraction", "--seed", "0", "--out", out]
        command += ["--manifest", manifest, "--validation", validation, "--fraction", str(options.fraction)]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    gigabytes = usage.ru_maxrss * 1024 / 1e9
    row = {"images": options.images, "classes": options.classes, "fraction": options.fraction}
    row |= {"seconds": seconds, "processor_seconds": usage.ru_utime + usage.ru_stime, "gigabytes": gigabytes}
    report([row], options.out, threads=1)
    return 0 if seconds <= LIMITS["seconds"] and gigabytes <= LIMITS["gigabytes"] else 1


def write_manifest(manifest: Path, validation: Path, images: int, classes: int) -> None:
    """Rows like ImageNet's, sorted by path; every 10,000th is for validation."""
    header = "path,class,width,height,bytes,sha256\n"
    each = -(-images // classes)
    with open(manifest, "w", encoding="utf-8") as all_rows, open(validation, "w", encoding="utf-8") as held_out:
        all_rows.write(header)
        held_out.write(header)
        for index in range(images):
            category = f"n{10_000_000 + index // each * 7}"
            digest = sha256(str(index).encode()).hexdigest()
            row = f"train/{category}/{category}_{index:07d}.JPEG,{category},500,375,110000,{digest}\n"
            all_rows.write(row)
            if index % 10_000 == 0:
                held_out.write(row)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
