"""The state from which a run resumes: weights, optimizer, average, history."""

from dataclasses import dataclass
from pathlib import Path

import torch
from timm.utils import ModelEmaV3
from torch import nn

from workflows.training import checkpoint
from workflows.training.history import History


@dataclass
class State:
    """Everything in a run that changes from step to step. The schedule, the sampler and random layers depend on the step only.

    Attributes:
        digest: of the run and of the weights that it started from.
        precision: of the computation.
        network, optimizer, average, history: see `loop.train`.
    """

    digest: str
    precision: str
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: ModelEmaV3 | None
    history: History

    def load(self, folder: Path) -> bool:
        """Continue from the newest intact checkpoint; False if there is none.

        Raises:
            CheckpointError: for checkpoints that cannot be used.
        """
        saved = checkpoint.load_latest(folder, self.digest)
        if saved is None:
            return False
        if saved["precision"] != self.precision:
            raise checkpoint.CheckpointError(
                f"the checkpoint in {folder} was made in {saved['precision']}, this device computes in {self.precision}; "
                f"set training.precision to {saved['precision']}, or delete {folder} to start afresh"
            )
        self.history.restore(saved["history"])
        self.network.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        return True

    def save(self, folder: Path, cpu_seconds: float) -> None:
        """Write a checkpoint; `cpu_seconds` is the time of the current processes.

        Raises:
            CheckpointError: when it cannot be written.
        """
        state = {"digest": self.digest, "precision": self.precision, "history": self.history.state(cpu_seconds)}
        state |= {"model": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.average is not None:
            state["average"] = self.average.state_dict()
        checkpoint.save(folder, self.history.step, state)
