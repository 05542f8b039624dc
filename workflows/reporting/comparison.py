"""One image as restored by every model: the whole image with the crop marked, and the crop by each."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.analysis.records import percent
from workflows.reporting.image_panels import Tile, checked_crop, load, pick_crop
from workflows.reporting.study import Study
from workflows.reporting.style import frame, model_colors, page, small, titles, wrapped

MARK = "#ffd000"
# Inches: between panels, below a crop for its name and score, above all panels for the title; the largest width of a crop.
GAP, WORDS, HEAD, LARGEST = 0.06, 0.32, 0.2, 1.7
LINE = 1.35  # height of a line of text over its size
# The largest fraction of the width for the whole image.
WHOLE = 0.56


def draw(
    study: Study, task: str, dataset: str, image: str, crop: Sequence[int] | None = None, with_whole: bool = True
) -> tuple[Figure, pd.DataFrame]:
    """The comparison of all models at the largest fraction and its first seed.

    Args:
        study: its folder has `inputs/<task>/<dataset>/<image>_{LR,HR}.png` and the restored
            `runs/<run>/images/<task>/<dataset>/<image>.png`.
        task, dataset, image: the image to show.
        crop: x, y, width, height in HR pixels; None picks one (see `pick_crop`).
        with_whole: show the whole image next to the crops; otherwise the figure holds only crops of the image.

    Returns:
        The figure, and a table of the names and scores below the crops.

    Raises:
        ReportError: if an input is missing or the crop lies outside the image.
    """
    versions, fraction, seed = load(study, task, dataset, image)
    whole = versions[-1].pixels
    x, y, width, height = pick_crop(versions) if crop is None else checked_crop(crop, whole)
    # Bicubic interpolation stands for the input, which the page's slider shows itself.
    tiles = [tile for tile in versions if tile.model or tile is versions[-1]]
    tiles = tiles if tiles[0].model and tiles[0].pixels is not None else versions

    down, across = arrange(len(tiles), with_whole)
    side, left = _sizes(down, across, height / width, whole.shape[1] / whole.shape[0] if with_whole else 0)
    head = HEAD if titles() else 0.04
    names = [wrapped(tile.name, side, small()) for tile in tiles]
    lines = 1 + max(name.count("\n") for name in names)
    words = WORDS + (lines - 1) * LINE * small() / 72
    row = side * height / width + words
    tall = head + down * row
    figure = plt.figure(figsize=(page(), tall), layout="none")

    def place(x: float, y: float, width: float, height: float) -> Axes:
        """A panel at the given upper left corner, in inches."""
        return figure.add_axes(
            (x / page(), 1 - (y + height) / tall, width / page(), height / tall), xticks=[], yticks=[]
        )

    if with_whole:
        high = min(tall - head - words, left * whole.shape[0] / whole.shape[1])
        ax = place(GAP / 2, head + (tall - head - words - high) / 2, high * whole.shape[1] / whole.shape[0], high)
        ax.imshow(whole, interpolation="antialiased")
        frame(ax, x, y, width, height, MARK)
        ax.spines[:].set_visible(False)
        left += GAP
    if titles():
        of = "" if fraction is None else f"; models trained on {percent(fraction)}, seed {seed}"
        figure.text(GAP / 2 / page(), 1 - 0.04 / tall, f"{image} ({dataset}, {task}){of}", va="top")

    colors = model_colors(study.runs)
    best = max((tile.psnr for tile in tiles if tile.psnr is not None), default=None)
    for number, (tile, name) in enumerate(zip(tiles, names, strict=True)):
        i, j = divmod(number, across)
        short = across - min(across, len(tiles) - i * across)  # a shorter last row is centred
        ax = place(left + GAP / 2 + (j + short / 2) * (side + GAP), head + i * row, side, side * height / width)
        if tile.pixels is None:
            ax.set(xlim=(0, width), ylim=(height, 0), facecolor="0.93")
            ax.text(width / 2, height / 2, "missing", ha="center", va="center")
        else:
            ax.imshow(tile.pixels[y : y + height, x : x + width], interpolation="none")
        ax.spines[:].set(visible=True, color=colors.get(tile.model, "0.35"), linewidth=1.2)
        _words(ax, tile, name, lines, tile.psnr is not None and tile.psnr == best)
    table = pd.DataFrame(
        {"name": t.name, "model": t.model, "psnr_y": t.psnr, "ssim_y": t.ssim, "shown": t.pixels is not None}
        for t in tiles
    )
    return figure, table.assign(fraction=fraction, seed=seed, x=x, y=y, width=width, height=height)


def arrange(count: int, with_whole: bool = False) -> tuple[int, int]:
    """Rows and columns for the panels: full rows if possible, else a last row that is one panel short.

    Args:
        count: of the panels.
        with_whole: two rows beside the whole image are better than one.
    """
    widest = 5 if with_whole and count % 2 == 0 else 7
    if count <= widest:
        return 1, count
    sizes = range(3, widest + 1)
    across = min(sizes, key=lambda size: (-count % size > 0, -count % size, -(-count // size) != 2, -size))
    return -(-count // across), across


def _sizes(down: int, across: int, ratio: float, whole: float) -> tuple[float, float]:
    """The width of a crop and the room for the whole image, in inches.

    Args:
        down, across: rows and columns of crops.
        ratio: a crop's height over its width.
        whole: the whole image's width over its height; 0 where it is not shown.
    """
    room = page() - across * GAP
    # As tall as all rows of crops, without the text below the last row.
    side = (room - whole * (down - 1) * WORDS - GAP) / (across + whole * down * ratio) if whole else room / across
    left = whole * (down * (side * ratio + WORDS) - WORDS)
    if left > WHOLE * page():
        left = WHOLE * page()
        side = (room - left - GAP) / across
    return min(side, LARGEST), left


def _words(ax: Axes, tile: Tile, name: str, lines: int, best: bool) -> None:
    """Name and score, centred under a panel, with the same number of lines for all names."""
    score = tile.score or ("PSNR-Y / SSIM-Y" if tile.model is None else "")
    for below, text, weight in ((2, name, "normal"), (2 + lines * LINE * small(), score, "bold" if best else "normal")):
        ax.annotate(
            text,
            (0.5, 0),
            (0, -below),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=small(),
            weight=weight,
        )
