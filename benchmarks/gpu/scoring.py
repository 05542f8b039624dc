"""Scores from the device against scores from the CPU."""

from collections.abc import Iterator

import pandas as pd

from benchmarks.gpu import runs
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.registry import Line, at_most, failed, not_applicable
from workflows.evaluation.__main__ import main as evaluation_command

DECIBEL = 0.002


def compare_scores(bench: Bench) -> Iterator[Line]:
    """Scores of a trained network and of bicubic on the device equal the CPU's PSNR to 0.002 dB."""
    weights = runs.train(bench, "scored") / "model.safetensors"
    for model in (str(weights), "bicubic"):
        name, tables = bench.sizes.small if model != "bicubic" else model, []
        for device in ("cpu", bench.device.type):
            out = bench.folder / f"{name}-{device}.csv"
            wanted = ["--model", model, "--sets", "photos@2" if bench.cuda else "photos@1", "--tasks", "sr2"]
            if status := evaluation_command([*wanted, "--device", device, "--out", str(out)]):
                yield failed(f"{name} on {device}", f"the evaluation ended with status {status}")
                return
            tables.append(pd.read_csv(out))
        difference = (tables[1]["psnr_y"] - tables[0]["psnr_y"]).abs().max()
        yield at_most(name, float(difference), DECIBEL, "dB")
    if not bench.cuda:
        yield not_applicable("a card", "both scores are the CPU's")
