"""The interface of every baseline: it restores one task and states its receptive field."""

from typing import Any

from torch import nn

from ipt_models.tasks import parse_task


class SingleTask(nn.Module):
    """Base of the baselines, whose call is `model(x, task)` like IPT's.

    Attributes:
        tasks: the one task the network was built for, as a tuple, since IPT has several.
        scale: output side over input side.
        receptive_field: side in input pixels of the centred square that an output pixel can depend on; None: all pixels.
        config: the arguments that build it again, set by `baselines.build`.
        tile_alignment: tiles that begin at multiples of it have the same grid of windows or patches as the whole image.
    """

    tasks: tuple[str, ...]
    scale: int
    receptive_field: int | None
    tile_alignment: int = 1
    config: dict[str, Any]

    def set_task(self, task: str) -> None:
        """Remember the task that the network is built for."""
        self.scale = parse_task(task).scale
        self.tasks = (task,)

    def check_task(self, task: str | None) -> None:
        """Refuse a task that the network was not built for.

        Raises:
            ValueError: naming both.
        """
        if task is not None and task not in self.tasks:
            raise ValueError(f"this {type(self).__name__} was built for {self.tasks[0]}, not for {task}")
