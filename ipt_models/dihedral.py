"""The eight flips and quarter turns of an image, and the mean of a restoration over them."""

from collections.abc import Callable

from torch import Tensor

COUNT = 8


def dihedral(x: Tensor, turn: int, inverse: bool = False) -> Tensor:
    """One of the eight symmetries of the square: `turn % 4` quarter turns, after a flip if `turn` is 4 or more.

    Args:
        x: (..., H, W).
        turn: 0 … 7; 0 changes nothing.
        inverse: undo it.
    """
    if inverse:
        x = x.rot90(-(turn % 4), dims=(-2, -1))
        return x.flip(-1) if turn >= 4 else x
    x = x.flip(-1) if turn >= 4 else x
    return x.rot90(turn % 4, dims=(-2, -1))


def self_ensemble(restore: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The mean of a restoration over all eight, each turned back (×8, Timofte et al. 2016)."""
    total = dihedral(restore(x), 0)
    for turn in range(1, COUNT):
        total = total + dihedral(restore(dihedral(x, turn)), turn, inverse=True)
    return total / COUNT
