"""The training loss: L1 on the 0-255 scale, plus λ × IPT's contrastive loss.

The scale matters for λ = 0.1: on the 0-255 scale an untrained network has a supcon loss of about 9 and an L1 of about 6.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipt_models.contrastive import OneImageError, contrastive_loss
from workflows.config.schema import Contrastive


@dataclass
class Loss:
    """The loss of some rows, a differentiable scalar each: `total` = `l1` + λ `contrastive`."""

    total: Tensor
    l1: Tensor
    contrastive: Tensor | None = None
    weight: float = 0.0


def l1_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference on the 0-255 scale of two batches in [0, 1], in float32 (float64 for a float64 output)."""
    dtype = torch.promote_types(output.dtype, torch.float32)
    return F.l1_loss(output.to(dtype), target.to(dtype)) * 255


def compute_loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    task: str,
    image_ids: Tensor,
    contrastive: Contrastive | None,
    group_size: int | None = None,
    gather: bool = False,
) -> Loss:
    """The loss of some rows of a batch.

    Args:
        model: called as `model(x, task)`.
        x: degraded patches, (B, 3, p, p) in [0, 1].
        y: clean patches, (B, 3, s·p, s·p) in [0, 1].
        task: the batch's task.
        image_ids: (B,), the image that each patch was cut from.
        contrastive: None trains on L1 alone.
        group_size, gather: see `grouped_contrastive_loss`.
    """
    if contrastive is None or contrastive.weight == 0:
        l1 = l1_loss(model(x, task), y)
        return Loss(l1, l1)
    output, features = model(x, task, return_features=True)
    l1 = l1_loss(output, y)
    term = grouped_contrastive_loss(features, image_ids, contrastive, group_size, gather)
    return Loss(l1 + contrastive.weight * term, l1, term, contrastive.weight)


def grouped_contrastive_loss(
    features: Tensor, image_ids: Tensor, contrastive: Contrastive, group_size: int | None = None, gather: bool = False
) -> Tensor:
    """The contrastive loss, a scalar: the mean over groups of consecutive rows; rows are compared within their group.

    A group of one image counts as 0: there is nothing to compare.

    Args:
        features: (B, N, D).
        image_ids: (B,), the image that each row was cut from.
        contrastive: the loss's settings.
        group_size: rows of a group, a divisor of B; None: all are one group.
        gather: the rows of all processes form one group instead.
    """
    options = {} if contrastive.temperature is None else {"temperature": contrastive.temperature}
    options |= {"formulation": contrastive.formulation, "gather": gather}
    size = len(features) if gather or group_size is None else group_size
    groups = zip(features.split(size), image_ids.split(size), strict=True)
    losses = []
    for rows, ids in groups:
        try:
            losses.append(contrastive_loss(rows, image_ids=ids, **options))
        except OneImageError:  # asked beforehand, the device would be waited for twice
            losses.append(_zero(rows))
    return torch.stack(losses).mean()


def _zero(features: Tensor) -> Tensor:
    """0, with a gradient of 0."""
    return features.sum(dtype=torch.promote_types(features.dtype, torch.float32)) * 0


def count_negatives(image_ids: np.ndarray, group_size: int) -> float:
    """Negatives of a row of a batch, mean over the rows.

    With few images a batch holds several crops of one image, which are not negatives of one another: 16 rows from five images
    have 12.75 negatives, not 15.

    Args:
        image_ids: (B,), the image of each row of the global batch.
        group_size: rows that are compared with one another.
    """
    groups = image_ids.reshape(-1, group_size)
    return float((groups[:, :, None] != groups[:, None, :]).sum(axis=2).mean())
