"""What overlapping windows bring: PSNR against the windows' distance, on whole photographs.

Run as `python -m benchmarks.stride --checkpoint results/demo/runs/ipt-100-seed-0/model.safetensors` (any checkpoint of IPT
for x2); without one it first trains `ipt_tiny` for a few minutes. It writes a table and a figure. Exit status 1: the default
of `python -m ipt_models restore` (about half a window, blended) loses more than 0.01 dB against a quarter of a window, the
authors' density, or uses more than a third of its windows.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from tqdm import tqdm

from benchmarks import tiny_training
from benchmarks.hardware import report
from ipt_models import IPT, build, load, restore
from ipt_models.windows import overlapping_stride, starts
from workflows.data.degradations import degrade_image
from workflows.evaluation import image_files, sets
from workflows.evaluation.metrics import psnr_y

SHARES = (1, 3 / 4, 2 / 3, 1 / 2, 1 / 3, 1 / 4)  # strides, of a window
LIMITS = {"loss": 0.01, "windows": 1 / 3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--train-steps", type=int, default=2500, help="where there is no checkpoint")
    parser.add_argument("--set", default="photos", help="a benchmark set for x2 (default: photos)")
    parser.add_argument("--data-root", type=Path, help="where sets other than photos are")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/stride.csv"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.checkpoint:
        model = load(options.checkpoint)
    else:
        torch.manual_seed(0)
        model = build("ipt_tiny", ("sr2",))
        tiny_training.train(model, options.train_steps)

    table = measure(model, options.set, options.data_root)
    report(table.to_dict("records"), options.out, options.threads)
    draw(table, options.out.with_suffix(".png"))
    chosen = table[(table.blend == "smooth") & (table.stride == overlapping_stride(model))].iloc[0]
    dense = table[(table.blend == "smooth") & (table.stride == model.patch_size // 4)].iloc[0]
    loss, share = dense.psnr_y - chosen.psnr_y, chosen.windows / dense.windows
    print(f"default ({chosen.stride}): {loss:.4f} dB below a quarter of a window, with {share:.3f} of its windows")
    return 0 if loss <= LIMITS["loss"] and share <= LIMITS["windows"] else 1


def measure(model: IPT, name: str, data_root: Path | None) -> pd.DataFrame:
    """Mean PSNR-Y by the protocol, windows and seconds of each stride and blend, over the images of a set."""
    (job,) = sets.find_jobs([name], ["sr2"], data_root)
    size, rows = model.patch_size, []
    strides = sorted({*(round(share * size) for share in SHARES), overlapping_stride(model)}, reverse=True)
    for sample in tqdm(job.samples, unit="image"):
        high = torch.from_numpy(image_files.read(sample.target).pixels).permute(2, 0, 1)
        low, high = degrade_image(high, "sr2", "")
        x, target = low.unsqueeze(0).float() / 255, high.permute(1, 2, 0).numpy()
        for stride in strides:
            for blend in ("centre", "smooth"):
                started = time.perf_counter()
                y = restore(model, x, "sr2", stride, blend=blend)
                seconds = time.perf_counter() - started
                output = (255 * y[0]).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
                windows = np.prod([len(starts(side, size, stride)) for side in x.shape[2:]])
                found = {"windows": windows, "seconds": seconds, "psnr_y": psnr_y(output, target, border=2)}
                rows.append({"stride": stride, "blend": blend, **found})
    table = pd.DataFrame(rows).groupby(["stride", "blend"], sort=False)
    means = table.agg({"windows": "sum", "seconds": "sum", "psnr_y": "mean"}).reset_index()
    means.insert(0, "dataset", name)
    means.insert(1, "patch_size", size)
    return means


def draw(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    sns.lineplot(table, x="windows", y="psnr_y", hue="blend", style="blend", markers=True, dashes=False, ax=axes)
    labelled = table[table.blend == "smooth"]
    for row in labelled.itertuples():
        axes.annotate(
            f"{row.stride}", (row.windows, row.psnr_y), textcoords="offset points", xytext=(0, 6), ha="center"
        )
    axes.set(xscale="log", xlabel=f"windows in all; labels: stride of {table.patch_size[0]}", ylabel="PSNR-Y (dB), x2")
    axes.margins(y=0.15)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"written to {path}")


if __name__ == "__main__":
    sys.exit(main())
