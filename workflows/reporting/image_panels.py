"""All versions of one image (degraded, restored by each model, original), and the region in which they differ most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ipt_models.tasks import can_restore, parse_task
from workflows.analysis.records import PLAIN, ReportError, models, references, tasks_of
from workflows.reporting.study import Study

Crop = tuple[int, int, int, int]


@dataclass(frozen=True)
class Tile:
    """A version of the image: uint8 (H, W, 3), or None if its run is missing, with its PSNR-Y in dB and SSIM-Y."""

    name: str
    model: str | None
    pixels: np.ndarray | None
    psnr: float | None = None
    ssim: float | None = None

    @property
    def score(self) -> str:
        """PSNR and SSIM as text; empty without a score."""
        return "" if self.psnr is None else f"{self.psnr:.2f} dB / {self.ssim:.4f}"


def load(study: Study, task: str, dataset: str, image: str) -> tuple[list[Tile], float | None, int | None]:
    """All versions of the image, from the degraded to the original one, and the fraction and seed of the models'.

    Raises:
        ReportError: naming the file that is missing.
    """
    runs, results, names = study.runs, study.results, study.labels
    folder = study.folder / "inputs" / task / dataset
    original = _read(folder / f"{image}_HR.png")
    degraded = next((p for p in (folder / f"{image}_LR.png", folder / f"{image}_LR.npy") if p.is_file()), None)
    if degraded is None:
        raise ReportError(f"{folder}: holds neither {image}_LR.png nor {image}_LR.npy")
    enlarged = _enlarge(_read(degraded), original.shape[:2])
    rows = results[(results["task"] == task) & (results["dataset"] == dataset) & (results["image"] == image)]
    rows = rows[rows["setting"] == PLAIN]

    trained = runs[runs["fraction"].notna()]
    fraction = seed = None
    if len(trained):
        fraction = trained["fraction"].max()
        seed = int(trained.loc[trained["fraction"] == fraction, "seed"].iloc[0])
    compared = trained[(trained["fraction"] == fraction) & (trained["seed"] == seed)]
    where = Path("images") / task / dataset / f"{image}.png"
    tiles, tasks = [], tasks_of(runs)
    for model in references(runs):
        path = study.folder / "runs" / model / where
        if path.is_file():
            tiles.append(Tile(names[model], model, _read(path), *_score(rows[rows["model"] == model])))
    # The unchanged input has its own score; if it is among the references, it is not shown twice.
    if not any(tile.model == "identity" for tile in tiles):
        tiles.insert(0, Tile("LR input" if task.startswith("sr") else "input", None, enlarged))
    for model in models(runs):
        run = compared.loc[compared["model"] == model, "run"]
        path = study.folder / "runs" / run.iloc[0] / where if len(run) else None
        exists = path is not None and path.is_file()
        scores = rows[(rows["model"] == model) & (rows["fraction"] == fraction) & (rows["seed"] == seed)]
        if scores.empty and model in tasks and not can_restore(tasks[model], parse_task(task)):
            continue  # it does not have the task, so nothing is missing
        tiles.append(Tile(names[model], model, _read(path) if exists else None, *_score(scores)))
    tiles.append(Tile("HR original" if task.startswith("sr") else "original", None, original))
    for tile in tiles:
        if tile.pixels is not None and tile.pixels.shape != original.shape:
            raise ReportError(
                f"{image} by {tile.name} is {tile.pixels.shape[:2]}, but the original is {original.shape[:2]}"
            )
    return tiles, fraction, seed


def pick_crop(tiles: Sequence[Tile]) -> Crop:
    """The window with detail that the models restore differently; its width is a fifth of the image's shorter side.

    It has the largest product of two means over the window: the spread between the models' outputs, and the slope of the
    original. The choice does not depend on which model is better. Without two models it is the spread between all versions.
    """
    outputs = [tile.pixels for tile in tiles if tile.pixels is not None and tile.psnr is not None and tile.model]
    outputs = outputs if len(outputs) > 1 else [tile.pixels for tile in tiles if tile.pixels is not None]
    stack = np.stack([pixels.mean(axis=2, dtype="float32") for pixels in outputs])
    original = tiles[-1].pixels.mean(axis=2, dtype="float32")
    slope = np.hypot(*np.gradient(original)) if min(original.shape) > 1 else np.ones_like(original)
    side = max(16, min(96, min(original.shape) // 5))
    side = min(side, *original.shape)
    fits = _window_sums(np.ptp(stack, axis=0), side) * _window_sums(slope, side)
    y, x = np.unravel_index(np.argmax(fits), fits.shape)
    return int(x), int(y), side, side


def _window_sums(values: np.ndarray, side: int) -> np.ndarray:
    """Sums over all windows of side x side inside the image, by their upper left corner."""
    total = np.pad(values.astype("float64"), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


def checked_crop(crop: Sequence[int], whole: np.ndarray) -> Crop:
    """The crop, if it lies inside the image.

    Raises:
        ReportError: it does not.
    """
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1 or y + height > whole.shape[0] or x + width > whole.shape[1]:
        raise ReportError(
            f"crop {x} {y} {width} {height} (x, y, width, height) is not inside {whole.shape[1]} x {whole.shape[0]}"
        )
    return x, y, width, height


def _score(rows: pd.DataFrame) -> tuple[float | None, float | None]:
    if rows.empty or rows["psnr_y"].isna().all():
        return None, None
    return float(rows["psnr_y"].iloc[0]), float(rows["ssim_y"].iloc[0])


def _read(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) from a PNG, or from an array of noisy values on the 0-255 scale, (H, W, 3) or (3, H, W)."""
    if not path.is_file():
        raise ReportError(f"{path}: is missing")
    try:
        if path.suffix != ".npy":
            with Image.open(path) as file:
                return np.asarray(file.convert("RGB"))
        values = np.load(path)
    except Exception as error:  # damaged files raise many kinds of errors
        raise ReportError(f"{path}: is damaged: {' '.join(str(error).split())}") from None
    if values.ndim != 3 or 3 not in (values.shape[0], values.shape[-1]):
        raise ReportError(f"{path}: is an array of {values.shape}; expected (H, W, 3) or (3, H, W)")
    if values.shape[0] == 3 and values.shape[-1] != 3:
        values = np.moveaxis(values, 0, -1)
    return np.rint(values.clip(0, 255)).astype("uint8")


def _enlarge(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour enlargement to (height, width), so that every input pixel stays visible."""
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.NEAREST))
