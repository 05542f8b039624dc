"""The style of every figure: a paper's widths, one colour and marker per model, the same bytes from the same data."""

import os
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from ipt_models.files import replacing
from workflows.analysis.records import models, references
from workflows.config.schema import Style
from workflows.files import write_csv

# Inches: the gap between a paper's two columns.
GUTTER = 0.16

# seaborn's colour-blind-safe palette, with gray reserved for untrained references and without yellow, which is too pale on
# white.
_SAFE = sns.color_palette("colorblind")
COLORS = [_SAFE[i] for i in (0, 1, 2, 4, 9, 3, 5, 6)]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
REFERENCE = "0.35"
REFERENCE_DASHES = [(4, 2), (1, 1.5), (4, 1.5, 1, 1.5), (8, 2), (2, 3), (6, 1.5, 1, 1.5, 1, 1.5)]

# matplotlib's own fonts, so that figures are the same everywhere.
_FONTS = {"sans-serif": "DejaVu Sans", "serif": "STIXGeneral"}

# Left out, because timestamps and program names make equal figures differ.
_METADATA = {".png": {"Software": None}, ".pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
FORMATS = (*_METADATA, ".csv")  # that `save` writes

_style = Style()


@contextmanager
def house_style(style: Style | None = None) -> Iterator[None]:
    """seaborn's `ticks` style at sizes that stay readable in a column of a paper.

    Args:
        style: `report.style` of the config; defaults if missing.
    """
    global _style
    before, _style = _style, style or Style()
    serif = _style.font == "serif"
    # STIX is a narrow typeface.
    large, middle, small = (9, 8.5, 7.5) if serif else (8, 7, 6.5)
    fonts = {"font.family": _style.font, f"font.{_style.font}": [_FONTS[_style.font]], "font.size": large}
    fonts |= {"text.parse_math": False}  # a model's label may hold dollar signs
    sizes = {"axes.labelsize": large, "axes.titlesize": large, "figure.labelsize": small}
    sizes |= {"xtick.labelsize": middle, "ytick.labelsize": middle}
    sizes |= {"legend.fontsize": middle, "legend.title_fontsize": middle}
    lines = {"lines.linewidth": 1.4, "lines.markersize": 4, "axes.linewidth": 0.7}
    lines |= {"xtick.major.width": 0.7, "ytick.major.width": 0.7, "xtick.major.size": 3, "ytick.major.size": 3}
    lines |= {"axes.formatter.useoffset": False, "axes.spines.top": False, "axes.spines.right": False}
    # Text is measured at the resolution it is drawn with.
    files = {"figure.dpi": 300, "savefig.dpi": "figure", "pdf.fonttype": 42}
    files |= {"legend.frameon": False, "figure.constrained_layout.use": True}
    try:
        with sns.axes_style("ticks"), plt.rc_context(fonts | sizes | lines | files):
            yield
            plt.close("all")
    finally:
        _style = before


def column() -> float:
    """Width of a paper's column in inches."""
    return _style.width


def page() -> float:
    """Width of both columns with the gap, in inches."""
    return 2 * _style.width + GUTTER


def small() -> float:
    """Size in points of the smallest text: notes, and text in a panel."""
    return mpl.rcParams["figure.labelsize"]


def titles() -> bool:
    """Whether figures have titles and notes."""
    return _style.titles


def model_colors(runs: pd.DataFrame) -> dict[str, tuple]:
    """Colour of every model, by its position in the experiment and so the same in every figure; references are gray."""
    colors = {model: COLORS[i % len(COLORS)] for i, model in enumerate(models(runs))}
    return colors | dict.fromkeys(references(runs), REFERENCE)


def model_markers(runs: pd.DataFrame) -> dict[str, str]:
    """Marker of every trained model, so that colour is never the only distinction; if colours repeat, markers differ."""
    return {model: MARKERS[(i + i // len(COLORS)) % len(MARKERS)] for i, model in enumerate(models(runs))}


def panels(keys: list, height: float = 2.1, most: int = 4) -> tuple[Figure, dict]:
    """A figure with one panel per key: one fills a column, two to `most` share a row of the page's width, more take full
    rows.

    Args:
        keys: of the panels.
        height: inches of a row.
        most: panels in a row.
    """
    across = -(-len(keys) // -(-len(keys) // most))
    down = -(-len(keys) // across)
    width = column() if len(keys) == 1 else page()
    figure, axes = plt.subplots(down, across, figsize=(width, height * down + 0.45), squeeze=False)
    for spare in axes.flat[len(keys) :]:
        spare.remove()
    return figure, dict(zip(keys, axes.flat, strict=False))


def lowest(axes: Iterable[Axes]) -> list[Axes]:
    """The lowest panel of each column, which labels the column's shared axis."""
    axes = list(axes)
    rows = {(ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start) for ax in axes}
    return [
        ax for ax in axes if (ax.get_subplotspec().rowspan.start + 1, ax.get_subplotspec().colspan.start) not in rows
    ]


def leftmost(axes: Iterable[Axes]) -> list[Axes]:
    """The first panel of every row."""
    return [ax for ax in axes if ax.get_subplotspec().is_first_col()]


def equal_spans(axes: Iterable[Axes]) -> None:
    """Give the axes of all panels the same span, each around its own values, so that a decibel has the same length in all."""
    axes = list(axes)
    span = max(np.ptp(ax.get_ylim()) for ax in axes)
    for ax in axes:
        middle = sum(ax.get_ylim()) / 2
        ax.set_ylim(middle - span / 2, middle + span / 2)


def same_limits(axes: Iterable[Axes], of: str) -> None:
    """Give all panels the limits that hold the values of each, on axis `x` or `y`."""
    axes = list(axes)
    ends = [end for ax in axes for end in getattr(ax, f"get_{of}lim")()]
    for ax in axes:
        ax.set(**{f"{of}lim": (min(ends), max(ends))})


class DataAxis:
    """An axis of amounts of data: logarithmic where they span more than a decade; 0 is then drawn one step before the
    smallest.
    """

    def __init__(self, amounts: Iterable[float]) -> None:
        self.amounts = np.array(sorted(set(amounts)), dtype="float64")
        positive = self.amounts[self.amounts > 0]
        self.log = len(positive) > 1 and positive[-1] / positive[0] > 10
        self.none = positive[0] / 2 if self.log else 0.0
        ends = self._even(self.places(self.amounts[[0, -1]]))
        self.span = ends[1] - ends[0]

    def places(self, amounts: ArrayLike, number: int = 0, of: int = 1) -> np.ndarray:
        """Positions of points; those of several models are a little apart, so that all their bars are visible.

        Args:
            amounts: of the points.
            number, of: the model's number, and the number of models.
        """
        places = np.where(np.asarray(amounts) > 0, amounts, self.none)
        shift = 0.012 * self.span * (number - (of - 1) / 2) if of > 1 else 0.0
        return places * np.exp(shift) if self.log else places + shift

    def _even(self, places: np.ndarray) -> np.ndarray:
        return np.log(places) if self.log else places

    def draw(self, ax: Axes, name: Callable[[float], str], across: int) -> None:
        """Ticks at the amounts.

        Args:
            ax: the panel.
            name: of an amount.
            across: panels in a row; narrow panels label fewer ticks.
        """
        if self.log:
            ax.set_xscale("log")
        places = self.places(self.amounts)
        labelled = spaced(self._even(places), 0.075 * self.span * (1 if across == 1 else 0.75 * across))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(places, [name(n) if shown else "" for n, shown in zip(self.amounts, labelled, strict=True)])


def spaced(places: ArrayLike, room: float) -> list[bool]:
    """The ticks to label: both ends, and from the right all that are not too close to a label.

    Args:
        places: of the ticks, ascending, in even units.
        room: width of a label.
    """
    places = np.asarray(places)
    labelled = [False] * len(places)
    last = np.inf
    for number in range(len(places) - 1, -1, -1):
        if number == 0 or (last - places[number] >= room and places[number] - places[0] >= room):
            labelled[number], last = True, places[number]
    if len(places) > 1 and places[-1] - places[0] < room:
        labelled[0] = False
    return labelled


def thousands(count: float) -> str:
    """1281167 → `1.28M`: a count short enough for a tick."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 10 * size or (count >= size and letter != "k"):
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}" if count >= 1 else f"{count:.2g}"


def title(ax: Axes, text: str, needed: bool = True) -> None:
    """A panel's title; with titles off, only if the panels need one to be distinguished."""
    if _style.titles or needed:
        ax.set_title(text, loc="left")


def wrapped(text: str, width: float, size: float | None = None) -> str:
    """The text in lines of at most `width` inches, at `size` points or those of figures' text."""
    font = FontProperties(size=size)

    def is_wider(line: str) -> bool:
        return text_to_path.get_text_width_height_descent(line, font, False)[0] > 72 * width

    given = lines = text.split("\n")
    across = max(map(len, lines))
    while across > 1 and any(map(is_wider, lines)):
        across -= 1
        lines = [part for line in given for part in textwrap.wrap(line, across)]
    return "\n".join(lines)


def row_height(names: Iterable[str]) -> float:
    """Inches of a row whose label is the longest of these, which are wrapped."""
    return 0.1 + 0.11 * max(name.count("\n") + 1 for name in names)


def legend(figure: Figure, handles: list, names: list[str]) -> None:
    """One legend above all panels, in as few rows as fit."""
    names = [wrapped(name, figure.get_figwidth() - 0.6, mpl.rcParams["legend.fontsize"]) for name in names]
    style = {"handlelength": 2.2, "columnspacing": 1.2, "borderaxespad": 0.3}
    for rows in range(1, len(names) + 1):
        made = figure.legend(handles, names, loc="outside upper center", ncols=-(-len(names) // rows), **style)
        if made.get_window_extent().width <= figure.bbox.width or rows == len(names):
            make_room(figure, made, 0.4)
            return
        made.remove()


def make_room(figure: Figure, part: Artist, given: float) -> None:
    """Make the figure higher by what the part needs above the `given` inches, so that the panels keep their height."""
    needed = part.get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + max(needed - given, 0))


def note(figure: Figure, lines: Iterable[str]) -> None:
    """A note for the reader below the panels; with titles off it belongs into the caption."""
    if _style.titles:
        text = wrapped(" ".join(lines), 0.98 * figure.get_figwidth(), small())
        made = figure.supxlabel(text, fontsize=small(), color="0.25", x=0.01, ha="left")
        make_room(figure, made, 0.22)


def frame(ax: Axes, x: float, y: float, width: float, height: float, color: str) -> None:
    """A frame around some pixels of an image, with an outline that is visible on any colour."""
    for edge, line in (("black", 2.2), (color, 1.1)):
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=edge, linewidth=line))


def empty(text: str) -> Figure:
    """A figure that says why it is empty."""
    figure, ax = plt.subplots(figsize=(column(), 1.2))
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure


def fit(figure: Figure) -> None:
    """Break the panels' titles and labels that are wider than their panel, and make the figure higher by the added lines."""
    figure.draw_without_rendering()  # this places ticks and panels, so that the layout knows their size
    added: dict[float, int] = {}
    for ax in (ax for ax in figure.axes if ax.get_subplotspec()):  # a colour bar's label may be wider than the bar
        width, row = ax.get_window_extent().width / figure.dpi, round(ax.get_position().y0, 2)
        before = ax.get_title(loc="left") + ax.get_xlabel()
        ax.set_title(wrapped(ax.get_title(loc="left"), width, mpl.rcParams["axes.titlesize"]), loc="left")
        ax.set_xlabel(wrapped(ax.get_xlabel(), width, mpl.rcParams["axes.labelsize"]))
        after = ax.get_title(loc="left") + ax.get_xlabel()
        added[row] = max(added.get(row, 0), after.count("\n") - before.count("\n"))
    figure.set_figheight(figure.get_figheight() + 0.14 * sum(added.values()))


def save(figure: Figure, data: pd.DataFrame, paths: Iterable[Path]) -> None:
    """Write the figure to every .png and .pdf, and its data to every .csv, in `paths`."""
    fit(figure)
    for path in map(Path, paths):
        if path.suffix == ".csv":
            write_csv(data, path)
            continue
        # `savefig` resets the figure's layout engine, and None would become the engine of rcParams.
        with replacing(path) as temporary, plt.rc_context({"figure.constrained_layout.use": False}):
            figure.savefig(temporary, metadata=_METADATA[path.suffix])
