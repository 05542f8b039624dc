"""How every figure looks: one column wide, one colour and marker a model, the same bytes from the same data."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from ipt_models.files import replacing
from workflows.analysis.records import images_at, models, references
from workflows.files import write_csv

# Inches: a column of a two-column paper, and both columns with the gap between them.
COLUMN = 3.5
PAGE = 7.16

# seaborn's colour-blind-safe palette, its gray kept for untrained references, its yellow left out: too pale on white.
_SAFE = sns.color_palette("colorblind")
COLORS = [_SAFE[i] for i in (0, 1, 2, 4, 9, 3, 5, 6)]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
REFERENCE = "0.35"
REFERENCE_DASHES = [(4, 2), (1, 1.5)]

# Timestamps and program names would make equal figures differ.
_METADATA = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


@contextmanager
def house_style() -> Iterator[None]:
    """seaborn's `ticks` style at sizes that stay readable in a column of a paper."""
    sizes = {"font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7}
    sizes |= {"legend.fontsize": 7, "legend.title_fontsize": 7}
    lines = {"lines.linewidth": 1.4, "lines.markersize": 4, "axes.linewidth": 0.7}
    lines |= {"xtick.major.width": 0.7, "ytick.major.width": 0.7, "xtick.major.size": 3, "ytick.major.size": 3}
    lines |= {"axes.formatter.useoffset": False}
    files = {"savefig.dpi": 300, "pdf.fonttype": 42, "legend.frameon": False, "figure.constrained_layout.use": True}
    with sns.axes_style("ticks"), plt.rc_context(sizes | lines | files):
        yield
        plt.close("all")


def model_colors(runs: pd.DataFrame) -> dict[str, tuple]:
    """Colour of every model: by its place in the experiment, so the same in every figure; references are gray."""
    colors = {model: COLORS[i % len(COLORS)] for i, model in enumerate(models(runs))}
    return colors | dict.fromkeys(references(runs), REFERENCE)


def model_markers(runs: pd.DataFrame) -> dict[str, str]:
    """Marker of every trained model, so that colour is never the only sign; where colours repeat, markers differ."""
    return {model: MARKERS[(i + i // len(COLORS)) % len(MARKERS)] for i, model in enumerate(models(runs))}


def panels(keys: list, height: float = 2.45) -> tuple[Figure, dict]:
    """A figure with one panel a key: one column wide up to four panels, which are lower then, else as wide as a page."""
    across = 1 if len(keys) <= 4 else 2
    height *= {3: 0.86, 4: 0.76}.get(len(keys), 1)
    down = -(-len(keys) // across)
    figure, axes = plt.subplots(
        down, across, figsize=(COLUMN if across == 1 else PAGE, height * down + 0.45), squeeze=False
    )
    for spare in axes.flat[len(keys) :]:
        spare.set_axis_off()
    return figure, dict(zip(keys, axes.flat, strict=False))


class FractionAxis:
    """An axis of fractions: logarithmic where they span more than a decade; no data at all then stands a step before the
    smallest.
    """

    def __init__(self, fractions: Iterable[float]) -> None:
        self.fractions = np.array(sorted(set(fractions)), dtype="float64")
        positive = self.fractions[self.fractions > 0]
        self.log = len(positive) > 1 and positive[-1] / positive[0] > 10
        self.none = positive[0] / 2 if self.log else 0.0
        ends = self._even(self.places(self.fractions[[0, -1]]))
        self.span = ends[1] - ends[0]

    def places(self, fractions: ArrayLike, number: int = 0, of: int = 1) -> np.ndarray:
        """Where points stand; those of several models a little apart, so that all their bars are seen.

        Args:
            fractions: of the points.
            number, of: which model it is, and of how many.
        """
        places = np.where(np.asarray(fractions) > 0, fractions, self.none)
        shift = 0.005 * self.span * (number - (of - 1) / 2) if of > 1 else 0.0
        return places * np.exp(shift) if self.log else places + shift

    def _even(self, places: np.ndarray) -> np.ndarray:
        return np.log(places) if self.log else places

    def draw(self, ax: Axes, runs: pd.DataFrame) -> None:
        """Ticks at the fractions, with their number of images."""
        images = images_at(runs)
        if self.log:
            ax.set_xscale("log")
        names = []
        places = self.places(self.fractions)
        named = np.inf
        # From the right, so that the last tick always has its name; one too close to the next name goes without.
        for fraction, here in zip(self.fractions[::-1], self._even(places)[::-1], strict=True):
            count = images.get(fraction)
            name = f"{100 * fraction:g}" + ("" if pd.isna(count) else f"\n{thousands(count)}")
            crowded = named - here < 0.075 * self.span
            named = named if crowded else here
            names.insert(0, "" if crowded else name)
        ax.xaxis.set_major_locator(FixedLocator(places))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(places, names)
        if ax.get_subplotspec().is_last_row():
            ax.set_xlabel("share of the training images in %" + ("\nand their number" if images.notna().any() else ""))


def thousands(count: float) -> str:
    """1281167 → `1.28M`: counts short enough for a tick."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 10 * size or (count >= size and letter == "M"):
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}"


def legend(figure: Figure, handles: list, names: list[str], columns: int | None = None) -> None:
    """One legend above all panels."""
    across = columns or (min(len(names), 3) if figure.get_figwidth() <= COLUMN else min(len(names), 6))
    figure.legend(
        handles, names, loc="outside upper center", ncols=across, handlelength=2.2, columnspacing=1.2, borderaxespad=0.3
    )


def note(figure: Figure, text: str) -> None:
    """What the reader must know to read the figure, in it, below the panels."""
    figure.supxlabel(text, fontsize=6.5, color="0.25", x=0.01, ha="left")


def empty(text: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure, ax = plt.subplots(figsize=(COLUMN, 1.2))
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure


def save(figure: Figure, data: pd.DataFrame, paths: Iterable[Path]) -> None:
    """Write the figure to every .png and .pdf, and what it shows to every .csv, in `paths`."""
    for path in map(Path, paths):
        if path.suffix == ".csv":
            write_csv(data, path)
            continue
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=_METADATA[path.suffix])
