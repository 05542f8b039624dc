"""Choices of the protocol that a config and the stages share, declared once. Nothing else, and no imports."""

from typing import Literal

Gray = Literal["rgb", "matlab"]
Bicubic = Literal["uint8", "float"]
Noise = Literal["clipped", "unclipped"]
