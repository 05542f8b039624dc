"""One image in all its versions: degraded, restored by every model, original; and where they differ most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import uniform_filter

from workflows.analysis.records import PLAIN, ReportError, labels, models, read_results, read_runs, references

Crop = tuple[int, int, int, int]


@dataclass(frozen=True)
class Tile:
    """One version of the image: uint8 (H, W, 3), or None where its run is missing, and its score in dB."""

    name: str
    model: str | None
    pixels: np.ndarray | None
    psnr: float | None = None


def load(experiment_dir: Path, task: str, dataset: str, image: str) -> tuple[list[Tile], float | None, int | None]:
    """All versions of the image, from the degraded to the original one, and the fraction and seed of the models'.

    Raises:
        ReportError: naming the file that is missing.
    """
    runs, results = read_runs(experiment_dir / "runs.csv"), read_results(experiment_dir / "results.csv")
    folder = experiment_dir / "inputs" / task / dataset
    original = _read(folder / f"{image}_HR.png")
    degraded = next((p for p in (folder / f"{image}_LR.png", folder / f"{image}_LR.npy") if p.is_file()), None)
    if degraded is None:
        raise ReportError(f"{folder}: holds neither {image}_LR.png nor {image}_LR.npy")
    enlarged = _enlarge(_read(degraded), original.shape[:2])
    here = results[(results["task"] == task) & (results["dataset"] == dataset) & (results["image"] == image)]
    here = here[here["setting"] == PLAIN]

    trained = runs[runs["fraction"].notna()]
    fraction = seed = None
    if len(trained):
        fraction = trained["fraction"].max()
        seed = int(trained.loc[trained["fraction"] == fraction, "seed"].iloc[0])
    shown = trained[(trained["fraction"] == fraction) & (trained["seed"] == seed)]
    names = labels(runs)
    where = Path("images") / task / dataset / f"{image}.png"
    tiles = []
    for model in references(runs):
        path = experiment_dir / "runs" / model / where
        if path.is_file():
            tiles.append(Tile(names[model], model, _read(path), _score(here[here["model"] == model])))
    # The unchanged input has its own score; with it among the references there is nothing to show twice.
    if not any(tile.model == "identity" for tile in tiles):
        tiles.insert(0, Tile("LR input" if task.startswith("sr") else "input", None, enlarged))
    for model in models(runs):
        run = shown.loc[shown["model"] == model, "run"]
        path = experiment_dir / "runs" / run.iloc[0] / where if len(run) else None
        found = path is not None and path.is_file()
        scores = here[(here["model"] == model) & (here["fraction"] == fraction) & (here["seed"] == seed)]
        tiles.append(Tile(names[model], model, _read(path) if found else None, _score(scores)))
    tiles.append(Tile("HR original" if task.startswith("sr") else "original", None, original))
    for tile in tiles:
        if tile.pixels is not None and tile.pixels.shape != original.shape:
            raise ReportError(
                f"{image} by {tile.name} is {tile.pixels.shape[:2]}, but the original is {original.shape[:2]}"
            )
    return tiles, fraction, seed


def pick_crop(tiles: Sequence[Tile]) -> Crop:
    """The window, a fifth of the image's shorter side wide, in which the models' outputs differ most from one another.

    The variance between models is averaged over the window; the choice does not look at which model is better.
    Without two models it is the window where the model, or else the input, is furthest from the original.
    """
    outputs = [tile.pixels for tile in tiles if tile.pixels is not None and tile.psnr is not None and tile.model]
    outputs = outputs if len(outputs) > 1 else [tile.pixels for tile in tiles if tile.pixels is not None]
    stack = np.stack([pixels.mean(axis=2, dtype="float32") for pixels in outputs])
    side = max(16, min(96, min(stack.shape[1:]) // 5))
    side = min(side, *stack.shape[1:])
    differs = uniform_filter(stack.var(axis=0), side, mode="constant")
    # Only windows that lie inside: centres half a side away from the borders.
    half = side // 2
    inside = differs[half : differs.shape[0] - (side - half) + 1, half : differs.shape[1] - (side - half) + 1]
    y, x = np.unravel_index(np.argmax(inside), inside.shape)
    return int(x), int(y), side, side


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


def _score(rows: pd.DataFrame) -> float | None:
    return None if rows.empty or rows["psnr_y"].isna().all() else float(rows["psnr_y"].iloc[0])


def _read(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) from a PNG, or from an array of noisy values on the 0-255 scale, (H, W, 3) or (3, H, W)."""
    if not path.is_file():
        raise ReportError(f"{path}: is missing")
    if path.suffix != ".npy":
        with Image.open(path) as file:
            return np.asarray(file.convert("RGB"))
    values = np.load(path)
    if values.shape[0] == 3 and values.shape[-1] != 3:
        values = np.moveaxis(values, 0, -1)
    return np.rint(values.clip(0, 255)).astype("uint8")


def _enlarge(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour enlargement to (height, width), so that every input pixel is seen as it is."""
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.NEAREST))
