"""Speed and memory of IPT beside the same network from torch.nn.MultiheadAttention.

Run as `python -m benchmarks.attention`. Both have the same weights and stand in one process; forward passes and training
steps (forward, backward, one fused Adam step) alternate, and medians are compared. Peak memory of a training step is
measured in a process of its own for each network: `step_gb` beyond weights and optimizer state, `peak_gb` with them. On a
CUDA device it also prints MFU: the step's floating-point operations by torch's counter, a second, over the card's bf16
peak. `--limits` makes the exit status 1 where ours is not as much faster and smaller as it is meant to be.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.hardware import EXACT_MEMORY, peak_memory, report, reset_peak_memory
from benchmarks.mha_reference import ReferenceIPT
from ipt_models import build, to_official
from ipt_models.variants import VARIANTS

SPEED_LIMITS = {"fp32": 1.25, "bf16": 2.2}  # times the reference's; bf16 on CPUs with AVX512-BF16
MEMORY_LIMIT = 0.8  # of the reference's
MFU_LIMIT = 0.45
BF16_PEAKS = {  # dense operations a second, by part of the device's name; the first that fits
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=VARIANTS, default="ipt_base")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--precision", nargs="+", choices=SPEED_LIMITS, default=["fp32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile our layers with torch.compile")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="in our network")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limits", action="store_true", help="exit with 1 where a limit is missed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/attention.csv"))
    parser.add_argument("--child", choices=("ours", "reference"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(measure_memory(Contestant(options.child, options, options.precision[0]))))
        return 0

    rows, sound = [], True
    for precision in options.precision:
        rows += measure(options, precision)
    for ours, reference in zip(rows[::2], rows[1::2], strict=True):
        ours["times_faster"] = reference["seconds"] / ours["seconds"]
        sound &= ours["times_faster"] >= SPEED_LIMITS[ours["precision"]]
        if "step_gb" in ours:
            ours["step_share"] = ours["step_gb"] / reference["step_gb"]
            ours["peak_share"] = ours["peak_gb"] / reference["peak_gb"]
            sound &= ours["step_share"] <= MEMORY_LIMIT
        if options.compile and ours["precision"] == "bf16" and ours["what"] == "training step":
            sound &= ours.get("mfu", MFU_LIMIT) >= MFU_LIMIT
    report(rows, options.out, options.threads, options.device)
    return 0 if sound or not options.limits else 1


class Contestant:
    """One of the two networks with its optimizer, and what is timed: `forward` and `training step`."""

    def __init__(self, name: str, options: argparse.Namespace, precision: str):
        torch.manual_seed(0)
        self.name, self.device, self.precision = name, torch.device(options.device), precision
        self.model: nn.Module = build(options.variant, ("sr2",), gradient_checkpointing=options.gradient_checkpointing)
        side = self.model.patch_size
        if name == "reference":
            state, sizes = to_official(self.model), self.model.config
            self.model = ReferenceIPT([2], **sizes)
            self.model.load_state_dict(state)
        elif options.compile:
            self.model.compile_layers()
        self.model.to(self.device)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=1e-6, fused=True)
        self.x = torch.rand(options.batch_size, 3, side, side, device=self.device)
        self.y = torch.rand(options.batch_size, 3, 2 * side, 2 * side, device=self.device)

    def output(self) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.model(255 * self.x, 0)[0] / 255 if self.name == "reference" else self.model(self.x)

    @torch.no_grad()
    def forward(self) -> None:
        self.output()

    def training_step(self) -> None:
        F.l1_loss(self.output(), self.y).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def seconds(self, what: str) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        started = time.perf_counter()
        self.training_step() if what == "training step" else self.forward()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - started


def measure(options: argparse.Namespace, precision: str) -> list[dict[str, object]]:
    """Rows in pairs: ours, then the reference."""
    pair = [Contestant(name, options, precision) for name in ("ours", "reference")]
    rows = []
    for what in ("forward", "training step"):
        times: dict[str, list[float]] = {contestant.name: [] for contestant in pair}
        for repeat in range(options.repeats + 2):
            for contestant in pair:
                seconds = contestant.seconds(what)
                if repeat >= 2:  # the first two warm up: caches, compilation, the optimizer's state
                    times[contestant.name].append(seconds)
        for contestant in pair:
            found = median(times[contestant.name])
            row = {
                "variant": options.variant,
                "batch": options.batch_size,
                "precision": precision,
                "compiled": options.compile and contestant.name == "ours",
                "what": what,
                "network": contestant.name,
                "seconds": found,
                "patches_per_second": options.batch_size / found,
            }
            if contestant.device.type == "cuda" and precision == "bf16":
                row["mfu"] = flops(options, what) / found / peak_flops(options.device)
            if what == "training step":
                row |= run_child(contestant.name, precision, options)
            rows.append(row)
    return rows


def flops(options: argparse.Namespace, what: str) -> int:
    """Floating-point operations that the mathematics asks for: of the plain network, without recomputation."""
    with torch.device("meta"):
        model = build(options.variant, ("sr2",))
        x = torch.empty(options.batch_size, 3, model.patch_size, model.patch_size)
    with FlopCounterMode(display=False) as counter:
        y = model(x)
        if what == "training step":
            y.sum().backward()
    return counter.get_total_flops()


def peak_flops(device: str) -> float:
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in BF16_PEAKS.items() if part in name), float("nan"))


def measure_memory(contestant: Contestant) -> dict[str, float]:
    """Peak of the third training step: `step_gb` beyond what is held between steps, `peak_gb` in all."""
    for _ in range(2):
        contestant.training_step()
    if contestant.device.type == "cuda":
        before = torch.cuda.memory_allocated(contestant.device)
        torch.cuda.reset_peak_memory_stats(contestant.device)
        contestant.training_step()
        peak = torch.cuda.max_memory_allocated(contestant.device)
        return {"step_gb": (peak - before) / 1e9, "peak_gb": peak / 1e9}
    parameters = sum(parameter.nbytes for parameter in contestant.model.parameters())
    before = reset_peak_memory()
    contestant.training_step()
    step = peak_memory() - before
    return {"step_gb": step / 1e9, "peak_gb": (step + 3 * parameters) / 1e9}  # weights and Adam's two moments


def run_child(name: str, precision: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.attention", "--child", name, "--precision", precision]
    command += ["--variant", options.variant, "--batch-size", str(options.batch_size), "--device", options.device]
    command += ["--threads", str(options.threads)]
    command += [
        flag for flag in ("--compile", "--gradient-checkpointing") if getattr(options, flag[2:].replace("-", "_"))
    ]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | EXACT_MEMORY)
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
