"""A training step like the loop's, on one batch in memory."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workflows.config.schema import Training
from workflows.training.objective import l1_loss
from workflows.training.optimization import build_optimizer


class Step:
    """Forward, L1, backward and Adam on a batch; each call is one step.

    Args:
        network: its parameters are trained.
        x: degraded patches, (B, 3, p, p) in [0, 1].
        y: clean patches, (B, 3, s·p, s·p) in [0, 1].
        bf16: bfloat16 autocast instead of float32.
        micro_batch: rows at a time; None: all.
        model: the compiled network, if it is a separate object; called with `(x, task)`.
        optimizer: replaces the suite's.
        task: of the batch.
    """

    def __init__(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        bf16: bool = False,
        micro_batch: int | None = None,
        model: Callable[[Tensor, str], Tensor] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        task: str = "sr2",
    ) -> None:
        self.x, self.y, self.bf16, self.task = x, y, bf16, task
        self.micro_batch = micro_batch or len(x)
        self.model = network if model is None else model  # a compiled network has no truth value
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = optimizer or build_optimizer(trained, Training(learning_rate=1e-6))

    def __call__(self) -> None:
        self.gradients()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def gradients(self) -> None:
        for x, y in zip(self.x.split(self.micro_batch), self.y.split(self.micro_batch), strict=True):
            (l1_loss(self.output(x), y) * (len(x) / len(self.x))).backward()

    def output(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model(x, self.task)
