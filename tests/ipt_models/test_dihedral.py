"""Flips and turns: eight, each undone by its inverse, and a mean that turns with the image."""

import pytest
import torch
from torch.nn import functional as F

from ipt_models.dihedral import dihedral, self_ensemble

X = torch.rand(1, 3, 9, 13, generator=torch.Generator().manual_seed(0))


def test_turns_are_the_eight_symmetries_and_are_undone():
    x = X[..., :9]
    images = [dihedral(x, turn) for turn in range(8)]
    assert len({image.numpy().tobytes() for image in images}) == 8
    for turn, image in enumerate(images):
        assert torch.equal(dihedral(image, turn, inverse=True), x)


@pytest.mark.parametrize(
    "turn", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.transpose(-1, -2), lambda x: x.rot90(1, (-2, -1))]
)
def test_the_mean_of_a_turned_image_is_the_turned_mean(turn):
    def lopsided(x):  # gives each orientation another output
        y = F.interpolate(x, scale_factor=2)
        return y + torch.linspace(0, 0.1, y.shape[-1]) + torch.linspace(0, 0.3, y.shape[-2])[:, None]

    assert not torch.allclose(lopsided(turn(X)), turn(lopsided(X)))
    torch.testing.assert_close(self_ensemble(lopsided, turn(X)), turn(self_ensemble(lopsided, X)))
    torch.testing.assert_close(self_ensemble(lambda x: x, X), X)
