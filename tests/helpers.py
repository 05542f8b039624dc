"""What several tests need: paths, what a message has to name, textures, and a small experiment as the stages write it."""

import io
import json
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
import yaml
from PIL import Image

from workflows.analysis.collect import collect_results, collect_runs
from workflows.analysis.computation import write_tables
from workflows.analysis.records import read_results, read_runs
from workflows.config.grid import parse
from workflows.config.runs import Run
from workflows.files import write_csv

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).parents[1]
FIXTURES = Path(__file__).parent / "fixtures"
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

IMAGES = ("astronaut", "cat", "chelsea", "coffee", "motorcycle", "rocket")
LEVELS = (31.2, 33.9, 36.1, 32.4, 28.3, 35.0)
MODELS = {
    # name: (variant, contrastive weight, gain over bicubic at all data, what the smallest share of the data costs)
    "ipt": ("ipt_tiny", 0.0, 0.80, 0.35),
    "ipt-contrastive": ("ipt_tiny", 0.1, 0.86, 0.33),
    "edsr": ("edsr_tiny", 0.0, 0.92, 0.12),
    "rdn": ("rdn_tiny", 0.0, 0.88, 0.10),
}
LABELS = {"ipt": "IPT", "ipt-contrastive": "IPT + contrastive", "edsr": "EDSR", "rdn": "RDN"}
PARAMETERS = {"ipt_tiny": 1_234_567, "edsr_tiny": 207_331, "rdn_tiny": 311_004}


def assert_names(message: object, *named: object) -> None:
    """Each of `named` stands in the message as a word or number of its own; the words around it are free."""
    text = str(message)
    alone = r"(?<!\w)(?<!\d[.,]){}(?!\w|[.,]\d)"
    missing = [part for part in map(str, named) if not re.search(alone.format(re.escape(part)), text)]
    assert not missing, f"{missing} not named in: {text}"


@contextmanager
def raises_naming(error: type[Exception], *named: object) -> Iterator[pytest.ExceptionInfo]:
    """`pytest.raises` of an error whose message names all of `named`: keys, files, values, and what would be right."""
    with pytest.raises(error) as caught:
        yield caught
    assert_names(caught.value, *named)


def scores(
    rng: np.random.Generator, run: dict, images: Sequence[str], gain: float, setting: str = "plain"
) -> pd.DataFrame:
    """A run's metrics.csv; `gain` in dB over bicubic."""
    difficulty = np.array([LEVELS[IMAGES.index(image)] for image in images])
    share = rng.normal(1, 0.15, len(images))
    psnr = difficulty + gain * share
    return pd.DataFrame(
        {
            "experiment": "small",
            **run,
            "image": images,
            "psnr_y": psnr.round(4),
            "ssim_y": (0.80 + 0.018 * (psnr - 28)).round(5),
            "psnr_rgb": (psnr - 1.4).round(4),
            "height": 300,
            "width": 451,
            "head": run["task"],
            "protocol": "v1",
            "setting": setting,
        }
    )


def write_experiment(
    folder: Path,
    fractions: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0),
    seeds: Sequence[int] = (0,),
    tasks: Sequence[str] = ("sr2",),
    datasets: Sequence[str] = ("photos",),
    models: dict = MODELS,
    steps: int = 2000,
    images: Sequence[str] = IMAGES,
    noise: float = 0.03,
) -> list[str]:
    """Write `folder` as an experiment's results folder and return its runs' names, references last."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"name": "small", "seeds": list(seeds), "fractions": list(fractions), "tasks": list(tasks)}
    config["training"] = {"patch_size": 24}
    config["models"] = [{"name": name, "label": LABELS.get(name), "variant": models[name][0]} for name in models]
    for model in config["models"]:
        if weight := models[model["name"]][1]:
            model["contrastive"] = {"weight": weight}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    names = []
    for number, (model, (variant, contrastive, gain, cost)) in enumerate(models.items()):
        for fraction in fractions:
            for seed in seeds:
                name = f"{model}-{100 * fraction:g}-seed-{seed}"
                names.append(name)
                rng = np.random.default_rng([number, round(1000 * fraction), seed])
                reached = gain - cost * np.log(fraction) / np.log(0.2) + rng.normal(0, noise)
                run = {"model": model, "fraction": fraction, "seed": seed}
                tables = [
                    scores(rng, {**run, "task": task, "dataset": dataset}, images, reached)
                    for task in tasks
                    for dataset in datasets
                ]
                _write_run(
                    folder / "runs" / name, pd.concat(tables), run, variant, contrastive, tasks, steps, reached, rng
                )
    rng = np.random.default_rng(99)
    run = {"model": "bicubic", "fraction": None, "seed": None}
    tables = [
        scores(rng, {**run, "task": t, "dataset": d}, images, 0.0)
        for t in tasks
        for d in datasets
        if t.startswith("sr")
    ]
    if tables:
        (folder / "runs" / "bicubic").mkdir(parents=True)
        pd.concat(tables).to_csv(folder / "runs" / "bicubic" / "metrics.csv", index=False)
        names.append("bicubic")
    return names


def _write_run(folder, metrics, run, variant, contrastive, tasks, steps, reached, rng) -> None:
    folder.mkdir(parents=True)
    metrics.to_csv(folder / "metrics.csv", index=False)
    step = np.arange(steps // 50, steps + 1, steps // 50)
    l1 = 3.2 + 3 * np.exp(-step / (0.12 * steps)) - 0.3 * reached + rng.normal(0, 0.12, len(step))
    measured = step % (steps // 10) == 0
    psnr = 29.5 + reached - 2.5 * np.exp(-step / (0.15 * steps)) + rng.normal(0, 0.02, len(step))
    log = pd.DataFrame({"step": step, "patches": step * 16, "loss": l1 + contrastive * 6, "l1": l1})
    log["contrastive"] = 6.0 if contrastive else np.nan
    log["contrastive_share"] = 0.12 + 0.1 * np.exp(-step / 500) if contrastive else np.nan
    log["learning_rate"] = 5e-4
    log["patches_per_second"] = 400.0
    log["data_wait"] = 0.02
    log["seconds"] = step * 0.04
    log["training_l1"] = np.where(measured, l1, np.nan)
    log["training_psnr"] = np.where(measured, psnr + 0.1, np.nan)
    log["validation_l1"] = np.where(measured, l1 + 0.05 / run["fraction"] + 0.002 * run["seed"], np.nan)
    log["validation_psnr"] = np.where(measured, psnr, np.nan)
    log["gap"] = log["validation_l1"] - log["training_l1"]
    log.to_csv(folder / "train.csv", index=False)
    provenance = {
        "experiment": "small",
        "run": folder.name,
        **run,
        "variant": variant,
        "tasks": list(tasks),
        "config": {
            "experiment": "small",
            "name": folder.name,
            **run,
            "variant": variant,
            "kwargs": {},
            "contrastive": {"weight": contrastive, "formulation": "supcon", "temperature": None}
            if contrastive
            else None,
            "tasks": list(tasks),
            "training": {"budget": {"steps": steps}, "learning_rate": 5e-4},
        },
        "training": {
            "steps": steps,
            "batch_size": 16,
            "patch_size": 24,
            "patches": steps * 16,
            "patches_by_task": {task: steps * 16 // len(tasks) for task in tasks},
            "images": round(300 * run["fraction"]),
            "crops_per_image": 1,
            "negatives": 14.9 if contrastive else None,
            "interpolation_l1": {"training": 5.0, "validation": 6.0},
            "wall_seconds": steps * 0.04,
        },
        "parameters": PARAMETERS.get(variant, 1_000_000),
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "versions": {"python": "3.11.7", "torch": "2.14.1"},
        "hardware": {"processor": "a processor", "cores": 2},
        "threads": 1,
        "data": {},
        "weights_sha256": "0" * 64,
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))


def write_images(folder: Path, names: Sequence[str], image: str, task: str = "sr2", dataset: str = "photos") -> None:
    """Inputs and restored images of one photograph, each model blurred differently."""
    original = Image.fromarray(skimage.data.chelsea())
    size = original.size
    inputs = folder / "inputs" / task / dataset
    inputs.mkdir(parents=True, exist_ok=True)
    small = original.resize((size[0] // 2, size[1] // 2), Image.Resampling.BICUBIC)
    original = original.crop((0, 0, 2 * small.width, 2 * small.height))
    original.save(inputs / f"{image}_HR.png")
    small.save(inputs / f"{image}_LR.png")
    for number, name in enumerate(names):
        path = folder / "runs" / name / "images" / task / dataset / f"{image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        restored = small.resize(original.size, Image.Resampling.BICUBIC)
        if name != "bicubic":
            restored = Image.blend(restored, original, 0.3 + 0.6 * (number % 7) / 6)
        restored.save(path)


def gather(folder: Path, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write results.csv and runs.csv, and read them."""
    write_csv(collect_results(folder, names), folder / "results.csv")
    write_csv(collect_runs(folder, names), folder / "runs.csv")
    return read_results(folder / "results.csv"), read_runs(folder / "runs.csv")


def analyse(folder: Path, names: Sequence[str]) -> None:
    """Write results.csv, runs.csv and tables/*.csv."""
    results, runs = gather(folder, names)
    write_tables(results, runs, folder / "tables", sorted(folder.glob("runs/*/train.csv")))


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """A uint8 RGB image of noise, smoothed a little so that it is no worst case for PNG."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.blur(noise, (2, 2))


def jpeg(seed: int) -> bytes:
    return cv2.imencode(".jpg", texture(seed, 40 + seed, 50))[1].tobytes()


def tar(members: dict[str, bytes], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def make_run(
    model: str = "ipt", tasks: tuple[str, ...] = ("sr2",), contrastive: bool | dict | None = None, **recipe
) -> Run:
    """A training that takes a second, by model name; keyword arguments change the recipe."""
    variant = {
        "ipt": {"variant": "ipt_tiny", "kwargs": {"num_feat": 4, "patch_size": 6, "num_heads": 2, "depth": 1}},
        "edsr": {"variant": "edsr_tiny", "kwargs": {"num_feat": 4, "num_block": 1}},
        "swinir": {
            "variant": "swinir_light",
            "kwargs": {"embed_dim": 8, "depths": [4], "num_heads": 2, "window_size": 2},
        },
    }[model]
    if contrastive is True:
        contrastive = {"weight": 0.1}
    config = {
        "name": "micro",
        "tasks": list(tasks),
        "evaluation": {"references": []},
        "models": [{"name": model, **variant, "contrastive": contrastive}],
        "training": {
            "budget": {"steps": 6},
            "batch_size": 4,
            "patch_size": 6,
            "learning_rate": 1e-3,
            "log_every": 2,
            "validate_every": 3,
            "accelerator": "cpu",
            **recipe,
        },
    }
    return parse(config).runs()[f"{model}-100-seed-0"]


def train_quickly(run: Run, *arguments: Path | None) -> None:
    """`loop.train` with progress measured on fewer crops, which takes most of a training of a few steps."""
    from workflows.training import loop, validation

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(validation, "CROPS", 16)
        loop.train(run, *arguments)


def fill_by_rule(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """A state dict with the authors' names, with the values that `tests/fixtures/tiny_*.npz` were computed with."""
    import torch

    filled = {}
    for key, tensor in state.items():
        if any(name in key for name in ("sub_mean", "add_mean", "position_ids")):
            filled[key] = tensor.clone()
            continue
        shape = tuple(tensor.shape)
        size = 0.5 if "query_embed" in key or ".pe." in key else 1 / np.sqrt(np.prod(shape[1:])) if shape[1:] else 0.1
        values = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape) * size
        values += ".norm" in key and key.endswith("weight")
        filled[key] = torch.from_numpy(values.astype(np.float32))
    return filled


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Headless, without a network, and without the services that a browser calls by itself.
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"]
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium: install Debian's package chromium")
# Writes into the title what a test asks, once the page is there.
ASK = """
addEventListener("load", () => { document.title = JSON.stringify([
  [...document.images].filter(image => !image.naturalWidth).length,
  document.documentElement.scrollWidth - innerWidth, innerWidth,
  getComputedStyle(document.body).backgroundColor]); });
"""


def browse(page: str, tmp_path: Path, script: str, *arguments: str) -> tuple[str, str]:
    """Open the page with a script at its end; returns the title after it ran and the browser's log."""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", *arguments]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return re.search(r"<title>(.*?)</title>", done.stdout)[1], done.stderr
