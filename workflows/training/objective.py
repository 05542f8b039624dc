"""What a network is trained on: L1 on the 0-255 scale, and λ × IPT's contrastive loss.

The scale decides what λ = 0.1 means: on it a fresh network's supcon loss (about 9) weighs against an L1 of about 6.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipt_models.contrastive import contrastive_loss
from workflows.experiment import Contrastive


@dataclass
class Loss:
    """A batch's loss, a differentiable scalar each: `total` = `l1` + λ `contrastive`."""

    total: Tensor
    l1: Tensor
    contrastive: Tensor | None = None
    weight: float = 0.0

    def contrastive_share(self, parameters: list[nn.Parameter]) -> float | None:
        """Norm of λ·contrastive's gradient over the sum of both terms' norms; None without the contrastive loss.

        Leaves `.grad` and the graph as they are, and DDP, which acts when gradients reach `.grad`, unaware.
        """
        if self.contrastive is None:
            return None
        norms = []
        for term in (self.l1, self.weight * self.contrastive):
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            norms.append(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients if g is not None])))
        return (norms[1] / (norms[0] + norms[1])).item()


def l1_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference on the 0-255 scale of two batches in [0, 1], in float32 (float64 for a float64 output)."""
    dtype = torch.promote_types(output.dtype, torch.float32)
    return F.l1_loss(output.to(dtype), target.to(dtype)) * 255


def compute_loss(
    model: nn.Module, x: Tensor, y: Tensor, task: str, image_ids: Tensor, contrastive: Contrastive | None
) -> Loss:
    """The loss of one batch.

    Args:
        model: called as `model(x, task)`.
        x: degraded patches, (B, 3, p, p) in [0, 1].
        y: clean patches, (B, 3, s·p, s·p) in [0, 1].
        task: the batch's task.
        image_ids: (B,), the image that each patch was cut from.
        contrastive: None trains on L1 alone.
    """
    if contrastive is None or contrastive.weight == 0:
        l1 = l1_loss(model(x, task), y)
        return Loss(l1, l1)
    output, features = model(x, task, return_features=True)
    l1 = l1_loss(output, y)
    options = {} if contrastive.temperature is None else {"temperature": contrastive.temperature}
    term = contrastive_loss(features, formulation=contrastive.formulation, image_ids=image_ids, **options)
    return Loss(l1 + contrastive.weight * term, l1, term, contrastive.weight)
