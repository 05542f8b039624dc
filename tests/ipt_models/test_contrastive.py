"""The contrastive loss in blocks against a direct dense computation, and its behaviour at the edges."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.dense_contrastive import dense_contrastive_loss
from ipt_models.contrastive import contrastive_loss
from tests.helpers import raises_naming

BATCH, PATCHES, DIM = 6, 5, 7
IDS = {
    "all different": None,
    "pairs": torch.tensor([4, 4, 1, 1, 9, 9]),
    "scattered": torch.tensor([0, 3, 0, 7, 3, 0]),
}


def features(batch=BATCH, patches=PATCHES, dim=DIM, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (3 * torch.randn(batch, patches, dim, generator=generator)).to(dtype).requires_grad_()


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
@pytest.mark.parametrize("block_size", [1, 7, 15, 1000])
@pytest.mark.parametrize(
    ("formulation", "temperature"),
    [("supcon", 0.07), ("supcon", 1.0), ("supcon", 0.004), ("paper", 1.0), ("paper", 0.07), ("paper", 0.004)],
)
def test_value_and_gradient_equal_the_dense_computation(formulation, temperature, block_size, ids):
    x = features()
    loss = contrastive_loss(x, temperature, formulation, ids, block_size)
    expected = dense_contrastive_loss(x, temperature, formulation, ids)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    gradient, expected = (torch.autograd.grad(value, x)[0] for value in (loss, expected))
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(("formulation", "temperature"), [("supcon", 0.07), ("paper", 1.0)])
def test_defaults_are_the_temperatures_of_the_sources(formulation, temperature):
    x = features()
    assert contrastive_loss(x, formulation=formulation) == contrastive_loss(x, temperature, formulation)


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
def test_gradients_are_exact_in_float64(formulation):
    x = features(batch=3, patches=2, dim=3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, 0.5, formulation, block_size=2), (x,))


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
def test_the_loss_falls_as_images_part(formulation):
    directions = torch.eye(BATCH).unsqueeze(1).expand(-1, PATCHES, -1)
    apart = contrastive_loss(directions, formulation=formulation)
    assert apart < contrastive_loss(torch.ones(BATCH, PATCHES, BATCH), formulation=formulation)
    assert apart < contrastive_loss(torch.randn(BATCH, PATCHES, BATCH), formulation=formulation)


def test_equal_features_give_the_logarithm_of_what_is_compared():
    same = torch.ones(BATCH, PATCHES, DIM)
    rows = BATCH * PATCHES
    assert contrastive_loss(same).item() == pytest.approx(torch.tensor(rows - 1).log().item(), rel=1e-5)
    assert contrastive_loss(same, formulation="paper").item() == pytest.approx(torch.tensor(5.0).log().item(), rel=1e-5)


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.numel = max(self.numel, leaf.numel())
        return out


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
def test_no_tensor_is_larger_than_a_block_or_the_features(formulation):
    x = features(batch=32, patches=8, dim=16)  # 256 rows: a similarity matrix has 65,536 numbers
    with LargestTensor() as largest:
        contrastive_loss(x, formulation=formulation, block_size=64).backward()
    assert largest.numel <= max(64 * 64, x.numel())


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_similarities(formulation):
    x, kept = features(batch=32, patches=8, dim=16), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        contrastive_loss(x, formulation=formulation)
    assert sum(kept) < 10 * x.numel() < 32 * 8 * 32 * 8


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
def test_bf16_autocast_and_bf16_features_compute_in_float32(formulation):
    x = features()
    expected = contrastive_loss(x, formulation=formulation)
    with torch.autocast("cpu", torch.bfloat16):
        loss = contrastive_loss(x, formulation=formulation)
    assert torch.equal(loss, expected)
    (gradient,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, x)[0], rtol=0, atol=0)
    rounded = x.detach().bfloat16()
    loss = contrastive_loss(rounded, formulation=formulation)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, contrastive_loss(rounded.float(), formulation=formulation))


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
def test_a_zero_feature_is_similar_to_nothing_and_gets_no_gradient(formulation):
    x = features()
    with torch.no_grad():
        x[0] = 0
    loss = contrastive_loss(x, formulation=formulation)
    torch.testing.assert_close(loss, dense_contrastive_loss(x, 0.07 if formulation == "supcon" else 1.0, formulation))
    (gradient,) = torch.autograd.grad(loss, x)
    assert gradient[0].count_nonzero() == 0
    assert gradient.isfinite().all()
    zeros = torch.zeros(BATCH, PATCHES, DIM, requires_grad=True)
    (gradient,) = torch.autograd.grad(contrastive_loss(zeros, formulation=formulation), zeros)
    assert gradient.count_nonzero() == 0


@pytest.mark.parametrize("formulation", ["supcon", "paper"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_not_hidden(formulation, bad):
    x = features().detach()
    x[2, 1, 3] = bad
    assert contrastive_loss(x, formulation=formulation).isnan()


@pytest.mark.parametrize(
    ("shape", "kwargs", "named"),
    [
        ((1, 5, 7), {}, ["images"]),
        ((1, 5, 7), {"formulation": "paper"}, ["images"]),
        ((3, 5, 7), {"image_ids": torch.tensor([2, 2, 2])}, ["images"]),
        ((3, 1, 7), {}, ["supcon", "patches"]),
        ((15, 7), {}, ["(15, 7)", "(B, N, D)"]),
        ((3, 5, 7), {"formulation": "simclr"}, ["formulation='simclr'", "supcon", "paper"]),
        ((3, 5, 7), {"temperature": 0.0}, ["temperature=0.0", 0.003]),
        ((3, 5, 7), {"temperature": float("nan")}, ["temperature=nan", 0.003]),
        ((3, 5, 7), {"block_size": 0}, ["block_size=0", 1]),
        ((3, 5, 7), {"image_ids": torch.tensor([1, 2])}, ["image_ids", "(2,)", "(3,)"]),
        ((3, 5, 7), {"image_ids": torch.rand(3)}, ["image_ids", "torch.float32"]),
    ],
)
def test_what_has_no_value_is_refused(shape, kwargs, named):
    with raises_naming(ValueError, *named):
        contrastive_loss(torch.rand(shape), **kwargs)


def test_one_patch_an_image_has_a_value_in_the_papers_formulation():
    x = features(patches=1)
    torch.testing.assert_close(contrastive_loss(x, 1.0, "paper"), dense_contrastive_loss(x, 1.0, "paper"))


RANK = """
import os
import sys
import torch
import torch.distributed as dist
from ipt_models.contrastive import contrastive_loss

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
x = torch.randn(6, 5, 7, generator=torch.Generator().manual_seed(0))
mine = slice(3 * rank, 3 * rank + 3)
for formulation in ("supcon", "paper"):
    for ids in (None, torch.tensor([0, 1, 2, 0, 3, 1])):
        weight = torch.eye(7, requires_grad=True)
        my_ids = None if ids is None else ids[mine]
        loss = contrastive_loss(x[mine] @ weight, None, formulation, my_ids, block_size=5, gather=True)
        loss.backward()
        mean = torch.cat([loss.detach().view(1), weight.grad.flatten()])  # what DDP does to gradients
        dist.all_reduce(mean)
        mean /= 2

        weight = torch.eye(7, requires_grad=True)
        whole = contrastive_loss(x @ weight, None, formulation, ids)
        whole.backward()
        expected = torch.cat([whole.detach().view(1), weight.grad.flatten()])
        torch.testing.assert_close(mean, expected, rtol=1e-5, atol=1e-6)

local = contrastive_loss(x[mine])
dist.barrier()
dist.destroy_process_group()
torch.testing.assert_close(local, contrastive_loss(x[mine], gather=True), rtol=0, atol=0)
os._exit(0)  # gloo's threads sometimes abort a process that has finished (torch 2.14)
"""


def test_gathering_from_all_ranks_is_the_loss_of_the_whole_batch(tmp_path):
    """Values and gradients, averaged over the ranks as DDP does; without `gather` a rank's loss is its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "store")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for process in ranks:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
    finally:
        for process in ranks:
            process.kill()
