"""The contrastive loss with all similarities at once, directly from its two formulas.

`ipt_models.contrastive_loss` is tested and timed against it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def dense_contrastive_loss(
    features: Tensor, temperature: float, formulation: str, image_ids: Tensor | None = None
) -> Tensor:
    """features (B, N, D); image_ids (B,), all different by default."""
    batch, patches, _ = features.shape
    ids = torch.arange(batch, device=features.device) if image_ids is None else image_ids
    z = F.normalize(features, dim=-1).flatten(0, 1)
    similarity = z @ z.T / temperature
    if formulation == "paper":
        similarity = similarity.view(batch, patches, batch, patches)  # i, j1, k, j2
        same = (ids[:, None] == ids[None, :])[:, None, :, None]
        denominator = similarity.masked_fill(same, -torch.inf).logsumexp(2)  # i, j1, j2
        numerator = similarity.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        return (denominator - numerator).mean()
    labels = ids.repeat_interleave(patches)
    itself = torch.eye(batch * patches, dtype=torch.bool, device=features.device)
    log_probability = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    return -((log_probability * positive).sum(1) / positive.sum(1)).mean()
