"""EDSR and RDN against plain implementations of the same networks: `python -m benchmarks.baselines`.

A training step (forward, L1, backward, Adam) and inference of an image, at the same precision and with the same weights;
the two alternate and medians are compared. Then RDN's training step with and without gradient checkpointing. Peak memory is
measured in a separate process for each (resident memory on a CPU, under Linux; allocated memory on a GPU), minus the memory
before the network was made. Exit status 1: more than 1.05 times the plain network's time, or more than its memory; or more
than half the memory, or 1.35 times the time, with gradient checkpointing.
"""

import argparse
import importlib
import sys
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import baselines
from benchmarks.hardware import CLOCKS, alternate, in_new_process, peak_memory, report, reset_peak_memory
from workflows.command_line import exit_status

RATIO_LIMIT, MEMORY_LIMIT = 1.05, 1.0
CHECKPOINTING_TIME_LIMIT, CHECKPOINTING_MEMORY_LIMIT = 1.35, 0.5
NOISE = 0.02  # resident memory comes in pages and arenas
MEAN = 255 * torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)


class PlainEDSR(nn.Module):
    """EDSR at x2 as in its paper."""

    def __init__(self, num_feat: int, num_block: int, res_scale: float = 1.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, num_feat, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1) for _ in range(2)) for _ in range(num_block)
        )
        self.last_of_body = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.up = nn.Conv2d(num_feat, 4 * num_feat, 3, padding=1)
        self.last = nn.Conv2d(num_feat, 3, 3, padding=1)
        self.res_scale = res_scale
        self.register_buffer("mean", MEAN)

    def forward(self, x: Tensor, task: str) -> Tensor:
        x = self.first(x * 255 - self.mean)
        y = x
        for conv1, conv2 in self.blocks:
            y = y + self.res_scale * conv2(F.relu(conv1(y)))
        y = x + self.last_of_body(y)
        return (self.last(F.pixel_shuffle(self.up(y), 2)) + self.mean) / 255


class PlainRDN(nn.Module):
    """RDN at x2 as in its paper, with EDSR's mean."""

    def __init__(self, num_feat: int, growth: int, num_block: int, num_conv: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, num_feat, 3, padding=1)
        self.second = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.dense = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(num_feat + i * growth, growth, 3, padding=1) for i in range(num_conv))
            for _ in range(num_block)
        )
        self.fusions = nn.ModuleList(nn.Conv2d(num_feat + num_conv * growth, num_feat, 1) for _ in range(num_block))
        self.fuse = nn.Conv2d(num_block * num_feat, num_feat, 1)
        self.fuse_again = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.up = nn.Conv2d(num_feat, 4 * growth, 3, padding=1)
        self.last = nn.Conv2d(growth, 3, 3, padding=1)
        self.register_buffer("mean", MEAN)

    def forward(self, x: Tensor, task: str) -> Tensor:
        first = self.first(x * 255 - self.mean)
        x = self.second(first)
        outputs = []
        for convs, fusion in zip(self.dense, self.fusions, strict=True):
            dense = x
            for conv in convs:
                dense = torch.cat([dense, F.relu(conv(dense))], 1)
            x = fusion(dense) + x
            outputs.append(x)
        x = self.fuse_again(self.fuse(torch.cat(outputs, 1))) + first
        return (self.last(F.pixel_shuffle(self.up(x), 2)) + self.mean) / 255


PLAIN = {"edsr": PlainEDSR, "rdn": PlainRDN}


def make(variant: str, side: str) -> nn.Module:
    """`suite`, `checkpointing` or `plain`; parameters have the same order, so that weights can be shared."""
    torch.manual_seed(0)
    if side != "plain":
        kwargs = {"gradient_checkpointing": True} if side == "checkpointing" else {}
        return baselines.build(variant, "sr2", **kwargs)
    return PLAIN[variant.partition("_")[0]](**baselines.VARIANTS[variant])


class Work:
    """A network with its training step and its inference, on the given device and at the given precision."""

    def __init__(self, variant: str, side: str, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        self.options = options
        self.device = torch.device(options.device)
        self.model = make(variant, side).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-5)
        generator = torch.Generator().manual_seed(0)
        patch = options.patch
        self.x = torch.rand(options.batch, 3, patch, patch, generator=generator).to(self.device)
        self.y = torch.rand(options.batch, 3, 2 * patch, 2 * patch, generator=generator).to(self.device)
        self.image = torch.rand(1, 3, options.image, options.image, generator=generator).to(self.device)

    def run(self, what: str) -> Tensor:
        """`training` or `inference`, once; the loss or the image."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
            if what == "inference":
                with torch.no_grad():
                    return self.model(self.image, "sr2")
            loss = F.l1_loss(self.model(self.x, "sr2"), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def share_weights(suite: nn.Module, plain: nn.Module, names: list[str]) -> None:
    """Copy the suite's weights to the plain network; `names` are the suite's parameters in the plain network's order."""
    weights = dict(suite.named_parameters())
    for name, parameter in zip(names, plain.parameters(), strict=True):
        parameter.data.copy_(weights[name])


def plain_order(variant: str, suite: nn.Module) -> list[str]:
    """The suite's names of parameters in the order in which the plain network registers them."""
    names = [name for name, _ in suite.named_parameters()]
    if variant.startswith("rdn"):  # in the plain network, local fusions come after all dense convolutions
        fusions = [name for name in names if ".LFF." in name]
        end = names.index(fusions[-1]) + 1
        names = [name for name in names[:end] if name not in fusions] + fusions + names[end:]
    return names


def compare_sides(
    variant: str, what: str, sides: tuple[str, str], options: argparse.Namespace
) -> list[dict[str, object]]:
    """One row for each of two forms of a network, with times and peak memories, and a row with their ratio."""
    first, second = (Work(variant, side, options) for side in sides)
    order = (
        plain_order(variant, first.model) if "plain" in sides else [name for name, _ in first.model.named_parameters()]
    )
    share_weights(first.model, second.model, order)
    torch.testing.assert_close(first.run("inference"), second.run("inference"), rtol=0, atol=options.tolerance)
    works = [partial(work.run, what) for work in (first, second)]
    label = f"{variant}, {what}, {' and '.join(sides)}"
    times = [table[options.clock] for table in alternate(works, options.rounds, options.device, label=label)]
    rows = [
        {
            "network": variant,
            "what": what,
            "precision": options.precision,
            "batch": options.batch if what == "training" else 1,
            "side": options.patch if what == "training" else options.image,
            "form": side,
            "clock": options.clock,
            "milliseconds": 1000 * seconds.median(),
            "megabytes": in_new_process(measure_memory, variant, side, what, options) / 1e6,
        }
        for side, seconds in zip(sides, times, strict=True)
    ]
    rows[0]["time_ratio"] = (times[0] / times[1]).median()
    rows[0]["memory_ratio"] = rows[0]["megabytes"] / rows[1]["megabytes"]
    return rows


def measure_memory(variant: str, side: str, what: str, options: argparse.Namespace) -> int:
    """Bytes at the peak of two runs above those before the network was made."""
    importlib.import_module("baselines.edsr")  # memory of imports is not counted
    before = reset_peak_memory() if options.device == "cpu" else 0
    work = Work(variant, side, options)
    for _ in range(2):
        work.run(what)
    return peak_memory() - before if options.device == "cpu" else torch.cuda.max_memory_allocated()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [name for name in baselines.VARIANTS if name.partition("_")[0] in PLAIN]
    parser.add_argument("--networks", nargs="+", choices=known, default=["edsr_baseline", "rdn_a"], metavar="NAME")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=48)
    parser.add_argument("--image", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="`processor` (CPU time): with one thread, on a shared machine"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/baselines.csv"))
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here")
    options.tolerance = 1e-4 if options.precision == "fp32" else 0.05
    rows, missed = [], False
    for variant in options.networks:
        for what in ("training", "inference"):
            rows += compare_sides(variant, what, ("suite", "plain"), options)
            missed |= rows[-2]["time_ratio"] > RATIO_LIMIT or rows[-2]["memory_ratio"] > MEMORY_LIMIT + NOISE
        if variant.startswith("rdn"):
            rows += compare_sides(variant, "training", ("checkpointing", "suite"), options)
            missed |= rows[-2]["time_ratio"] > CHECKPOINTING_TIME_LIMIT
            missed |= rows[-2]["memory_ratio"] > CHECKPOINTING_MEMORY_LIMIT
    report(rows, options.out, options.threads, options.device)
    return int(missed)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
