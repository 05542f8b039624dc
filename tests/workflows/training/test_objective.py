"""The loss and its parts against direct computations."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.dense_contrastive import dense_contrastive_loss
from workflows.config.schema import Contrastive
from workflows.training.objective import compute_loss, count_negatives, grouped_contrastive_loss, l1_loss

IDS = torch.tensor([0, 0, 1, 2, 3, 3])
FEATURES = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0))


class Network:
    """Gives back its input, and features only where they are asked for."""

    asked = False

    def __call__(self, x, task, return_features=False):
        self.asked |= return_features
        return (x, FEATURES) if return_features else x


def test_l1_counts_grey_levels_in_float32_at_least():
    x = torch.tensor([0.0, 0.5, 1.0])
    assert l1_loss(x, x + torch.tensor([2, -4, 0]) / 255) == pytest.approx(2.0)
    half = l1_loss(x.bfloat16(), x)
    assert (half.dtype, float(half)) == (torch.float32, 0.0)
    assert l1_loss(x.double(), x).dtype == torch.float64


def test_the_total_is_l1_and_the_weighted_contrastive_term():
    x = torch.full((6, 3, 2, 2), 0.5)
    loss = compute_loss(Network(), x, x + 1 / 255, "dn30", IDS, Contrastive(weight=0.25))
    assert float(loss.l1) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(loss.contrastive, dense_contrastive_loss(FEATURES, 0.07, "supcon", IDS))
    torch.testing.assert_close(loss.total, loss.l1 + 0.25 * loss.contrastive)


@pytest.mark.parametrize("contrastive", [None, Contrastive(weight=0)])
def test_without_weight_no_features_are_computed(contrastive):
    network, x = Network(), torch.full((6, 3, 2, 2), 0.5)
    loss = compute_loss(network, x, x + 1 / 255, "dn30", IDS, contrastive)
    assert loss.contrastive is None
    assert torch.equal(loss.total, loss.l1)
    assert not network.asked


def test_rows_are_compared_within_their_group():
    settings = Contrastive(formulation="paper", temperature=0.5)
    found = grouped_contrastive_loss(FEATURES, IDS, settings, group_size=3)
    groups = [dense_contrastive_loss(FEATURES[rows], 0.5, "paper", IDS[rows]) for rows in (slice(3), slice(3, 6))]
    torch.testing.assert_close(found, sum(groups) / 2)
    whole = grouped_contrastive_loss(FEATURES, IDS, settings, group_size=6)
    torch.testing.assert_close(whole, dense_contrastive_loss(FEATURES, 0.5, "paper", IDS))


def test_a_group_of_one_image_counts_as_0():
    features = FEATURES.clone().requires_grad_()
    found = grouped_contrastive_loss(
        features, IDS, Contrastive(), group_size=2
    )  # the first and the last have one image
    torch.testing.assert_close(found, dense_contrastive_loss(FEATURES[2:4], 0.07, "supcon", IDS[2:4]) / 3)
    found.backward()
    assert features.grad[[0, 1, 4, 5]].count_nonzero() == 0
    assert features.grad[2:4].count_nonzero() > 0


@pytest.mark.parametrize("group", [2, 3, 6])
def test_the_device_is_waited_for_once_per_group(group):
    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function is torch.ops.aten._local_scalar_dense.default
            return function(*args, **(kwargs or {}))

    with Reads() as reads:
        grouped_contrastive_loss(FEATURES, IDS, Contrastive(), group_size=group)
    assert reads.count == len(IDS) // group


@pytest.mark.parametrize("group", [2, 4, 8, 16])
def test_negatives_are_the_groups_rows_of_other_images(group):
    ids = np.random.default_rng(0).integers(0, 5, 16)
    found = [sum(ids[j] != ids[i] for j in range(16) if j // group == i // group) for i in range(16)]
    assert count_negatives(ids, group) == pytest.approx(np.mean(found))
