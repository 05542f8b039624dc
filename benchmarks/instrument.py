"""Whether the experiment can detect its effects: too few patches, and small differences between networks.

Run as `python -m benchmarks.instrument --root IMAGENET --data-root SETS`: IMAGENET has `train/<class>/*.JPEG`, of which 32
images are held out, SETS has `benchmark/Set5/HR`. 1,200 steps; everything else is as in `config/small.yaml`.

- `ipt_tiny` on eight fixed crops per image without flips and rotations, 20 images and all of them: held-out minus
  training L1 on the 0-255 scale, for crops as hard as the training ones. Expected: above 1 at 20 images, below 0.2 at all (468).
- RDN of IPT's multiply-adds on freely drawn crops of all images with seeds 0, 1, 2: PSNR-Y on Set5 x2 and half of its
  95 % t interval over the seeds. Expected: below 0.25 dB.

Each run's row also has the median and the 99 % quantile of its gradients' norms after warm-up, and the fraction of clipped
steps. A few minutes per run on one core.
"""

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.hardware import report
from workflows.analysis.statistics import t_interval
from workflows.command_line import exit_status
from workflows.config import grid
from workflows.config.runs import Run
from workflows.data.manifest import scan
from workflows.training import loop

HELD_OUT, FEW, STEPS = 32, 20, {"steps": 1200}
SETTINGS = Path(__file__).parents[1] / "config" / "small.yaml"
LARGEST_HALF_WIDTH, LEAST_GAP, LARGEST_GAP = 0.25, 1.0, 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with train/<class>/*.JPEG")
    parser.add_argument("--data-root", type=Path, required=True, help="folder with benchmark/Set5/HR")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each (default 1)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/instrument.csv"))
    options = parser.parse_args()
    images = scan(options.root, min_side=48).images
    held_out, images = images[:HELD_OUT], images[HELD_OUT:]

    fixed, free = {"fixed_crops": 8}, {"fixed_crops": None}
    ipt = make_runs({"data": fixed, "training": {"augment": False, "budget": STEPS}})["ipt-100-seed-0"]
    rdn = make_runs({"data": free, "training": {"augment": True, "budget": STEPS}, "seeds": [0, 1, 2]})
    trainings = [(ipt, images[:FEW]), (ipt, images), *((rdn[f"rdn-100-seed-{seed}"], images) for seed in (0, 1, 2))]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [pool.submit(measure, run, table, held_out, options.root, options.data_root) for run, table in trainings]
        few, many, *seeds = [job.result() for job in jobs]

    interval = t_interval([row["psnr_y_set5"] for row in seeds])
    half = (interval.high - interval.low) / 2
    report([few, many, *(row | {"half_width_db": half} for row in seeds)], options.out, threads=1)
    wrong = [] if few["gap"] > LEAST_GAP else [f"the gap at {FEW} images is {few['gap']:.2f}, not above {LEAST_GAP}"]
    wrong += (
        [] if many["gap"] < LARGEST_GAP else [f"the gap at all images is {many['gap']:.2f}, not below {LARGEST_GAP}"]
    )
    wrong += [] if half < LARGEST_HALF_WIDTH else [f"RDN on Set5: ± {half:.2f} dB, not below {LARGEST_HALF_WIDTH}"]
    print("\n".join(wrong) or "as expected", flush=True)
    return 1 if wrong else 0


def make_runs(changes: dict[str, Any]) -> dict[str, Run]:
    """Runs of `config/small.yaml` with some keys changed and every step logged."""
    config = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    config["preset"] = "cpu-ends"  # it has both IPT and RDN
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) and value else value
    config["training"] |= {"log_every": 1, "accelerator": "cpu"}
    return grid.parse(config).runs()


def measure(run: Run, images: pd.DataFrame, held_out: pd.DataFrame, root: Path, data_root: Path) -> dict[str, Any]:
    """Train a run; returns its description and final measurements."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        images.to_csv(out / "fraction.csv", index=False)
        held_out.to_csv(out / "validation.csv", index=False)
        loop.train(run, root, out / "fraction.csv", out / "validation.csv", out, out / "resume")
        log = pd.read_csv(out / "train.csv")
        psnr = score(out / "model.safetensors", data_root)
    last, after = log.iloc[-1], log[run.training.warmup_steps :]
    row = {
        **{"model": run.model, "images": len(images), "seed": run.seed, "steps": int(last.step)},
        **{"fixed_crops": run.data.fixed_crops, "augment": run.training.augment},
        **{"training_l1": last.training_l1, "validation_l1": last.validation_l1, "gap": last.gap, "psnr_y_set5": psnr},
        **{"gradient_norm": after.gradient_norm.median(), "gradient_norm_99": after.gradient_norm.quantile(0.99)},
        **{"gradient_clip": run.training.gradient_clip, "clipped_share": after.clipped_share.mean()},
    }
    print(row, flush=True)
    return row


def score(model: Path, data_root: Path) -> float:
    """Mean PSNR-Y on Set5 x2 by the project's protocol."""
    out = model.with_name("metrics.csv")
    command = [sys.executable, "-m", "workflows.evaluation", "--model", model, "--sets", "Set5", "--tasks", "sr2"]
    command += ["--data-root", data_root, "--out", out, "--threads", 1]
    subprocess.run(list(map(str, command)), check=True)
    return pd.read_csv(out)["psnr_y"].mean()


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
