"""Image files as the protocol reads and writes them. Imports no torch.

Accepted files:

- 8-bit RGB and gray files as they are; gray becomes three equal channels, and the caller learns that it was gray;
- palette and 1-, 2- or 4-bit files by their exact colors;
- an alpha channel is dropped where every pixel is opaque;
- files with an EXIF orientation are rotated upright;
- of a camera's MPO file (a JPEG with previews or a second view behind it) the first frame, which is the photo.

Formats without an unambiguous reading are refused with their name: transparency, 16 bits or floats per sample, CMYK, Lab,
YCbCr, several frames.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ipt_models.files import replacing

GRAY_MODES = ("1", "L", "LA")
MODES = (*GRAY_MODES, "P", "PA", "RGB", "RGBA")
EXIF_ORIENTATION = 0x0112
TIFF_BITS_PER_SAMPLE = 258


class ImageError(ValueError):
    """A file that cannot be scored, and why."""


def first_line(error: Exception) -> str:
    """An error's message without its further lines; its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class Picture(NamedTuple):
    """An image in memory: uint8 RGB (H, W, 3), and whether its file was gray."""

    pixels: np.ndarray
    gray: bool


def inspect(path: Path | str) -> tuple[int, int]:
    """Height and width from the file's header, after turning upright.

    Raises:
        ImageError: the file is unreadable or of a refused kind.
    """
    with _open(path) as image:
        width, height = image.size
        turned = ("exif" in image.info or image.format != "PNG") and image.getexif().get(EXIF_ORIENTATION, 1) >= 5
        return (width, height) if turned else (height, width)


def read(path: Path | str) -> Picture:
    """Decode a file.

    Raises:
        ImageError: the file is unreadable, damaged or of a refused kind.
    """
    with _open(path) as image:
        try:
            gray = image.mode in GRAY_MODES
            image = ImageOps.exif_transpose(image)
            if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
                image = image.convert("RGBA")
                if image.getchannel("A").getextrema()[0] < 255:
                    raise ImageError(f"{path}: has transparent pixels; flatten it onto a background first")
            return Picture(np.array(image.convert("RGB")), gray)
        except (OSError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
            raise ImageError(f"{path}: is damaged ({error})") from None


def write(path: Path | str, pixels: np.ndarray) -> None:
    """Write uint8 RGB (H, W, 3) as PNG; the file appears whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=3)


def _open(path: Path | str) -> Image.Image:
    if not Path(path).is_file():  # opening a pipe would block forever
        reason = "it is not a regular file" if Path(path).exists() else "it does not exist"
        raise ImageError(f"{path}: cannot be read ({reason})")
    try:
        image = Image.open(path)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "is not an image" if isinstance(error, UnidentifiedImageError) else f"cannot be read ({error})"
        raise ImageError(f"{path}: {reason}") from None
    if (bits := _bits_a_sample(image)) > 8:
        image.close()
        raise ImageError(f"{path}: has {bits} bits per sample; the protocol is defined on 8")
    if image.mode not in MODES:
        mode = image.mode
        image.close()
        raise ImageError(f"{path}: is {mode}; expected 8-bit RGB or gray")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        image.close()
        raise ImageError(f"{path}: has several frames")
    return image


def _bits_a_sample(image: Image.Image) -> int:
    """Bits as the file stores them: Pillow opens 16-bit RGB as mode RGB and silently drops the low bytes."""
    if image.format == "PNG":
        with open(image.filename, "rb") as file:
            return file.read(25)[24]  # IHDR: signature 8, length 4, name 4, width 4, height 4, bit depth
    if image.format == "TIFF":
        return max(image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (1,)))
    if image.format == "PPM":
        return 16 if image.mode == "I" else 8
    return 16 if image.mode.startswith(("I", "F")) else 8
