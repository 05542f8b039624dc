"""The mean colour is taken off and put back exactly, in float32, and is not trained."""

import torch

from ipt_models.mean_shift import RGB_MEAN, MeanShift

MEAN = 255 * torch.tensor(RGB_MEAN).view(1, 3, 1, 1)
X = 255 * torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_the_mean_is_subtracted_and_added():
    torch.testing.assert_close(MeanShift(-1)(X), X - MEAN, rtol=0, atol=1e-4)
    torch.testing.assert_close(MeanShift(1)(X), X + MEAN, rtol=0, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in MeanShift(1).parameters())


def test_autocast_rounds_nothing():
    with torch.autocast("cpu", torch.bfloat16):
        shifted = MeanShift(-1)(X)
    assert shifted.dtype == torch.float32
    assert torch.equal(shifted, MeanShift(-1)(X))


def test_a_network_of_shapes_alone_has_one_too():
    with torch.device("meta"):
        assert MeanShift(-1)(torch.empty(1, 3, 4, 5)).shape == (1, 3, 4, 5)
