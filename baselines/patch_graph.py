"""IGNN's graph (Zhou et al., NeurIPS 2020, section 3.2): each patch of an image and its nearest ones at a coarser scale.

Patches are 3×3 with stride 2, so neighbours share one row or column. "Queries" are patches of the image, on a grid of
`query_rows` × `query_columns`; "keys" are patches of the same image reduced by `scale`. A key's place in the reduced image
corresponds to a `scale` times larger place in the image itself, whose features the graph passes on.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 3
STRIDE = 2
SEARCH_BLOCK = 16  # side of the blocks of queries whose distances are held at once
FOLD_BLOCK = 4096  # queries whose enlarged patches are held at once
EPSILON = 1e-5


def grid_size(length: int) -> int:
    """Number of patches that cover `length` pixels."""
    return -(-(length - PATCH) // STRIDE) + 1


def pad_to_grid(x: Tensor) -> Tensor:
    """Mirror (B, C, H, W) below and to the right, so that the patches end where the image ends."""
    for dim in (-2, -1):
        length = x.shape[dim]
        # By slices: CUDA has no deterministic gradient of torch's own reflection.
        missing = PATCH + STRIDE * (grid_size(length) - 1) - length
        if missing:
            x = torch.cat([x, x.narrow(dim, length - 1 - missing, missing).flip(dim)], dim)
    return x


def extract_patches(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, rows, columns, C * 9)."""
    grid = [grid_size(length) for length in x.shape[-2:]]
    return F.unfold(pad_to_grid(x), PATCH, stride=STRIDE).transpose(1, 2).unflatten(1, grid)


def find_neighbors(queries: Tensor, keys: Tensor, scale: int, num_neighbors: int, window: int) -> Tensor:
    """For each query the nearest keys by Euclidean distance, among the window × window keys around the same place.

    Near an edge the window moves inwards and keeps its size. Blocks of queries bound the memory: a block's distances
    to all the keys that any of its windows has come from one matrix product.

    Args:
        queries: (B, query_rows, query_columns, E) patches of the image.
        keys: (B, key_rows, key_columns, E) patches of the image reduced by `scale`.

    Returns:
        (B, query_rows, query_columns, K) positions in the flattened grid of keys, nearest first; K is `num_neighbors`,
        or the number of keys in a window where that is less.
    """
    tops = _window_starts(queries.shape[1], keys.shape[1], scale, window)
    lefts = _window_starts(queries.shape[2], keys.shape[2], scale, window)
    height, width = min(window, keys.shape[1]), min(window, keys.shape[2])
    num_neighbors = min(num_neighbors, height * width)
    rows = torch.arange(keys.shape[1])
    columns = torch.arange(keys.shape[2])
    # |q - k|² without |q|², which is the same for all keys of a query
    norms = keys.square().sum(dim=-1)

    bands = []
    for top_block, query_band in zip(tops.split(SEARCH_BLOCK), queries.split(SEARCH_BLOCK, dim=1), strict=True):
        band = slice(int(top_block[0]), int(top_block[-1]) + height)
        in_rows = (rows[band] >= top_block[:, None]) & (rows[band] < top_block[:, None] + height)
        selected = []
        for left_block, query in zip(lefts.split(SEARCH_BLOCK), query_band.split(SEARCH_BLOCK, dim=2), strict=True):
            strip = slice(int(left_block[0]), int(left_block[-1]) + width)
            in_columns = (columns[strip] >= left_block[:, None]) & (columns[strip] < left_block[:, None] + width)
            outside = ~(in_rows[:, None, :, None] & in_columns[None, :, None, :]).flatten(2).flatten(0, 1)
            places = (rows[band, None] * keys.shape[2] + columns[strip]).flatten().to(queries.device)
            candidates = keys[:, band, strip].flatten(1, 2)
            products = torch.matmul(query.flatten(1, 2), candidates.transpose(1, 2))
            distances = norms[:, band, strip].flatten(1)[:, None] - 2 * products
            distances.masked_fill_(outside.to(queries.device), torch.inf)
            nearest = distances.topk(num_neighbors, dim=2, largest=False, sorted=True).indices
            selected.append(places[nearest].unflatten(1, query.shape[1:3]))
        bands.append(torch.cat(selected, dim=2))
    return torch.cat(bands, dim=1)


def edge_differences(queries: Tensor, keys: Tensor, neighbors: Tensor, num_groups: int) -> Tensor:
    """Absolute differences between queries and their neighbours, summed over each patch and each group of channels.

    Args:
        queries: (B, query_rows, query_columns, C * 9).
        keys: (B, key_rows, key_columns, C * 9).
        neighbors: (B, query_rows, query_columns, K), from `find_neighbors`.
        num_groups: C for one sum per channel; fewer to sum groups of channels.

    Returns:
        (B, K, num_groups, query_rows, query_columns).
    """
    keys = keys.flatten(1, 2)
    batch = torch.arange(len(keys), device=keys.device)[:, None, None]
    rows = max(1, FOLD_BLOCK // queries.shape[2])
    sums = []
    for query, index in zip(queries.split(rows, dim=1), neighbors.split(rows, dim=1), strict=True):
        per_neighbor = [
            (query - keys[batch, index[..., k]]).abs().unflatten(-1, (num_groups, -1)).sum(dim=-1)
            for k in range(index.shape[-1])
        ]
        sums.append(torch.stack(per_neighbor, dim=1))
    return torch.cat(sums, dim=2).permute(0, 1, 4, 2, 3)


def average_patches(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Spread each query's value over the pixels of its patch, averaged where patches overlap.

    Args:
        values: (B, C, query_rows, query_columns).
        size: (H, W) of the image.

    Returns:
        (B, C, H, W).
    """
    columns = values.flatten(2).repeat_interleave(PATCH**2, dim=1)
    padded = tuple(PATCH + STRIDE * (count - 1) for count in values.shape[-2:])
    total = F.fold(columns, padded, PATCH, stride=STRIDE)
    return (total / _overlaps(values, 1))[..., : size[0], : size[1]]


class NeighborFeatures:
    """Features of the image at the places of the neighbours, `scale` times as large as the queries.

    Each enlarged patch is brought to the mean and standard deviation of the query's own features, channel by channel,
    and placed in the enlarged image at the query's position, averaged where patches overlap.

    Args:
        features: (B, C, H, W) of the image.
        neighbors: (B, query_rows, query_columns, K), from `find_neighbors`.
        scale: of the graph.
    """

    def __init__(self, features: Tensor, neighbors: Tensor, scale: int) -> None:
        self.size = features.shape[-2] * scale, features.shape[-1] * scale
        self.neighbors = neighbors
        self.scale = scale
        query = extract_patches(features).unflatten(-1, (-1, PATCH**2))
        self.mean = query.mean(dim=-1, keepdim=True)  # (B, query_rows, query_columns, C, 1)
        self.std = (query.var(dim=-1, keepdim=True) + EPSILON).sqrt()

        height, width = (length // scale * scale for length in features.shape[-2:])
        reduced = F.pixel_unshuffle(features[..., :height, :width], scale)
        enlarged = F.pixel_shuffle(pad_to_grid(reduced), scale)
        places = F.unfold(enlarged, PATCH * scale, stride=STRIDE * scale).transpose(1, 2)
        places = places.unflatten(-1, (features.shape[1], -1))  # (B, keys, C, (3 * scale)²)
        deviation = (places.var(dim=-1, keepdim=True) + EPSILON).sqrt()
        self.places = (places - places.mean(dim=-1, keepdim=True)) / deviation

    def __getitem__(self, k: int) -> Tensor:
        """The k-th neighbours' features, (B, C, H * scale, W * scale)."""
        num_batch, query_rows, query_columns = self.neighbors.shape[:3]
        side, step = PATCH * self.scale, STRIDE * self.scale
        batch = torch.arange(num_batch, device=self.neighbors.device)[:, None, None]
        rows = max(1, FOLD_BLOCK // query_columns)
        width = side + step * (query_columns - 1)
        total = self.places.new_zeros(num_batch, self.places.shape[2], side + step * (query_rows - 1), width)
        for first in range(0, query_rows, rows):
            block = slice(first, min(first + rows, query_rows))
            patches = self.places[batch, self.neighbors[:, block, :, k]] * self.std[:, block] + self.mean[:, block]
            height = side + step * (block.stop - block.start - 1)
            columns = patches.flatten(1, 2).flatten(2).transpose(1, 2)
            total[:, :, step * first : step * first + height] += F.fold(columns, (height, width), side, stride=step)
        total = total / _overlaps(self.neighbors[..., 0], self.scale)
        return total[..., : self.size[0], : self.size[1]]


def _window_starts(num_queries: int, num_keys: int, scale: int, window: int) -> Tensor:
    """First key of each query's window along one side."""
    centres = torch.arange(num_queries) // scale
    return (centres - window // 2).clamp(0, max(0, num_keys - window))


def _overlaps(grid: Tensor, scale: int) -> Tensor:
    """How many patches of a grid (…, rows, columns) cover each pixel of the image enlarged by `scale`."""
    sides = []
    for count in grid.shape[-2:]:
        covering = torch.ones(PATCH + STRIDE * (count - 1), device=grid.device)
        covering[STRIDE:-1:STRIDE] = 2
        sides.append(covering.repeat_interleave(scale))
    return sides[0][:, None] * sides[1]
