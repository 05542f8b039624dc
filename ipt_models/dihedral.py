"""The eight flips and quarter turns of an image, and the mean of a model's outputs over them (×8 self-ensemble)."""

from collections.abc import Callable

from torch import Tensor

TURNS = 8


def turned(x: Tensor, turn: int, inverse: bool = False) -> Tensor:
    """One of the eight symmetries of the square, of an image (..., H, W).

    Args:
        turn: from 0 to 7; `turn % 4` quarter turns, after a horizontal flip if `turn` is 4 or more.
        inverse: undo it.
    """
    if inverse:
        x = x.rot90(-(turn % 4), dims=(-2, -1))
        return x.flip(-1) if turn >= 4 else x
    x = x.flip(-1) if turn >= 4 else x
    return x.rot90(turn % 4, dims=(-2, -1))


def dihedral_mean(restore: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Restore an image in all eight orientations, turn each output back, and average (Timofte et al. 2016)."""
    return sum(turned(restore(turned(x, turn)), turn, inverse=True) for turn in range(TURNS)) / TURNS
