"""The eight flips and rotations of an image, and the mean of a restoration over them."""

from collections.abc import Callable

from torch import Tensor

COUNT = 8


def dihedral(x: Tensor, transform: int, inverse: bool = False) -> Tensor:
    """One of the eight symmetries of the square.

    Args:
        x: (..., H, W).
        transform: 0 … 7: bit 0 flips left and right, bit 1 up and down, bit 2 transposes, in this order.
        inverse: undo it.
    """
    flipped = [dim for bit, dim in ((1, -1), (2, -2)) if transform & bit]
    if inverse:
        return (x.transpose(-1, -2) if transform & 4 else x).flip(flipped)
    x = x.flip(flipped)
    return x.transpose(-1, -2) if transform & 4 else x


def self_ensemble(restore: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The mean of a restoration over all eight, each undone (×8, Timofte et al. 2016)."""
    total = restore(x)
    for transform in range(1, COUNT):
        total = total + dihedral(restore(dihedral(x, transform)), transform, inverse=True)
    return total / COUNT
