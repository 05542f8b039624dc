"""Synthetic training images: the dead leaves model.

Shapes with power-law radii fall onto each other like leaves. The visible parts have the statistics of natural images: edges
at all scales, occlusion, smooth and textured regions (Lee, Mumford, Huang, "Occlusion Models for Natural Images", IJCV 2001).
Restoration networks learn nearly as well from such images as from photographs (Achddou, Gousseau, Ladjal,
"Synthetic Images as a Regularity Prior for Image Restoration Neural Networks", 2021), without a download or a licence.

Every shape is a polygon around its centre; the prevailing kind of shape is the image's class.
"""

from dataclasses import dataclass

import cv2
import numpy as np

cv2.setNumThreads(0)  # images are drawn in parallel; and see `decoding`

SUPERSAMPLING = 2  # shapes are drawn on a grid this much finer, then averaged, so that edges are smooth
SHAPES_PER_PIXEL = 1 / 24  # 2,730 shapes on 256 x 256 pixels
SMALLEST_RADIUS = (1.2, 6.0)  # in pixels of the result; drawn per image: some are busy, some calm
LARGEST_RADIUS = 0.45  # as a share of the image's side
REGIONS = 5  # number of local colours along each side of an image
OPPONENT = np.array([[1, 1, 1], [0.7, -0.1, -0.6], [0.3, -0.6, 0.3]])  # light, warm against cold, purple against green
SUBPIXEL_BITS = 4  # OpenCV takes vertices in sixteenths of a pixel


@dataclass(frozen=True)
class Kind:
    """A family of shapes.

    Attributes:
        corners: fewest and most vertices.
        notch: the least radius of every second vertex, as a share of the others' (1: a regular polygon).
        wobble: how far vertices stray from the regular outline, as a share of the radius.
        slimness: the least ratio of a shape's width to its length.
    """

    corners: tuple[int, int]
    notch: float = 1.0
    wobble: float = 0.0
    slimness: float = 1.0


KINDS = {
    "bars": Kind((4, 4), slimness=0.04),
    "blobs": Kind((9, 16), wobble=0.3, slimness=0.5),
    "discs": Kind((24, 24)),
    "ellipses": Kind((24, 24), slimness=0.25),
    "polygons": Kind((3, 7), wobble=0.25, slimness=0.5),
    "stars": Kind((8, 16), notch=0.3, slimness=0.6),
}
PREVAILING = 0.6  # fraction of an image's shapes that belong to its class; the others are of any kind


def class_of(seed: int, index: int) -> str:
    """The prevailing kind of shape in an image: one of `KINDS`."""
    return list(KINDS)[int(_stream(seed, index, 0).integers(len(KINDS)))]


def draw(seed: int, index: int, size: int) -> np.ndarray:
    """Generate image `index` of a collection.

    Args:
        seed: of the collection, an integer >= 0.
        index: of the image, an integer >= 0.
        size: side in pixels.

    Returns:
        uint8 RGB, (size, size, 3); the same for the same arguments.
    """
    rng = _stream(seed, index, 1)
    side = size * SUPERSAMPLING
    count = max(64, min(65_000, int(SHAPES_PER_PIXEL * size * size)))
    shapes, centre = _draw_shapes(rng, class_of(seed, index), count, side)
    image = _paint(rng, shapes, centre)
    blur = rng.uniform(0.25, 0.7) * SUPERSAMPLING  # slight lens blur
    image = cv2.GaussianBlur(image, (0, 0), blur)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    image += rng.uniform(0, 0.006) * rng.standard_normal(image.shape, dtype=np.float32)  # sensor noise
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def _stream(seed: int, index: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(index, purpose))))


def _draw_shapes(rng: np.random.Generator, prevailing: str, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Let shapes fall.

    Returns:
        Which shape is visible at each pixel, uint16 (side, side) in 0..count, 0 being the ground; and each one's
        centre, (count + 1, 2) in pixels.
    """
    # The probability of a radius is proportional to 1 / r³, which makes images look alike at all magnifications.
    smallest = np.exp(rng.uniform(*np.log(SMALLEST_RADIUS))) * SUPERSAMPLING
    largest = LARGEST_RADIUS * side
    radius = 1 / np.sqrt(rng.uniform(1 / largest**2, 1 / smallest**2, count))
    radius[: count // 200] = (
        rng.uniform(0.2, 1, count // 200) * largest
    )  # the ground, so that little of it stays visible
    centre = rng.uniform(-0.05 * side, 1.05 * side, (count, 2))
    names = list(KINDS)
    kinds = np.where(rng.random(count) < PREVAILING, names.index(prevailing), rng.integers(len(names), size=count))

    fields = [(kind.corners[0], kind.corners[1] + 1, kind.notch, kind.wobble, kind.slimness) for kind in KINDS.values()]
    fewest, beyond, notch, wobble, slimness = np.array(fields)[kinds].T
    corners = rng.integers(fewest.astype(int), beyond.astype(int))
    most = int(corners.max())
    vertex = np.arange(most)
    angle = 2 * np.pi * (vertex + wobble[:, None] * rng.uniform(-1, 1, (count, most))) / corners[:, None]
    reach = 1 - wobble[:, None] * rng.random((count, most))
    reach[:, 1::2] *= rng.uniform(notch, 1)[:, None]
    along = reach * np.cos(angle)
    across = reach * np.sin(angle) * rng.uniform(slimness, 1)[:, None]
    turn = rng.uniform(0, 2 * np.pi, (count, 1))
    outline = np.stack([along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)], -1)
    outline = outline * radius[:, None, None] + centre[:, None]
    outline = np.round(outline * (1 << SUBPIXEL_BITS)).astype(np.int32)

    shapes = np.zeros((side, side), np.uint16)
    for number in range(count):
        cv2.fillPoly(shapes, [outline[number, : corners[number]]], number + 1, shift=SUBPIXEL_BITS)
    return shapes, np.concatenate([np.full((1, 2), side / 2), centre])


def _paint(rng: np.random.Generator, shapes: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Give each shape a colour, a gradient and a texture: float32 (side, side, 3), mostly in [0, 1]."""
    side, size = len(shapes), len(centre)
    across = np.linspace(-1, 1, side, dtype=np.float32)
    down, right = across[:, None], across[None, :]

    # Neighbours resemble each other: a shape's colour mixes a random one and a local one. Lightness varies more than tint.
    place = np.clip(centre * (REGIONS / side), 0, REGIONS - 1).astype(int)
    share = rng.random((size, 1)) ** 1.5
    own, local = (
        np.concatenate([rng.beta(1.2, 1.4, (n, 1)), rng.normal(0, 0.09, (n, 2))], axis=1) for n in (size, REGIONS**2)
    )
    mixed = share * own + (1 - share) * local[place[:, 1] * REGIONS + place[:, 0]]
    mixed[:, 1:] += rng.normal(0, 0.05, 2)
    colour = (mixed @ OPPONENT).astype(np.float32)

    def each(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)[shapes]

    # A gradient of light over the whole shape, stripes on some shapes, grain on most.
    slope = rng.normal(0, 0.12, (2, size))
    shade = each(slope[0]) * down + each(slope[1]) * right
    striped = rng.random(size) < 0.2
    period = np.exp(rng.uniform(np.log(2.5), np.log(24), size)) * SUPERSAMPLING
    turn = rng.uniform(0, np.pi, size)
    frequency = np.pi * side / period
    phase = each(frequency * np.cos(turn)) * down + each(frequency * np.sin(turn)) * right
    shade += each(np.where(striped, rng.uniform(0.02, 0.25, size), 0)) * np.sin(phase)
    shade += each(rng.gamma(1, 0.05, size)) * _grain(rng, side)
    return np.take(colour, shapes, axis=0) + shade[..., None]


def _grain(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise with equal power in each octave: float32 (side, side), standard deviation 1."""
    cells = 4
    grain = rng.standard_normal((cells, cells), dtype=np.float32)
    while cells < side / 2:  # supersampling would average the finest grid away
        cells *= 2
        grain = cv2.resize(grain, (cells, cells), interpolation=cv2.INTER_CUBIC)
        grain += rng.standard_normal((cells, cells), dtype=np.float32)
    return cv2.resize(grain / grain.std(), (side, side), interpolation=cv2.INTER_CUBIC)
