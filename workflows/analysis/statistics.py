"""How sure the numbers are. The seed is the unit of inference: images scored by one trained network are not
independent evidence about the method that trained it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

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


class Difference(NamedTuple):
    """A paired difference with its t interval and the p-value of the paired t test; NaN where one pair gives none."""

    mean: float
    low: float
    high: float
    p: float
    count: int


def paired_difference(a: ArrayLike, b: ArrayLike, confidence: float = CONFIDENCE) -> Difference:
    """`a` minus `b`, paired by seed.

    Args:
        a, b: (n,) means of two methods, in the same order of seeds.
        confidence: nominal coverage of the interval.
    """
    a, b = np.asarray(a, dtype="float64"), np.asarray(b, dtype="float64")
    interval = t_interval(a - b, confidence)
    if interval.count < 2 or interval.low == interval.high:
        return Difference(interval.mean, interval.low, interval.high, np.nan, interval.count)
    return Difference(interval.mean, interval.low, interval.high, float(stats.ttest_rel(a, b).pvalue), interval.count)


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values corrected for their number (Holm 1979); those that are NaN were no test and stay NaN."""
    p_values = np.asarray(p_values, dtype="float64")
    corrected = np.full_like(p_values, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested])]
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


# A bootstrap of three seeds covers about 85 % where it claims 95 %.
BOOTSTRAP_SEEDS = 8


def crossed_bootstrap(
    scores: ArrayLike, resamples: int = 4000, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals over seeds crossed with images: what other seeds and other images of this kind would give.

    Seeds and images are resampled independently, each resample once for all methods, so that differences between
    methods stay paired. The percentiles are widened for small samples (Hesterberg 2015, "expanded percentile").

    Args:
        scores: (methods, seeds, images), no gaps, at least eight seeds.
        resamples: number of bootstrap resamples.
        confidence: nominal coverage.
        seed: of the resampling.

    Returns:
        Intervals of the methods' means, (methods, 2), and of all differences, (methods, methods, 2), where [i, j] is
        method i minus method j.

    Raises:
        ValueError: with fewer than eight seeds.
    """
    scores = np.asarray(scores, dtype="float64")
    _, seeds, images = scores.shape
    if seeds < BOOTSTRAP_SEEDS:
        raise ValueError(
            f"a bootstrap needs at least {BOOTSTRAP_SEEDS} seeds, not {seeds}: use t intervals over the seeds"
        )
    rng = np.random.default_rng(seed)
    # Counting how often each seed and image is drawn turns a resample into two weighted means.
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    of_images = rng.multinomial(images, np.full(images, 1 / images), resamples) / images
    means = np.einsum("rs,msi,ri->mr", of_seeds, scores, of_images, optimize=True)
    smallest = min(seeds, max(images, 2))
    tail = stats.norm.cdf(np.sqrt(smallest / (smallest - 1)) * stats.t.ppf((1 - confidence) / 2, smallest - 1))
    ends = [100 * tail, 100 * (1 - tail)]
    differences = means[:, None] - means[None, :]
    return np.percentile(means, ends, axis=-1).T, np.moveaxis(np.percentile(differences, ends, axis=-1), 0, -1)


class Crossover(NamedTuple):
    """Where one method overtakes another on the axis of fractions.

    Attributes:
        status: `overtakes` (behind, then ahead up to the largest fraction), `already at the smallest`, `none in the range`,
            or `not resolved: the interval covers the range`.
        fraction: from here on the mean curve is ahead; NaN unless `overtakes`.
        low, high: the fractions at which a crossing cannot be excluded; an end at the smallest or largest fraction means
            that the interval may go on beyond it; NaN with one seed, or where a crossing is excluded everywhere.
        seeds: number of seeds.
    """

    status: str
    fraction: float
    low: float
    high: float
    seeds: int


OVERTAKES = "overtakes"
ALREADY = "already at the smallest"
NONE = "none in the range"
UNRESOLVED = "not resolved: the interval covers the range"


def crossover(fractions: ArrayLike, ahead: ArrayLike, confidence: float = CONFIDENCE) -> Crossover:
    """The fraction at which a method overtakes another.

    Each seed's difference is interpolated linearly on the logarithm of the fraction. The interval reaches over all fractions
    at which a paired t test over seeds does not tell the methods apart (the test inverted, as Fieller did for ratios): it
    has its nominal coverage even where some seeds' curves do not cross at all, which an interval over the seeds' own
    crossings has not. Two seeds agree by chance at some fractions and not at others, so theirs is wider than it had to be.

    Args:
        fractions: (k,), increasing, above 0, k ≥ 2.
        ahead: (seeds, k), the method's score minus the other's.
        confidence: nominal coverage of the interval.
    """
    position = np.log(np.asarray(fractions, dtype="float64"))
    ahead = np.atleast_2d(np.asarray(ahead, dtype="float64"))
    seeds = len(ahead)
    grid = np.union1d(np.linspace(position[0], position[-1], 801), position)
    curves = np.stack([np.interp(grid, position, row) for row in ahead])
    mean = curves.mean(axis=0)

    low = high = np.nan
    open_ = np.zeros(len(grid), dtype=bool)
    if seeds > 1:
        half = stats.t.ppf((1 + confidence) / 2, seeds - 1) * stats.sem(curves, axis=0)
        open_ = np.abs(mean) <= half
        if open_.all():
            return Crossover(UNRESOLVED, np.nan, *np.exp(grid[[0, -1]]), seeds)
        if open_.any():
            low, high = np.exp(grid[np.flatnonzero(open_)[[0, -1]]])
    # Where the means do not cross, the ends are those of all fractions that are not told apart.
    if mean[-1] <= 0:
        return Crossover(NONE, np.nan, low, high, seeds)
    behind = np.flatnonzero(mean <= 0)
    if not len(behind):
        return Crossover(ALREADY, np.nan, low, high, seeds)
    left = behind[-1]
    share = mean[left] / (mean[left] - mean[left + 1])
    if seeds > 1:
        # All fractions that are not told apart, and the crossing of the means, where the seeds may happen to agree.
        low, high = np.nanmin([low, np.exp(grid[left])]), np.nanmax([high, np.exp(grid[left + 1])])
    return Crossover(OVERTAKES, float(np.exp(grid[left] + share * (grid[left + 1] - grid[left]))), low, high, seeds)


class PowerLaw(NamedTuple):
    """PSNR = `limit` − `loss` · (n / n_max)^(−`exponent`): what more data still buys. Intervals are (low, high).

    Attributes:
        limit: PSNR at unlimited data, in dB.
        loss: how far the largest data set stays below it, in dB.
        exponent: how fast the rest shrinks with data.
        r2: share of the points' variance that the curve explains.
        refused: why there is no fit; empty where there is one. Numbers are NaN then.
    """

    limit: float
    limit_interval: tuple[float, float]
    loss: float
    exponent: float
    exponent_interval: tuple[float, float]
    r2: float
    refused: str


def power_law(images: ArrayLike, psnr: ArrayLike, confidence: float = CONFIDENCE) -> PowerLaw:
    """A saturating power law of PSNR in the number of images.

    It is refused where the points do not carry it: fewer than four sizes or five points, no gain with data, a poor fit, an
    exponent whose interval reaches 0, or a limit whose interval is wider than the curve is high.

    Args:
        images: (points,) number of training images; one point a seed and size.
        psnr: (points,) in dB.
        confidence: nominal coverage of the t intervals.
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
        found, covariance = optimize.curve_fit(
            lambda x, limit, loss, exponent: limit - loss * x ** (-exponent),
            x,
            psnr,
            p0=(means[-1] + np.ptp(means) / 4, np.ptp(means) / 4, 0.5),
            bounds=([-np.inf, 0, 1e-3], [np.inf, np.inf, 10]),
            maxfev=5000,
        )
    except RuntimeError:
        return _refused("the fit does not converge")
    limit, loss, exponent = found
    residual = psnr - (limit - loss * x ** (-exponent))
    r2 = 1 - (residual**2).sum() / ((psnr - psnr.mean()) ** 2).sum()
    if r2 < 0.5:
        return _refused(f"the curve explains only {100 * max(r2, 0):.0f} % of the points' variance")
    if exponent < 2e-3 or exponent > 9.9 or not np.isfinite(covariance).all():
        return _refused("the points do not determine the exponent")
    half = stats.t.ppf((1 + confidence) / 2, len(psnr) - 3) * np.sqrt(np.diag(covariance))
    if exponent - half[2] <= 0:
        return _refused(f"the exponent of {exponent:.2g} is not told from 0 (± {half[2]:.2g})")
    if half[0] > np.ptp(means):
        return _refused(
            f"the limit is uncertain by {half[0]:.2g} dB, more than the curve's height of {np.ptp(means):.2g} dB"
        )
    return PowerLaw(
        float(limit),
        (float(limit - half[0]), float(limit + half[0])),
        float(loss),
        float(exponent),
        (float(exponent - half[2]), float(exponent + half[2])),
        float(r2),
        "",
    )


def _refused(why: str) -> PowerLaw:
    nothing = (np.nan, np.nan)
    return PowerLaw(np.nan, nothing, np.nan, np.nan, nothing, np.nan, why)
