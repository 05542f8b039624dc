"""The contrastive loss between patch features, computed in blocks.

Chen et al., "Pre-Trained Image Processing Transformer", CVPR 2021, section 3.3: features of patches of one image should be
similar, those of different images dissimilar. B images with N patches each make M = B·N rows; the similarity matrix of M × M
numbers (17 GB at 256 × 256 patches, several times in autograd) is never stored. Both formulations need only sums of its
exponentials, which are computed block by block. The backward pass computes each block again, and since similarity is
symmetric, only one of each pair of mirrored blocks is computed at all. The terms of positive pairs are linear in the
similarities, so sums of features give them without a matrix.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Formulation = Literal["supcon", "paper"]

TEMPERATURES = {"supcon": 0.07, "paper": 1.0}
MIN_NORM = 1e-12
# On a CPU a block stays in the cache. A GPU needs few kernels: one H100 took 2 to 4 times as long as the dense loss at 1024.
BLOCK_SIZES = {"cpu": 1024, "cuda": 4096}


class OneImageError(ValueError):
    """A batch with fewer than two different images, which has no negatives."""


def contrastive_loss(
    features: Tensor,
    temperature: float | None = None,
    formulation: Formulation = "supcon",
    image_ids: Tensor | None = None,
    block_size: int | None = None,
    gather: bool = False,
) -> Tensor:
    """Contrastive loss over the patches of a batch.

    With d the cosine similarity, f_i^j the feature of patch j of image i, and T the temperature:

    - `supcon`, what the authors released for another framework (supervised contrastive learning, Khosla et al. 2020, with
      the image as label): the mean over all anchors a of -1/|P(a)| Σ_{p ∈ P(a)} log(exp(d_ap/T) / Σ_{b≠a} exp(d_ab/T)),
      P(a) being the other patches of the same image.
    - `paper`, as in the paper's section 3.3: the mean over i, j1, j2 (j1 = j2 included) of
      -log(exp(d(f_i^j1, f_i^j2)/T) / Σ_{k≠i} exp(d(f_i^j1, f_k^j2)/T)), which can be negative.

    Similarities and sums of exponentials are in float32 for any type of features and with autocast (in float64 for float64
    features, and for temperatures beyond float32's range). A feature shorter than 1e-12 has similarity 0 to everything and
    gets no gradient. NaN or infinity in a feature makes the loss NaN.

    Args:
        features: (B, N, D).
        temperature: T; by default 0.07 for `supcon` and 1 for `paper`.
        formulation: see above.
        image_ids: (B,) integers: rows with the same id are crops of one image. They are then positives of each other in
            `supcon`, and not negatives of each other in `paper`. By default all rows are different images.
        block_size: rows of the similarity matrix in memory at a time, rounded to whole images; by default 1024 on a CPU, 4096
            (67 MB per block) on a GPU. It affects memory and speed, and the value only by rounding.
        gather: under `torch.distributed`, compare with the rows of all ranks (of equal shape), gradients included; DDP's mean
            over the ranks is then the loss of the whole batch. By default each rank compares only its own rows.

    Returns:
        The loss, a scalar, float32 (float64 for float64 features).

    Raises:
        OneImageError: a ValueError, for fewer than two different images.
        ValueError: for a wrong shape, `supcon` with one patch per image, a temperature under 0.003, or an unknown formulation.
    """
    if formulation not in TEMPERATURES:
        raise ValueError(f"formulation={formulation!r}: expected one of {', '.join(get_args(Formulation))}")
    temperature = TEMPERATURES[formulation] if temperature is None else temperature
    if not 0.003 <= temperature < float("inf"):
        raise ValueError(f"temperature={temperature!r}: expected a number of at least 0.003")
    if features.ndim != 3 or not features.is_floating_point():
        raise ValueError(f"features of shape {tuple(features.shape)}, {features.dtype}: expected (B, N, D), floating")
    if block_size is None:
        block_size = BLOCK_SIZES.get(features.device.type, BLOCK_SIZES["cuda"])
    if block_size < 1:
        raise ValueError(f"block_size={block_size}: expected at least 1")
    batch, patches, _ = features.shape
    if image_ids is not None and (image_ids.shape != (batch,) or image_ids.is_floating_point()):
        raise ValueError(
            f"image_ids of shape {tuple(image_ids.shape)}, {image_ids.dtype}: expected ({batch},), integers"
        )
    if formulation == "supcon" and patches < 2:
        raise ValueError("supcon needs at least two patches per image: a patch's positives are the others of its image")

    with torch.autocast(features.device.type, enabled=False):
        # exp((d - 1) / T) lies between exp(-2 / T) and 1: float32 holds it down to T = 0.025.
        wide = features.dtype == torch.float64 or temperature < 0.025
        rows = normalize(features.to(torch.float64 if wide else torch.float32))
        first = 0
        if gather and dist.is_available() and dist.is_initialized():
            rows, image_ids, first = gather_rows(rows, image_ids)
        images = len(rows)
        ids = torch.arange(images, device=rows.device) if image_ids is None else image_ids
        if images < 2 or (image_ids is not None and bool((ids == ids[0]).all())):
            raise OneImageError("the contrastive loss needs at least two different images: this batch has only one")

        anchors = rows[first : first + batch]
        negative = LogSum.apply(
            rows, ids, temperature, formulation, max(1, block_size // patches), first, first + batch
        )
        if formulation == "supcon":
            positive = supcon_positive(anchors, ids[first : first + batch], rows, ids)
        else:
            positive = anchors.sum(1).square().sum() / (batch * patches**2)
        loss = negative - positive / temperature
    return loss.to(torch.promote_types(features.dtype, torch.float32))


def normalize(features: Tensor) -> Tensor:
    """Rows of length 1; rows of zero length become 0, with zero gradient."""
    norm = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    short = norm < MIN_NORM
    return (features / norm.masked_fill(short, 1.0)).masked_fill(short, 0.0)


def supcon_positive(anchors: Tensor, anchor_ids: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
    """The mean over anchors of the mean similarity to their positives: all rows with the same id but the anchor itself."""
    patches = rows.shape[1]
    same = (anchor_ids[:, None] == ids[None, :]).to(rows.dtype)  # (anchors' images, images)
    sums = same @ rows.sum(1)  # (anchors' images, D)
    total = (anchors.sum(1) * sums).sum(-1) - anchors.square().sum((1, 2))
    return (total / (same.sum(1) * patches - 1)).sum() / (len(anchors) * patches)


def gather_rows(rows: Tensor, image_ids: Tensor | None) -> tuple[Tensor, Tensor | None, int]:
    """The rows and ids of all ranks, and the index of this rank's first row. Gradients flow back to each rank."""
    from torch.distributed.nn.functional import all_gather

    if image_ids is not None:
        parts = [torch.empty_like(image_ids) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, image_ids.contiguous())
        image_ids = torch.cat(parts)
    first = dist.get_rank() * len(rows)
    return torch.cat(all_gather(rows.contiguous())), image_ids, first


class LogSum(torch.autograd.Function):
    """The mean over a formulation's denominators of their logarithms.

    Images `start` to `stop` are anchors; the others (of other ranks) appear only in denominators.
    With s the similarity over T, `supcon` has one denominator per row, Σ_{b≠a} exp(s_ab), and `paper` one for each row and
    patch position, Σ_k exp(s_(i,j1),(k,j2)) over the images k of another id. In both, the gradient with respect to s_ab is
    exp(s_ab) (1/denominator_a + 1/denominator_b), where b counts only if it is an anchor; it is symmetric, too.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        ids: Tensor,
        temperature: float,
        formulation: Formulation,
        images_per_block: int,
        start: int,
        stop: int,
    ) -> Tensor:
        images, patches, _ = rows.shape
        paper = formulation == "paper"
        # Rows (i, j1) and, for `paper`, patch positions j2; without the factor exp(1/T), which is added as a logarithm.
        sums = rows.new_zeros(images, patches, patches if paper else 1)
        for a, b in block_pairs(images, images_per_block, start, stop):
            block = exponentials(rows, ids, a, b, temperature, paper)  # (I, N, K, N)
            sums[a] += block.sum(2) if paper else block.flatten(2).sum(2, keepdim=True)
            if b != a and b.start < stop and b.stop > start:
                sums[b] += block.sum(0).permute(1, 2, 0) if paper else block.sum((0, 1)).unsqueeze(-1)
        ctx.save_for_backward(rows, ids, sums)
        ctx.arguments = temperature, paper, images_per_block, start, stop
        return sums[start:stop].log().mean() + 1 / temperature

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, ids, sums = ctx.saved_tensors
        temperature, paper, images_per_block, start, stop = ctx.arguments
        images, _, dim = rows.shape
        weights = torch.zeros_like(sums)  # 0 for rows that are not anchors
        weights[start:stop] = grad / (temperature * sums[start:stop].numel()) / sums[start:stop]
        grad_rows = torch.zeros_like(rows)
        for a, b in block_pairs(images, images_per_block, start, stop):
            block = exponentials(rows, ids, a, b, temperature, paper)
            if paper:
                block *= weights[a].unsqueeze(2) + weights[b].permute(2, 0, 1)
            else:
                block *= weights[a].unsqueeze(2) + weights[b, :, 0]
            block = block.flatten(2).flatten(0, 1)  # (I·N, K·N)
            grad_rows[a] += (block @ rows[b].view(-1, dim)).view_as(rows[a])
            if b != a:
                grad_rows[b] += (block.T @ rows[a].view(-1, dim)).view_as(rows[b])
        return grad_rows, None, None, None, None, None, None


def block_pairs(images: int, size: int, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
    """Pairs (a, b) of blocks of images: all with an anchor in a, mirrored pairs of anchors once."""
    cuts = sorted({0, images, *range(0, start, size), *range(start, stop, size), *range(stop, images, size)})
    blocks = [slice(low, high) for low, high in pairwise(cuts)]
    for a in blocks:
        if start <= a.start < stop:
            for b in blocks:
                if b.start >= a.start or b.start < start:
                    yield a, b


def exponentials(rows: Tensor, ids: Tensor, a: slice, b: slice, temperature: float, paper: bool) -> Tensor:
    """exp((d - 1) / T) of two blocks of images, (I, N, K, N), 0 for pairs that do not count."""
    patches, dim = rows.shape[1:]
    left, right = rows[a].view(-1, dim), rows[b].view(-1, dim)
    offset = rows.new_full((1,), -1 / temperature)
    block = torch.addmm(offset, left, right.T, alpha=1 / temperature).exp_()
    if not paper and a == b:
        block.fill_diagonal_(0)  # the anchor itself
    block = block.view(-1, patches, right.shape[0] // patches, patches)
    if paper:
        block *= (ids[a, None] != ids[None, b]).to(block.dtype)[:, None, :, None]
    return block
