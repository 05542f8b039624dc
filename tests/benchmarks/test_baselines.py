"""The plain networks that the suite's are timed against compute the same."""

import pytest
import torch

from benchmarks.baselines import make, plain_order, share_weights


@pytest.mark.parametrize("variant", ["edsr_tiny", "rdn_tiny"])
def test_plain_networks_compute_the_same_with_the_same_weights(variant):
    suite, plain = make(variant, "suite"), make(variant, "plain")
    share_weights(suite, plain, plain_order(variant, suite))
    x = torch.rand(1, 3, 12, 10)
    torch.testing.assert_close(plain(x, "sr2"), suite(x, "sr2"), rtol=0, atol=1e-4)
