"""Choices of the protocol that the config and the stages share. Imports no stage."""

from typing import Literal

from ipt_models.tasks import Task

Gray = Literal["rgb", "matlab"]
Bicubic = Literal["uint8", "float"]
Noise = Literal["clipped", "unclipped"]


def reference_restores(reference: str, task: Task, noise: Noise = "clipped") -> bool:
    """Whether an untrained reference is scored on a task: `bicubic` on sr, `identity` (the input itself) on dn and dr.

    Unclipped noise exceeds the range of an 8-bit image, so the input cannot be scored as an output.
    """
    if reference == "bicubic":
        return task.kind == "sr"
    return task.kind == "dr" or (task.kind == "dn" and noise == "clipped")
