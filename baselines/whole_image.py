"""Whole images through the baselines: in one piece, or in tiles where that would take too much memory."""

from itertools import product

import torch
from torch import Tensor
from tqdm import tqdm

from baselines.single_task import SingleTask

WHOLE = 1024 * 1024  # input pixels up to which an image is restored in one piece
TILE = 512
BAR_DELAY = 2  # seconds before a progress bar appears


@torch.no_grad()
def restore(
    model: SingleTask,
    x: Tensor,
    task: str | None = None,
    tile: int | None = None,
    progress: bool = False,
    overlap: int | None = None,
) -> Tensor:
    """Restore an image of any size.

    Tiles are cut with a margin of half the network's receptive field or more on each side, of which nothing is kept: an output
    pixel depends on the same input in its tile as in the whole image. For EDSR, RDN and SwinIR the result is that of the whole
    image up to rounding; for IGNN too, whose receptive field contains the whole search window of its graph (tiles begin on the
    grid of its patches), except where two neighbours are equally near up to rounding.

    Args:
        model: a baseline; its mode (train or eval) does not change.
        x: RGB in [0, 1], (B, 3, H, W).
        task: optional.
        tile: side in input pixels of what each tile contributes; 0 for one piece whatever the size. None is one piece up
            to a megapixel and tiles of 512 above, where the network's receptive field allows tiles.
        progress: show a bar if several tiles take longer than two seconds.
        overlap: margin in input pixels, which allows tiles for a network whose output pixels depend on the whole image. The
            result then differs from that of the whole image.

    Returns:
        RGB on the [0, 1] scale, not clipped, (B, 3, s*H, s*W).

    Raises:
        ValueError: for a negative tile, tiles for a network that sees the whole image, or a task that it does not have.
    """
    height, width = x.shape[-2:]
    if tile is None:
        tile = 0 if height * width <= WHOLE or model.receptive_field is None else TILE
    if tile < 0:
        raise ValueError(f"tile is a side in pixels, or 0 for one piece; got {tile}")
    if tile == 0:
        return model(x, task)

    around = overlap if model.receptive_field is None else model.receptive_field // 2
    if around is None:
        raise ValueError(
            f"{type(model).__name__} sees the whole image, which tiles would change; use one piece (tile=0)"
        )
    alignment, scale = model.tile_alignment, model.scale
    step = -(-tile // alignment) * alignment
    margin = -(-around // alignment) * alignment
    y = x.new_empty(*x.shape[:2], height * scale, width * scale)
    corners = list(product(range(0, height, step), range(0, width, step)))
    for top, left in tqdm(corners, unit="tile", desc=task, delay=BAR_DELAY, disable=not progress):
        bottom, right = min(top + step, height), min(left + step, width)
        first_row, first_column = max(0, top - margin), max(0, left - margin)
        piece = model(x[..., first_row : bottom + margin, first_column : right + margin], task)
        piece = piece[..., (top - first_row) * scale :, (left - first_column) * scale :]
        area = y[..., top * scale : bottom * scale, left * scale : right * scale]
        area.copy_(piece[..., : area.shape[-2], : area.shape[-1]])
    return y
