"""Speed and memory of IPT against the same network built from torch.nn.MultiheadAttention.

Run as `python -m benchmarks.attention`. Both have the same weights and run in one process; forward passes and training steps
(forward, backward, one fused Adam step) alternate, and medians are compared. With bf16 the reference runs twice: in bf16, and
in float32, which is what a user gets without autocast. Peak memory of a training step is measured in a separate process per
network: `step_gb` without weights and optimizer state, `peak_gb` with them. On a CUDA device it also prints MFU: the step's
floating-point operations per second by torch's counter, over the card's bf16 peak. With `--limits` the exit status is 1 if
ours misses its limits of speed or memory.

On a CPU, attention produces denormal numbers, which cost most processors many cycles each and slow the reference more than
ours; `--flush-denormal` compares without them.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.hardware import CLOCKS, alternate, in_new_process, peak_memory, report, reset_peak_memory
from benchmarks.mha_reference import AuthorsForm
from benchmarks.training_step import Step
from ipt_models import build
from ipt_models.variants import VARIANTS
from workflows.command_line import exit_status
from workflows.peak_rates import peak_flops

SPEED_LIMITS = {"fp32": 1.25, "bf16": 2.2}  # times the float32 reference's; bf16 on CPUs with AVX512-BF16
MEMORY_LIMIT = 0.8  # of the reference's
MFU_LIMIT = 0.5
WHAT = ("forward", "training step")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=VARIANTS, default="ipt_base")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--precision", nargs="+", choices=SPEED_LIMITS, default=["fp32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile our layers with torch.compile")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="in our network")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2, help="warm-up rounds (default: 2)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="`processor` (CPU time): with one thread, on a shared machine"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--flush-denormal", action="store_true", help="flush denormal numbers to zero (CPU)")
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument("--operators", action="store_true", help="profile a training step and exit")
    parser.add_argument("--limits", action="store_true", help="exit status 1 if a limit is missed")
    parser.add_argument("--append", action="store_true", help="add to what the file has")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/attention.csv"))
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here")
    if options.operators:
        for precision in options.precision:
            print(operators(Contestant("ours", options, precision), options.warm_up))
        return 0

    rows, sound = [], True
    for precision in options.precision:
        rows += measure(options, precision)
    for ours in (row for row in rows if row["network"] == "ours"):
        sound &= ours["times_faster_than_fp32"] >= SPEED_LIMITS[ours["precision"]]
        sound &= ours.get("step_share", MEMORY_LIMIT) <= MEMORY_LIMIT
        if options.compile and ours["precision"] == "bf16" and ours["what"] == "training step":
            sound &= (ours.get("mfu") or MFU_LIMIT) >= MFU_LIMIT  # None: a card without a known peak
    report(rows, options.out, options.threads, options.device, options.append)
    return 0 if sound or not options.limits else 1


class Contestant:
    """One of the two networks with the timed functions of `WHAT`."""

    def __init__(self, name: str, options: argparse.Namespace, precision: str):
        torch.set_flush_denormal(options.flush_denormal)  # first, because threads inherit it when they start
        torch.set_num_threads(options.threads)
        torch.manual_seed(0)
        self.name, self.device, self.precision = name, torch.device(options.device), precision
        self.model: nn.Module = build(options.variant, ("sr2",), gradient_checkpointing=options.gradient_checkpointing)
        side = self.model.patch_size
        if name == "reference":
            self.model = AuthorsForm(self.model)
        elif options.compile:
            self.model.compile_layers()
        self.model.to(self.device)
        x, y = (torch.rand(options.batch_size, 3, size, size, device=self.device) for size in (side, 2 * side))
        self.training_step = Step(self.model, x, y, precision == "bf16")
        self.works = dict(zip(WHAT, (self.forward, self.training_step), strict=True))

    @torch.no_grad()
    def forward(self) -> None:
        self.training_step.output(self.training_step.x)


def measure(options: argparse.Namespace, precision: str) -> list[dict[str, object]]:
    """One row per network and timed function; our rows have the ratios."""
    contestants = [Contestant("ours", options, precision), Contestant("reference", options, precision)]
    if precision != "fp32":
        contestants.append(Contestant("reference", options, "fp32"))
    rows = []
    for what in options.what:
        works = [contestant.works[what] for contestant in contestants]
        times = alternate(works, options.repeats, options.device, options.warm_up, f"{precision}, {what}")
        measured = []
        for contestant, taken in zip(contestants, times, strict=True):
            seconds = taken[options.clock].median()
            row = {
                "variant": options.variant,
                "batch": options.batch_size,
                "what": what,
                "network": contestant.name,
                "precision": contestant.precision,
                "compiled": options.compile and contestant.name == "ours",
                "flush_denormal": options.flush_denormal,
                "clock": options.clock,
                "seconds": seconds,
                "patches_per_second": options.batch_size / seconds,
            }
            if contestant.device.type == "cuda" and contestant.precision == "bf16":
                peak = peak_flops(torch.cuda.get_device_name(options.device), "bf16")
                row["mfu"] = flops(options, what) / seconds / peak if peak else None
            if what == "training step" and not options.no_memory:
                row |= in_new_process(measure_memory, contestant.name, options, contestant.precision)
            measured.append(row)
        ours, reference, in_fp32 = measured[0], measured[1], measured[-1]
        ours["times_faster"] = reference["seconds"] / ours["seconds"]
        ours["times_faster_than_fp32"] = in_fp32["seconds"] / ours["seconds"]
        if "step_gb" in ours:
            ours["step_share"] = ours["step_gb"] / reference["step_gb"]
            ours["peak_share"] = ours["peak_gb"] / reference["peak_gb"]
        rows += measured
    return rows


def flops(options: argparse.Namespace, what: str) -> int:
    """Floating-point operations of the plain network, without recomputation."""
    with torch.device("meta"):
        model = build(options.variant, ("sr2",))
        x = torch.empty(options.batch_size, 3, model.patch_size, model.patch_size)
    with FlopCounterMode(display=False) as counter:
        y = model(x)
        if what == "training step":
            y.sum().backward()
    return counter.get_total_flops()


def operators(contestant: Contestant, warm_up: int) -> str:
    """The operators that take most of a training step, by torch's profiler."""
    for _ in range(warm_up):
        contestant.training_step()
    with torch.profiler.profile() as profile:
        contestant.training_step()
    by = "self_cuda_time_total" if contestant.device.type == "cuda" else "self_cpu_time_total"
    return profile.key_averages().table(sort_by=by, row_limit=15, max_name_column_width=60)


def measure_memory(name: str, options: argparse.Namespace, precision: str) -> dict[str, float]:
    """Peak of a later training step: `step_gb` above the memory held between steps, `peak_gb` in total."""
    contestant = Contestant(name, options, precision)
    for _ in range(options.warm_up):
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


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
