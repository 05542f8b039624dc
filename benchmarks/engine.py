"""Overhead of the training loop over the network alone, on real JPEGs.

Run as `python -m benchmarks.engine --root FOLDER`, FOLDER with `train/<class>/*.JPEG` as in ImageNet. Two measurements
alternate, `--rounds` times, and medians are reported: training steps of the real loop (decoding, degradation, schedule,
clipping, signals, logging, checkpoint every 5 minutes), from its train.csv; and, in the same process, only forward, backward
and optimizer step on one batch in memory. `overhead` is the ratio of their times per step, minus 1, in wall-clock time and in
this process's processor time (`_cpu`), which other users of the machine hardly affect; `data_wait` is the fraction of the
loop's time spent waiting for input, including degradation.

On CUDA (`--device cuda`, with `--variant ipt_base --batch-size 256 --precision bf16-mixed --compile --workers 14`) it also
gives MFU: FLOPs from torch's counter over the card's peak.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd
import torch

from benchmarks.hardware import duration, report
from benchmarks.training_step import Step
from ipt_models.variants import VARIANTS as IPTS
from workflows import models
from workflows.command_line import exit_status
from workflows.config import grid
from workflows.config.runs import Run
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs
from workflows.data.manifest import scan
from workflows.training import loop
from workflows.training.history import Window
from workflows.training.optimization import build_optimizer

TARGET = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with train/<class>/*.JPEG")
    parser.add_argument("--variant", default="ipt_small")
    parser.add_argument("--task", default="sr2")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=5, help="steps per measurement, after as many of warm-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/engine.csv"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here")

    run = make_run(options)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        images = scan(options.root, min_side=run.min_side).images
        images[8:].to_csv(Path(folder, "fraction.csv"), index=False)
        images[:8].to_csv(Path(folder, "validation.csv"), index=False)
        for number in range(options.rounds):
            rounds.append(time_loop(run, options.root, Path(folder), number, options.steps))
            rounds[-1] |= time_bare(run, images[8:], options.root, options.steps)
    table = pd.DataFrame(rounds)
    table["overhead"] = table.loop_seconds / table.bare_seconds - 1
    table["overhead_cpu"] = table.loop_cpu_seconds / table.bare_cpu_seconds - 1
    row = {
        **{"variant": options.variant, "task": options.task, "batch_size": options.batch_size},
        **{"precision": options.precision, "compile": options.compile, "workers": options.workers},
        **{"images": len(images), "steps": options.steps, "rounds": options.rounds},
        **{column: median(table[column]) for column in table if table[column].notna().all()},
    }
    report([row], options.out, options.threads, options.device)
    return 0 if row["overhead"] < TARGET and row["data_wait"] < TARGET else 1


def make_run(options: argparse.Namespace) -> Run:
    """The measured run: `steps` steps of warm-up, then as many that count."""
    patch_size = IPTS.get(options.variant, {}).get("patch_size", 48)
    config = {
        "name": "engine",
        "tasks": [options.task],
        "data": {"workers": options.workers, "crops_per_image": 4, "cache_mb": 0},
        "models": [{"name": "model", "variant": options.variant}],
        "training": {
            "budget": {"steps": 2 * options.steps},
            "batch_size": options.batch_size,
            "patch_size": patch_size,
            "gradient_clip": 10.0,
            "precision": options.precision,
            "compile": options.compile,
            "accelerator": options.device,
            "threads": options.threads,
            "log_every": options.steps,
        },
        "evaluation": {"references": []},
    }
    (run,) = grid.parse(config).runs().values()
    return run


class CpuWindow(Window):
    """Also measures the processor time of this process with its threads, without the loader's processes."""

    last = 0.0

    def restart(self) -> None:
        super().restart()
        self._cpu_begun = time.process_time()

    def columns(self) -> dict[str, float | None]:
        CpuWindow.last = time.process_time() - self._cpu_begun
        return super().columns()


def time_loop(run: Run, root: Path, folder: Path, number: int, steps: int) -> dict[str, float]:
    """Seconds per step of the training loop after warm-up, with train.csv's other columns."""
    out = folder / f"round-{number}"
    loop.Window = CpuWindow
    loop.train(run, root, folder / "fraction.csv", folder / "validation.csv", out, folder / "resume")
    last = pd.read_csv(out / "train.csv").iloc[-1]
    assert last.step == 2 * steps
    return {
        "patches_per_second": last.patches_per_second,
        "loop_cpu_seconds": CpuWindow.last / steps,
        "loop_seconds": run.training.batch_size / last.patches_per_second,
        "data_wait": last.data_wait,
        "mfu": last.mfu,
    }


def time_bare(run: Run, images: pd.DataFrame, root: Path, steps: int) -> dict[str, float]:
    """Seconds of forward, backward and optimizer step in plain torch."""
    recipe, device = run.training, run.training.accelerator
    network = models.build(run.variant, run.tasks).to(device, memory_format=torch.channels_last)
    model = torch.compile(network) if recipe.compile else network
    batch = Batches(images, root, run.tasks, recipe.patch_size, recipe.batch_size, seed=0).load(0)
    x, y = make_pairs(batch, recipe.patch_size, 0, device)
    torch.set_num_threads(recipe.threads)
    optimizer = build_optimizer([p for p in network.parameters() if p.requires_grad], recipe)
    step = Step(network, x, y, recipe.precision == "bf16-mixed", None, model, optimizer, run.tasks[0])

    def take(count: int) -> None:
        for _ in range(count):
            step()

    take(max(2, steps // 2))
    taken = duration(lambda: take(steps), device)
    return {"bare_seconds": taken["wall"] / steps, "bare_cpu_seconds": taken["processor"] / steps}


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
