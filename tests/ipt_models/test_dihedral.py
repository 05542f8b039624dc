"""Flips and rotations: all eight, each undone, and the mean over them."""

import torch

from ipt_models.dihedral import COUNT, dihedral, self_ensemble

X = torch.arange(24.0).view(1, 2, 3, 4)


def test_there_are_eight_and_each_is_undone():
    results = [dihedral(X, transform) for transform in range(COUNT)]
    assert len({(tuple(y.shape), tuple(y.flatten().tolist())) for y in results}) == 8
    for transform, y in enumerate(results):
        assert torch.equal(dihedral(y, transform, inverse=True), X)
    assert torch.equal(results[1], X.flip(-1))
    assert torch.equal(results[4], X.transpose(-1, -2))


def test_the_mean_over_all_turns_with_the_image():
    def lopsided(x):
        return x.cumsum(-1)

    expected = sum(dihedral(lopsided(dihedral(X, k)), k, inverse=True) for k in range(8)) / 8
    torch.testing.assert_close(self_ensemble(lopsided, X), expected)
    torch.testing.assert_close(self_ensemble(lopsided, X.flip(-1)), expected.flip(-1))
    torch.testing.assert_close(self_ensemble(lambda x: x, X), X)
