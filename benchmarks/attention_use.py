"""How much of a trained IPT's PSNR its attention contributes: PSNR-Y with the attention, and with its outputs set to zero.

Run as `python -m benchmarks.attention_use --checkpoints results/NAME/runs/*/model.safetensors --sets Set5 --data-root DIR`
(IPT for x2, `centre` windows). Without attention only the head, the MLPs and the tail are left, with the weights that were
trained beside it, and only the convolutions of head and tail look beyond one token.
"""

import argparse
import sys
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

from benchmarks.hardware import report
from benchmarks.scored_images import scored
from ipt_models import IPT, restore
from ipt_models.network import Attention
from workflows import models, provenance
from workflows.command_line import exit_status, refuse_missing
from workflows.evaluation.inputs import as_pixels
from workflows.evaluation.sets import Job, find_jobs


def main() -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True)
    parser.add_argument("--sets", nargs="+", default=["photos"], help="benchmark sets for x2 (default: photos)")
    parser.add_argument("--data-root", type=Path, help="where sets other than photos are")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/attention_use.csv"))
    options = parser.parse_args()
    refuse_missing("--checkpoints", options.checkpoints)
    torch.set_num_threads(options.threads)
    jobs = find_jobs(options.sets, ["sr2"], options.data_root)
    rows = []
    for checkpoint in tqdm(options.checkpoints, unit="network"):
        network, header = models.load(checkpoint)
        named = {
            "experiment": header.get("experiment"),
            "run": header.get("run", checkpoint.stem),
            "weights": provenance.sha256(checkpoint)[:16],  # as in provenance.json
        }
        levels = [mean_psnr(network, job) for job in jobs]
        silence(network)
        for job, level in zip(jobs, levels, strict=True):
            row = {"dataset": job.request.label, "psnr_y": level, "psnr_y_without": mean_psnr(network, job)}
            rows.append({**named, **row, "gain": level - row["psnr_y_without"]})
    report(rows, options.out, options.threads)
    return 0


def silence(network: IPT) -> None:
    """Set every attention's output to zero; its output projection has no bias."""
    for module in network.modules():
        if isinstance(module, Attention):
            torch.nn.init.zeros_(module.out_proj.weight)


def mean_psnr(network: IPT, job: Job) -> float:
    """Mean PSNR-Y in dB over the images of a set, by the protocol."""
    return fmean(psnr_y(as_pixels(restore(network, x, job.task.name, "centre"))) for x, psnr_y in scored(job))


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
