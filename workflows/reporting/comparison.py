"""One image as restored by every model: the whole image with the crop marked, and the crop by each."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from workflows.analysis.records import read_runs
from workflows.reporting.image_panels import checked_crop, load, pick_crop
from workflows.reporting.style import COLUMN, model_colors

ACROSS = 4
MARK = "#ffd000"


def draw(
    experiment_dir: Path,
    task: str,
    dataset: str,
    image: str,
    crop: Sequence[int] | None = None,
    with_whole: bool = True,
) -> tuple[Figure, pd.DataFrame]:
    """The comparison of all models at the largest fraction and its first seed.

    Args:
        experiment_dir: folder with `results.csv`, `runs.csv`, `inputs/<task>/<dataset>/<image>_{LR,HR}.png` and the
            restored `runs/<run>/images/<task>/<dataset>/<image>.png`.
        task, dataset, image: what to show.
        crop: x, y, width, height in HR pixels; None picks the window where the models differ most.
        with_whole: show the whole image above the crops; without it a figure holds no more of the image than its crops.

    Returns:
        The figure, and a table of what is under the crops.

    Raises:
        ReportError: an input is missing or the crop lies outside.
    """
    tiles, fraction, seed = load(experiment_dir, task, dataset, image)
    whole = tiles[-1].pixels
    x, y, width, height = pick_crop(tiles) if crop is None else checked_crop(crop, whole)

    down = -(-len(tiles) // ACROSS)
    side = COLUMN / ACROSS
    top = min(COLUMN * whole.shape[0] / whole.shape[1], 2.4)
    rows = [top if with_whole else 0.12] + down * [0.97 * side * height / width + 0.26]
    figure = plt.figure(figsize=(COLUMN, sum(rows) + 0.18))
    grid = GridSpec(1 + down, ACROSS, figure=figure, height_ratios=rows)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)

    ax = figure.add_subplot(grid[0, :])
    if with_whole:
        ax.imshow(whole, interpolation="none")
        for color, line in (("black", 2.2), (MARK, 1.1)):
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=color, linewidth=line))
    ax.set_axis_off()
    share = "" if fraction is None else f"; models trained on {100 * fraction:g} %, seed {seed}"
    figure.suptitle(f"{image} ({dataset}, {task}){share}", fontsize=7, x=0.01, ha="left")

    colors = model_colors(read_runs(experiment_dir / "runs.csv"))
    best = max((tile.psnr for tile in tiles if tile.psnr is not None), default=None)
    for number, tile in enumerate(tiles):
        ax = figure.add_subplot(grid[1 + number // ACROSS, number % ACROSS])
        ax.set(xticks=[], yticks=[])
        if tile.pixels is None:
            ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", facecolor="0.93")
            ax.text(width / 2, height / 2, "missing", ha="center", va="center", fontsize=7)
        else:
            ax.imshow(tile.pixels[y : y + height, x : x + width], interpolation="none")
        for spine in ax.spines.values():
            spine.set(visible=True, color=colors.get(tile.model, "0.35"), linewidth=1.2)
        _caption(ax, tile.name, 2)
        if tile.psnr is not None:
            _caption(ax, f"{tile.psnr:.2f} dB", 10.5, weight="bold" if tile.psnr == best else "normal")
    table = pd.DataFrame(
        {"name": t.name, "model": t.model, "psnr_y": t.psnr, "shown": t.pixels is not None} for t in tiles
    )
    return figure, table.assign(fraction=fraction, seed=seed, x=x, y=y, width=width, height=height)


def _caption(ax: Axes, text: str, below: float, **style) -> None:
    """Text centred under a panel, `below` points from its edge."""
    ax.annotate(
        text,
        (0.5, 0),
        (0, -below),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=6.5,
        **style,
    )
