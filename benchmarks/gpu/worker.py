"""The process that computes: `python -m benchmarks.gpu.worker DEVICE` reads names of checks from stdin, one per line.

It answers with one JSON object per line: first its facts, then a check's lines and its end. All other output goes to stderr.
Only this process imports torch, so a check that crashes or hangs affects no other check.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> int:
    (device,) = sys.argv[1:]
    # Before torch is imported, and before anything prints.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def say(**message: Any) -> None:
        print(json.dumps(message), file=out, flush=True)

    import torch

    from benchmarks.gpu.bench import Bench, reason
    from benchmarks.gpu.facts import facts
    from benchmarks.gpu.registry import CHECKS, failed

    if device == "cuda" and not torch.cuda.is_available():
        say(error="no CUDA device is visible to torch; --device cpu tests this command without one")
        return 2
    if device == "cpu":
        torch.set_num_threads(1)
    say(facts=facts(device))
    with tempfile.TemporaryDirectory(prefix="prove-gpu-") as folder:
        bench = Bench(device, Path(folder))
        for name in map(str.strip, sys.stdin):
            bench.folder = Path(folder) / name
            bench.folder.mkdir()
            begun = time.perf_counter()
            try:
                for line in CHECKS[name].run(bench):
                    say(line=line.as_dict())
            except (Exception, SystemExit) as error:
                say(line=failed("the check itself", reason(error)).as_dict())
            finally:
                bench.reset()
            say(finished=name, seconds=time.perf_counter() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
