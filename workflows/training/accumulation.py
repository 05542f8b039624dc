"""The gradient of a global batch: each process computes its rows, one micro-batch at a time.

However a batch is divided, its gradient is the same up to rounding: L1 is a mean over rows, and the contrastive loss is a
mean over groups of rows, whose size the recipe sets. A group that is larger than a micro-batch needs all its features before
any gradient. So a first pass computes the features without a graph and the loss's gradient with respect to them; a second
pass propagates it through the network (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup").
"""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from workflows.config.runs import Run
from workflows.training.objective import Loss, compute_loss, grouped_contrastive_loss, l1_loss


@dataclass(frozen=True)
class MicroBatches:
    """The division of this process's rows of every batch.

    Attributes:
        slices: the micro-batches.
        group_size: number of rows whose features are compared with one another; None: the micro-batch.
        gather: the rows of all processes are compared.
        two_passes: a group is larger than a micro-batch.
    """

    slices: tuple[slice, ...]
    group_size: int | None
    gather: bool
    two_passes: bool


def divide(run: Run) -> MicroBatches:
    """The micro-batches of each process of a run."""
    recipe = run.training
    rows = recipe.batch_size // recipe.processes
    size = min(recipe.micro_batch_size or rows, rows)
    group = run.group_size
    if group is None or group == size == rows:
        group_size, gather, two_passes = None, False, False
    else:
        gather = group > rows
        group_size, two_passes = None if gather else group, size < min(group, rows)
        if not gather and not two_passes:
            size -= size % group  # whole groups
    slices = tuple(slice(first, min(first + size, rows)) for first in range(0, rows, size))
    return MicroBatches(slices, group_size, gather, two_passes)


def backward(
    fabric: Fabric,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    task: str,
    image_ids: Tensor,
    run: Run,
    micro_batches: MicroBatches,
    contrastive_gradient: "ContrastiveGradient | None" = None,
) -> Loss:
    """Add the gradient of a batch, averaged over the processes, to the parameters' `.grad`.

    Args:
        fabric: of the run.
        model: set up by it.
        x, y, task, image_ids: this process's rows, see `objective.compute_loss`.
        run: defines the loss.
        micro_batches: from `divide`.
        contrastive_gradient: collects the gradients of the loss's two terms if their ratio is logged.

    Returns:
        The loss of this process's rows, without a graph.
    """
    contrastive, by_feature = None, None
    if micro_batches.two_passes:
        contrastive, by_feature = _first_pass(model, x, task, image_ids, run, micro_batches)
    losses = []
    for rows in micro_batches.slices:
        weight = (rows.stop - rows.start) / len(x)
        with fabric.no_backward_sync(model, enabled=fabric.world_size > 1 and rows is not micro_batches.slices[-1]):
            if by_feature is None:
                micro_batch = (x[rows], y[rows], task, image_ids[rows])
                grouping = (micro_batches.group_size, micro_batches.gather)
                loss = _times(compute_loss(model, *micro_batch, run.contrastive, *grouping), weight)
            else:
                loss = _second_pass(model, x[rows], y[rows], task, by_feature[rows], weight, run)
            if contrastive_gradient is not None:
                contrastive_gradient.add(loss)
            fabric.backward(loss.total)
        losses.append(loss)

    l1 = sum(loss.l1.detach() for loss in losses)
    if run.group_size is None:
        return Loss(l1, l1)
    if contrastive is None:
        contrastive = sum(loss.contrastive.detach() for loss in losses)
    return Loss(l1 + run.contrastive.weight * contrastive, l1, contrastive, run.contrastive.weight)


def _times(loss: Loss, weight: float) -> Loss:
    contrastive = None if loss.contrastive is None else loss.contrastive * weight
    return Loss(loss.total * weight, loss.l1 * weight, contrastive, loss.weight)


def _first_pass(
    model: nn.Module, x: Tensor, task: str, image_ids: Tensor, run: Run, micro_batches: MicroBatches
) -> tuple[Tensor, Tensor]:
    """The contrastive loss, and its gradient with respect to this process's features, (rows, N, D)."""
    with torch.no_grad():
        features = torch.cat([model(x[rows], task, return_features=True)[1] for rows in micro_batches.slices])
    features.requires_grad_()
    loss = grouped_contrastive_loss(
        features, image_ids, run.contrastive, micro_batches.group_size, micro_batches.gather
    )
    (by_feature,) = torch.autograd.grad(loss, features)
    return loss.detach(), by_feature


def _second_pass(
    model: nn.Module, x: Tensor, y: Tensor, task: str, by_feature: Tensor, weight: float, run: Run
) -> Loss:
    """A loss with the micro-batch's part of the gradient; the value of its contrastive term has no meaning."""
    output, features = model(x, task, return_features=True)
    l1, term = l1_loss(output, y) * weight, (features * by_feature).sum()
    return Loss(l1 + run.contrastive.weight * term, l1, term, run.contrastive.weight)


class ContrastiveGradient:
    """The contrastive loss's part of a batch's gradient.

    Leaves `.grad` and the graph unchanged, and does not trigger DDP, which acts when gradients reach `.grad`.
    """

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters
        self._sums: list[list[Tensor | None]] = [[None] * len(parameters), [None] * len(parameters)]

    def add(self, loss: Loss) -> None:
        """Add a micro-batch's gradients."""
        if loss.contrastive is None:
            return
        for i, term in enumerate((loss.l1, loss.weight * loss.contrastive)):
            gradients = torch.autograd.grad(term, self._parameters, retain_graph=True, allow_unused=True)
            self._sums[i] = [
                b if a is None else a if b is None else a + b for a, b in zip(self._sums[i], gradients, strict=True)
            ]

    def share(self, fabric: Fabric) -> float | None:
        """Norm of λ·contrastive's gradient over the sum of both terms' norms, in [0, 1]; None without that loss."""
        norms = []
        for gradients in self._sums:
            reduced = [fabric.all_reduce(g, reduce_op="mean") for g in gradients if g is not None]
            if not reduced:
                return None
            norms.append(torch.linalg.vector_norm(torch.stack([g.norm() for g in reduced])))
        return (norms[1] / (norms[0] + norms[1])).item()
