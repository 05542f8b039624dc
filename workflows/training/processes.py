"""Coordination of a run's processes: which rows each computes, and at which step they save or stop."""

import signal
from types import FrameType

import torch
import torch.distributed as dist
from lightning_fabric import Fabric

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # SIGUSR1 is Slurm's usual warning


class LostProcess(RuntimeError):
    """Another process of the run has ended too early; its own message says why."""


class Processes:
    """The processes of a run, one for each device, in step with one another.

    As a context manager it records signals that ask a run to stop, so that the run can save first.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self._received = 0  # number of the last signal that asked to stop
        # Agreement uses host memory, so that no process waits for a device.
        self._group = dist.new_group(backend="gloo") if self.count > 1 else None

    def __enter__(self) -> "Processes":
        self._before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._received = number

    def rows(self, batch_size: int) -> slice:
        """This process's rows of every global batch."""
        rows = batch_size // self.count
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def agree(self, save: bool) -> tuple[bool, str | None]:
        """Whether any process wants to save after this step, and the name of a signal that asked any of them to stop.

        Raises:
            LostProcess: where one has ended.
        """
        ballot = self._largest([int(save), self._received])
        return bool(ballot[0]), signal.Signals(ballot[1]).name if ballot[1] else None

    def same(self, value: int) -> bool:
        """Whether all processes have this value.

        Raises:
            LostProcess: where one has ended.
        """
        largest, smallest = self._largest([value, -value])
        return largest == -smallest

    def total(self, value: float) -> float:
        """The sum of this value over all processes.

        Raises:
            LostProcess: where one has ended.
        """
        return self._reduce(torch.tensor(value, dtype=torch.float64), dist.ReduceOp.SUM).item()

    def _largest(self, values: list[int]) -> list[int]:
        return self._reduce(torch.tensor(values), dist.ReduceOp.MAX).tolist()

    def _reduce(self, values: torch.Tensor, how: dist.ReduceOp) -> torch.Tensor:
        if self._group is not None:
            try:
                dist.all_reduce(values, how, group=self._group)
            except RuntimeError as error:
                raise LostProcess(f"another process of the run has ended: see what it printed ({error})") from error
        return values
