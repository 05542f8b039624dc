"""Similarity of IPT's patch features: maps of every patch's similarity to a few reference patches, with and without the
contrastive loss.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from workflows.analysis.records import SIMILARITY_COLUMNS, ReportError, parse_run, percent
from workflows.config.pictures import slugs
from workflows.readers import read_arrays
from workflows.reporting.study import Study
from workflows.reporting.style import column, frame, model_colors, note, small, title, wrapped

# The reference patches, from the plainest to the richest surroundings, and the colours of their frames.
ANCHORS = {"low contrast": "#ffd000", "medium": "#00e5ff", "high contrast": "#ff4fd8"}


def draw(
    study: Study, task: str, dataset: str, image: str, names: Sequence[str], with_whole: bool = True
) -> tuple[Figure, pd.DataFrame]:
    """The maps of some runs, one row each, and their data as a table.

    Args:
        study: it has `tables/similarity-<picture>.csv` and, for the image, the first run's exported features.
        task, dataset, image: what is mapped.
        names: runs.
        with_whole: show the image next to its maps; otherwise the figure shows nothing of the image.
    """
    (slug,) = slugs([{"task": task, "dataset": dataset, "image": image}])
    data = study.table(f"similarity-{slug}", SIMILARITY_COLUMNS)
    if lacking := [name for name in names if name not in set(data["run"])]:
        raise ReportError(f"tables/similarity-{slug}.csv: lacks {', '.join(lacking)}")
    data = data.set_index("run").loc[list(names)].reset_index()
    exported = study.folder / "runs" / names[0] / "features" / task / dataset / f"{image}.npz"
    pixels = read_arrays(exported, ("image",))["image"]
    anchors = list(dict.fromkeys(zip(data["anchor_row"], data["anchor_column"], strict=True)))
    grid = (data["row"].max() + 1, data["column"].max() + 1)
    across = with_whole + len(anchors)
    side = column() / (4 if with_whole else 3.4)
    height = side * grid[0] / grid[1]
    size = (column(), height * len(names) + 0.75)
    figure, axes = plt.subplots(len(names), across, figsize=size, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)  # ty: ignore[unknown-argument]
    colors = model_colors(study.runs)
    # One scale for all maps, so that they can be compared.
    lowest = data["similarity"].min()
    for row, name in zip(axes, names, strict=True):
        model = parse_run(name).model
        row[0].set_ylabel(wrapped(study.labels[model], height, small()), fontsize=small(), color=colors[model])
        if with_whole:
            row[0].imshow(pixels, interpolation="none")
        for ax, anchor, color in zip(row[with_whole:], anchors, ANCHORS.values(), strict=True):
            chosen = (data["run"] == name) & (data["anchor_row"] == anchor[0]) & (data["anchor_column"] == anchor[1])
            values = data.loc[chosen, "similarity"].to_numpy().reshape(grid)
            similarities = ax.imshow(values, vmin=lowest, vmax=1, cmap="viridis", interpolation="none")
            frame(ax, anchor[1], anchor[0], 1, 1, color)
            if with_whole:
                down, right = pixels.shape[0] / grid[0], pixels.shape[1] / grid[1]
                frame(row[0], anchor[1] * right, anchor[0] * down, right, down, color)
        for ax in row:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, text in zip(axes[0], [*["input"] * with_whole, *ANCHORS], strict=True):
        title(ax, text)
    bar = figure.colorbar(similarities, ax=axes, location="bottom", shrink=0.6, aspect=40, pad=0.02)
    bar.set_label("cosine similarity to the framed patch")
    run = parse_run(names[0])
    note(figure, [f"{image} ({dataset}, {task}); trained on {percent(run.fraction)}, seed {run.seed}."])
    return figure, data
