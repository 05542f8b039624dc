"""From an image file's bytes to pixels, by OpenCV.

Gray images become three equal channels, CMYK and palettes become RGB, alpha is dropped, 16 bits become 8, and the
format is read from the content, whatever the file's name says. An EXIF orientation is not applied: pixels are used as stored,
and width and height in the manifest describe the stored image.

OpenCV decodes an ImageNet JPEG in 1.6 ms of one core, as torchvision.io and simplejpeg do (all three use
libjpeg-turbo and give the same pixels); PIL takes 2.1 ms (`benchmarks/input_pipeline.py`).
"""

import cv2
import numpy as np

# OpenCV's own messages are off: the error raised here names the file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# Processes that have read images fork, and a fork copies OpenCV's locks, but not the threads that would release them.
cv2.setNumThreads(0)

_FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode(data: bytes, name: str) -> np.ndarray:
    """Decode an image file.

    Args:
        data: the file's content.
        name: the file's name in error messages.

    Returns:
        uint8 RGB, shape (height, width, 3).

    Raises:
        ValueError: if it is not an image that OpenCV can read.
    """
    image = _decode(data, _FLAGS)
    if image is None:
        raise ValueError(f"{name}: not an image that can be decoded ({len(data)} bytes)")
    return image


def check_decodes(data: bytes) -> None:
    """Decode an image file only to find errors: JPEG at an eighth of its size, which takes half the time.

    Warnings of OpenCV's libraries go to standard error, which the caller reads.

    Raises:
        ValueError: if it is truncated, corrupt or not an image.
    """
    is_jpeg = data[:2] == b"\xff\xd8"
    if is_jpeg and (length := zero_filled(data)):
        raise ValueError(f"{length:,} zero bytes in the middle of its data, as an incomplete download leaves them")
    image = _decode(data, cv2.IMREAD_REDUCED_COLOR_8) if is_jpeg else None
    if image is None and _decode(data, cv2.IMREAD_COLOR) is None:  # a reduced image may have no pixel left
        raise ValueError("truncated, corrupt, or of a format that is not known")


def zero_filled(data: bytes) -> int:
    """Length of a stretch of zero bytes, 64 or more, among a JPEG's coefficients; 0 if there is none.

    Decoders read zeros as codes, so libjpeg may not complain. In a sequential JPEG with all components in one scan a row
    of zero bits can only be an image's own where the shortest AC code (all zeros) ends the blocks of every component, as
    in optimised tables of flat images: such files, and progressive ones, pass.
    """
    at, short_codes, components = 2, [], 0
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        if marker == 0xC2:
            return 0
        if marker in (0xC0, 0xC1):
            components = segment[5]
        if marker == 0xC4:
            while len(segment) > 17:
                codes = sum(segment[1:17])
                if segment[0] >> 4:  # a table of AC codes
                    short_codes.append(segment[17])
                segment = segment[17 + codes :]
        at += 2 + length
        if marker == 0xDA:
            if segment[0] != components:
                return 0
            break
    else:
        return 0
    end = data.find(b"\xff\xd9", at)  # a second image may follow
    start = data.find(bytes(64), at, end if end > 0 else len(data))
    if start < 0 or all(symbol & 15 == 0 for symbol in short_codes):
        return 0
    return len(data) - start - len(data[start:].lstrip(b"\0"))


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # raised for some broken headers, for example of more pixels than OpenCV allows
        return None
