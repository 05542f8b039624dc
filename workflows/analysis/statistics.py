"""Intervals, tests and corrections. The seed is the unit of inference: images scored by one trained network are not
independent evidence about the method that trained it.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats

CONFIDENCE = 0.95  # nominal coverage of every interval


class Interval(NamedTuple):
    """A mean with the ends of its confidence interval; the ends are NaN for a single value."""

    mean: float
    low: float
    high: float
    count: int


def t_interval(values: ArrayLike) -> Interval:
    """Mean and t interval of independent values, one per seed.

    Args:
        values: (n,); with n = 1 there is a mean and no interval.
    """
    values = np.asarray(values, dtype="float64")
    if values.size == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    if values.size == 1:
        return Interval(float(values[0]), np.nan, np.nan, 1)
    if np.ptp(values) == 0:
        # scipy returns NaN if all values are equal.
        return Interval(float(values[0]), float(values[0]), float(values[0]), values.size)
    low, high = stats.t.interval(CONFIDENCE, values.size - 1, loc=values.mean(), scale=stats.sem(values))
    return Interval(float(values.mean()), float(low), float(high), values.size)


def within_image_interval(values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of the means of several networks over the same images, with the images' own levels removed.

    Photographs differ by many dB, networks by tenths, so intervals over raw scores say nothing about networks.
    Each image is centred on its mean over the networks (Cousineau 2005) and the spread is corrected for that by
    √(k / (k − 1)) (Morey 2008). The intervals show the variation over images. With one training per network they say nothing
    about the variation over seeds.

    Args:
        values: (networks, images), no gaps.

    Returns:
        Means and half widths of a t interval over the images, (networks,) each; half widths are NaN with fewer than two
        networks or images.
    """
    values = np.asarray(values, dtype="float64")
    networks, images = values.shape
    means = values.mean(axis=1)
    if networks < 2 or images < 2:
        return means, np.full(networks, np.nan)
    centred = (values - values.mean(axis=0)) * np.sqrt(networks / (networks - 1))
    return means, stats.t.ppf((1 + CONFIDENCE) / 2, images - 1) * stats.sem(centred, axis=1)


class Difference(NamedTuple):
    """A paired difference with its t interval and the p-value of the paired t test; NaN for a single pair."""

    mean: float
    low: float
    high: float
    p: float
    count: int


def paired_difference(a: ArrayLike, b: ArrayLike) -> Difference:
    """`a` minus `b`, paired by seed.

    Args:
        a, b: (n,) means of two methods, in the same order of seeds.
    """
    a, b = np.asarray(a, dtype="float64"), np.asarray(b, dtype="float64")
    interval = t_interval(a - b)
    if interval.count < 2 or interval.low == interval.high:
        return Difference(interval.mean, interval.low, interval.high, np.nan, interval.count)
    return Difference(interval.mean, interval.low, interval.high, float(stats.ttest_rel(a, b).pvalue), interval.count)


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values corrected for their number (Holm 1979); NaN marks a missing test and stays NaN."""
    p_values = np.asarray(p_values, dtype="float64")
    corrected = np.full_like(p_values, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested])]
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


def with_holm(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """The table with `p_holm`: `p` corrected for the tests among the rows that agree in the columns of `family`."""
    corrected = pd.Series(np.nan, table.index)
    for _, members in table.groupby(family, dropna=False):
        corrected[members.index] = holm(members["p"])
    return table.assign(p_holm=corrected)


class PowerLaw(NamedTuple):
    """PSNR = `limit` − `loss` · (n / n_max)^(−`exponent`): the expected gain from more data. `_low`, `_high`: interval's ends.

    Attributes:
        limit: PSNR at unlimited data, in dB.
        loss: distance of the largest data set from it, in dB.
        exponent: how fast this distance falls with data.
        r2: fraction of the points' variance that the curve explains.
        refused: the reason why there is no fit, with all numbers NaN; empty if there is one.
    """

    limit: float
    limit_low: float
    limit_high: float
    loss: float
    exponent: float
    exponent_low: float
    exponent_high: float
    r2: float
    refused: str


def power_law(images: ArrayLike, psnr: ArrayLike) -> PowerLaw:
    """A saturating power law of PSNR in the number of images.

    It is refused if the points do not support it: fewer than four sizes or five points, no gain with data, a poor fit, an
    exponent whose interval contains 0, or a limit whose interval is wider than the curve's range.

    Args:
        images: (points,) number of training images; one point per seed and size.
        psnr: (points,) in dB.
    """
    images, psnr = np.asarray(images, dtype="float64"), np.asarray(psnr, dtype="float64")
    usable = np.isfinite(psnr) & (images > 0)
    images, psnr = images[usable], psnr[usable]
    sizes = np.unique(images)
    if len(sizes) < 4 or len(psnr) < 5:
        return _refused(f"{len(sizes)} sizes and {len(psnr)} points; a curve with three parameters needs four and five")
    means = np.array([psnr[images == size].mean() for size in sizes])
    if means[-1] <= means[0]:
        return _refused("PSNR does not grow with data")
    x = images / sizes[-1]
    try:
        fitted, covariance = optimize.curve_fit(
            lambda x, limit, loss, exponent: limit - loss * x ** (-exponent),
            x,
            psnr,
            p0=(means[-1] + np.ptp(means) / 4, np.ptp(means) / 4, 0.5),
            bounds=([-np.inf, 0, 1e-3], [np.inf, np.inf, 10]),
            maxfev=5000,
        )
    except RuntimeError:
        return _refused("the fit does not converge")
    limit, loss, exponent = fitted
    residual = psnr - (limit - loss * x ** (-exponent))
    r2 = 1 - (residual**2).sum() / ((psnr - psnr.mean()) ** 2).sum()
    if r2 < 0.5:
        return _refused(f"the curve explains only {100 * max(r2, 0):.0f} % of the points' variance")
    if exponent < 2e-3 or exponent > 9.9 or not np.isfinite(covariance).all():
        return _refused("the points do not determine the exponent")
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(psnr) - 3) * np.sqrt(np.diag(covariance))
    if exponent - half[2] <= 0:
        return _refused(f"the exponent of {exponent:.2g} cannot be distinguished from 0 (± {half[2]:.2g})")
    if half[0] > np.ptp(means):
        return _refused(
            f"the limit is uncertain by {half[0]:.2g} dB, more than the curve's height of {np.ptp(means):.2g} dB"
        )
    numbers = (limit, limit - half[0], limit + half[0], loss, exponent, exponent - half[2], exponent + half[2], r2)
    return PowerLaw(*map(float, numbers), refused="")


def _refused(why: str) -> PowerLaw:
    return PowerLaw(*[np.nan] * 8, refused=why)
