"""Atomic writes of texts and tables, and the suffixes of image files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ipt_models.files import replacing

if TYPE_CHECKING:
    import pandas as pd

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})


def is_image(path: Path | str, hidden: bool = False) -> bool:
    """Whether a file's name is that of an image: a known suffix, in any case, and not hidden unless `hidden` allows it."""
    name = os.path.basename(path)
    return (hidden or not name.startswith(".")) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def write_text(text: str, path: Path | str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(table: "pd.DataFrame", path: Path | str, digits: int | None = 7) -> None:
    """Write a table without its index; floats with the given number of significant digits, or all."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", float_format=digits and f"%.{digits}g")
