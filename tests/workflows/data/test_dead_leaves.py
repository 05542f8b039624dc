"""Dead leaves are deterministic, varied, and have the statistics of natural images."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from workflows.data.dead_leaves import KINDS, class_of, draw


def test_an_image_follows_from_its_seed_and_index_alone():
    image = draw(3, 7, 96)
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, draw(3, 7, 96))
    assert not np.array_equal(image, draw(3, 8, 96))
    assert not np.array_equal(image, draw(4, 7, 96))


def test_threads_do_not_change_an_image():
    alone = [draw(0, index, 64) for index in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda index: draw(0, index, 64), range(8)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_every_kind_of_shape_is_a_class_and_comes_up_about_equally():
    names, counts = np.unique([class_of(0, index) for index in range(600)], return_counts=True)
    assert set(names) == set(KINDS)
    assert counts.min() > 60
    assert [class_of(0, index) for index in range(30)] != [class_of(1, index) for index in range(30)]


def test_images_use_the_whole_range_and_are_coloured():
    images = np.stack([draw(0, index, 96) for index in range(8)]).astype(float)
    assert images.min() < 10
    assert images.max() > 245
    assert 80 < images.mean() < 170
    assert images.std(axis=(1, 2, 3)).min() > 20
    assert np.abs(images[..., 0] - images[..., 2]).mean() > 5


def test_the_spectrum_falls_as_that_of_photographs():
    """Power falls with frequency to about the power -2 to -3 in photographs; white noise would give 0."""
    slopes = [spectral_slope(draw(0, index, 128)) for index in range(8)]
    assert all(-3.6 < slope < -1.6 for slope in slopes)
    assert -3.1 < np.mean(slopes) < -2.1


def test_edges_are_sharp_and_without_steps():
    """Averaging a finer drawing gives edges of a pixel or two: strong gradients, but few of them at full contrast."""
    image = draw(0, 6, 128).mean(axis=2)
    step = np.abs(np.diff(image, axis=1))
    assert np.percentile(step, 99) > 30
    assert np.percentile(step, 50) < 12


def spectral_slope(image: np.ndarray) -> float:
    light = image.mean(axis=2)
    window = np.hanning(len(light))
    power = np.abs(np.fft.fft2((light - light.mean()) * window[:, None] * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(len(light)), np.fft.fftfreq(len(light))))
    edges = np.geomspace(0.03, 0.35, 10)
    bands = [power[(frequency >= low) & (frequency < high)].mean() for low, high in itertools.pairwise(edges)]
    return np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(bands), 1)[0]
