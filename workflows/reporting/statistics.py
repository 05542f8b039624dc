"""How sure the numbers are. The seed is the unit of inference: images scored by one trained network are not
independent evidence about the method that trained it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with the ends of its confidence interval; the ends are NaN where one value gives none."""

    mean: float
    low: float
    high: float
    count: int


def t_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean and t interval of independent values, one a seed.

    Args:
        values: (n,); with n = 1 there is a mean and no interval.
        confidence: nominal coverage.
    """
    values = np.asarray(values, dtype="float64")
    if values.size == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    if values.size == 1:
        return Interval(float(values[0]), np.nan, np.nan, 1)
    if np.ptp(values) == 0:
        # scipy gives NaN for no spread at all.
        return Interval(float(values[0]), float(values[0]), float(values[0]), values.size)
    low, high = stats.t.interval(confidence, values.size - 1, loc=values.mean(), scale=stats.sem(values))
    return Interval(float(values.mean()), float(low), float(high), values.size)


def within_image_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of the means of several networks over the same images, the images' own levels removed.

    Photographs differ by many dB, networks by tenths, so intervals over raw scores say nothing about networks.
    Each image is centred on its mean over the networks (Cousineau 2005) and the spread is corrected for that by
    √(k / (k − 1)) (Morey 2008). The intervals say how much the images decide; with one training each they say nothing
    about what another seed would have given.

    Args:
        values: (networks, images), no gaps.
        confidence: nominal coverage of a t interval over the images.

    Returns:
        Means and half widths, (networks,) each; half widths are NaN with fewer than two networks or images.
    """
    values = np.asarray(values, dtype="float64")
    networks, images = values.shape
    means = values.mean(axis=1)
    if networks < 2 or images < 2:
        return means, np.full(networks, np.nan)
    centred = (values - values.mean(axis=0)) * np.sqrt(networks / (networks - 1))
    return means, stats.t.ppf((1 + confidence) / 2, images - 1) * stats.sem(centred, axis=1)
