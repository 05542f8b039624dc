"""Whole images through windows: exact where the network is local, seamless with a trained one, bounded in memory."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ipt_models import IPT, load
from ipt_models.windows import dihedral, overlapping_stride, restore, starts, window_weights
from tests.helpers import FIXTURES

SIDES = [1, 2, 7, 8, 9, 15, 16, 21]


class Windows(nn.Module):
    """Stands in for an IPT with a patch size of 8: repeats pixels, and remembers the batches that it was given."""

    def __init__(self, task: str = "sr2", scale: int = 2):
        super().__init__()
        self.patch_size, self.tasks, self.scale = 8, (task,), scale
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[torch.Tensor] = []

    def resolve(self, task: str | None) -> str:
        return IPT.resolve(self, task)

    def forward(self, x: torch.Tensor, task: str) -> torch.Tensor:
        self.seen.append(x)
        assert x.shape[1:] == (3, 8, 8)
        return self.weight * F.interpolate(x, scale_factor=self.scale)


class Numbered(Windows):
    """Gives each window a number of its own instead, in the order in which they come."""

    def forward(self, x: torch.Tensor, task: str) -> torch.Tensor:
        first = sum(len(seen) for seen in self.seen)
        numbers = torch.arange(first, first + len(x)).view(-1, 1, 1, 1)
        return 0 * super().forward(x, task) + numbers


@pytest.fixture(scope="module")
def trained() -> IPT:
    """A tiny IPT for x2: `python -m benchmarks.tiny_training --num-feat 4 --num-heads 4 --depth 1 --steps 2000 OUT`."""
    return load(FIXTURES / "ipt_trained_x2.safetensors")


def image(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("blend", ["centre", "smooth"])
@pytest.mark.parametrize("stride", [None, 1, 3, 8])
@pytest.mark.parametrize(("task", "scale"), [("sr2", 2), ("sr3", 3), ("dn30", 1)])
def test_a_local_network_gives_the_same_by_windows_as_at_once(blend, stride, task, scale):
    for height, width in zip(SIDES, reversed(SIDES), strict=True):
        x = image(height, width)
        y = restore(Windows(task, scale), x, task, stride, blend=blend)
        torch.testing.assert_close(y, F.interpolate(x, scale_factor=scale), rtol=0, atol=1e-6)


def test_without_a_stride_windows_tile_and_the_last_is_shifted_inwards():
    assert starts(8, 8, 8) == [0]
    assert starts(24, 8, 8) == [0, 8, 16]
    assert starts(19, 8, 8) == [0, 8, 11]
    y = restore(Numbered(), image(8, 19))
    columns = y[0, 0, 0]
    assert columns.unique_consecutive(return_counts=True)[1].tolist() == [16, 11, 11]  # 8 pixels, 5.5 and 5.5, doubled
    assert columns.unique().tolist() == [0, 1, 2]  # whole numbers: nothing is averaged


@pytest.mark.parametrize(
    ("patch_dim", "patch_size", "stride"), [(3, 24, 13), (3, 48, 25), (4, 12, 6), (1, 8, 4), (1, 1, 1)]
)
def test_overlapping_stride_is_half_a_window_that_shifts_the_tokens(patch_dim, patch_size, stride):
    model = IPT(num_feat=1, patch_dim=patch_dim, patch_size=patch_size, num_heads=1, depth=1)
    assert overlapping_stride(model) == stride


def test_centre_uses_the_middle_of_each_window():
    y = restore(Numbered(), image(8, 16), stride=4, blend="centre")
    assert y[0, 0, 0].unique_consecutive(return_counts=True)[1].tolist() == [12, 8, 12]


@pytest.mark.parametrize("blend", ["centre", "smooth"])
@pytest.mark.parametrize("stride", [1, 5, 8])
def test_weights_add_up_to_one_at_each_pixel(blend, stride):
    for length in (8, 9, 20, 33):
        begins = starts(length, 8, stride)
        total = torch.zeros(2 * length)
        for begin, weights in zip(begins, window_weights(begins, 8, 2, blend), strict=True):
            total[2 * begin : 2 * begin + 16] += weights
        torch.testing.assert_close(total, torch.ones(2 * length))


def test_smooth_fades_to_nothing_at_a_windows_ends_inside_the_image():
    first, middle, last = window_weights([0, 4, 8], 8, 4, "smooth")
    assert middle[0] < 0.05
    assert middle[-1] < 0.05
    assert (middle.diff().abs() < 0.1).all()
    assert first[0] == 1
    assert last[-1] == 1


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_network_never_sees_more_than_a_batch_of_windows(batch_size):
    model = Windows()
    restore(model, image(40, 30), stride=4, batch_size=batch_size)
    sizes = [len(x) for x in model.seen]
    assert sum(sizes) == 9 * 7
    assert max(sizes) <= batch_size


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation makes, those of some sizes aside."""

    def __init__(self, *aside: int):
        super().__init__()
        self.aside, self.numel = aside, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.untyped_storage().nbytes() // 4 not in self.aside:
                self.numel = max(self.numel, leaf.numel())
        return out


def test_memory_beyond_image_and_output_does_not_grow_with_the_image():
    largest = []
    for side in (40, 136):
        x = image(side, side)
        with LargestTensor(x.numel(), 4 * x.numel()) as tensors:
            restore(Windows(), x, stride=4, batch_size=4)
        largest.append(tensors.numel)
    assert largest == [4 * 3 * 16 * 16] * 2  # the restored batch of windows


def test_images_smaller_than_a_window_are_continued_by_reflection():
    model = Windows()
    x = image(3, 8)
    y = restore(model, x)
    assert y.shape == (1, 3, 6, 16)
    rows = model.seen[0][0, 0]
    torch.testing.assert_close(rows, x[0, 0][[0, 1, 2, 2, 1, 0, 0, 1]])


def test_turns_are_the_eight_symmetries_and_are_undone():
    x = image(4, 4)
    turned = [dihedral(x, turn) for turn in range(8)]
    assert len({t.numpy().tobytes() for t in turned}) == 8
    for turn, t in enumerate(turned):
        assert torch.equal(dihedral(t, turn, inverse=True), x)


def test_self_ensemble_is_the_mean_over_the_turned_image():
    torch.manual_seed(0)
    model = IPT(("dn30",), num_feat=2, patch_dim=2, patch_size=8, num_heads=2, depth=1)
    x = image(9, 13)
    mean = sum(dihedral(restore(model, dihedral(x, turn)), turn, inverse=True) for turn in range(8)) / 8
    y = restore(model, x, self_ensemble=True)
    torch.testing.assert_close(y, mean)
    torch.testing.assert_close(restore(model, x.rot90(1, (2, 3)), self_ensemble=True), y.rot90(1, (2, 3)))
    assert not torch.allclose(y, restore(model, x), atol=1e-3)


def test_bf16_stays_within_a_grey_level_of_float32(trained):
    x = image(30, 30)
    difference = 255 * (restore(trained, x, precision="bf16") - restore(trained, x)).abs()
    assert 0 < difference.max() < 4
    assert difference.mean() < 1


def test_a_bar_shows_windows_where_it_is_wanted(capsys, monkeypatch):
    restore(Windows(), image(20, 20), progress=True)
    assert capsys.readouterr().err == ""  # too quick to be worth one
    monkeypatch.setattr("ipt_models.windows.BAR_DELAY", 0)
    restore(Windows(), image(20, 20), progress=True)
    assert "9/9" in capsys.readouterr().err
    restore(Windows(), image(20, 20))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("x", "kwargs", "message"),
    [
        (torch.rand(3, 8, 8), {}, r"expected \(1, 3, H, W\)"),
        (torch.rand(2, 3, 8, 8), {}, r"expected \(1, 3, H, W\)"),
        (torch.rand(1, 3, 0, 8), {}, "from 1 up"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), {}, "uint8"),
        (torch.rand(1, 3, 8, 8), {"stride": 9}, "stride=9: expected 1 to 8"),
        (torch.rand(1, 3, 8, 8), {"stride": 0}, "stride=0"),
        (torch.rand(1, 3, 8, 8), {"batch_size": 0}, "batch_size=0"),
        (torch.rand(1, 3, 8, 8), {"blend": "hann"}, "centre, smooth"),
        (torch.rand(1, 3, 8, 8), {"precision": "fp16"}, "fp32 or bf16"),
        (torch.rand(1, 3, 8, 8), {"task": "sr3"}, "sr2"),
    ],
)
def test_wrong_arguments_are_named(x, kwargs, message):
    with pytest.raises(ValueError, match=message):
        restore(Windows(), x, **kwargs)


STEPLESS = {
    "constant": torch.tensor([0.3, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 72, 72),
    "ramp": torch.linspace(0.1, 0.9, 72).view(1, 1, 1, 72).expand(1, 3, 72, 72),
}


@pytest.fixture(scope="module", params=STEPLESS)
def largest_step(request, trained) -> Callable[[int | None], float]:
    """The largest step that windows of a stride leave in a flat or an evenly rising image, in grey levels.

    With windows everywhere (a stride of one) none begins or ends in a special place. What another stride adds to that
    image comes from its windows, and a seam in it is a step of a whole column or row, here inside the image. Images of 8
    bits, and eyes, begin to tell steps of one grey level.
    """
    x = STEPLESS[request.param]
    windows_everywhere = restore(trained, x, stride=1, batch_size=64)

    def measure(stride: int | None) -> float:
        added = 255 * (restore(trained, x, stride=stride) - windows_everywhere)[..., 24:-24, 24:-24]
        return max(added.mean((0, 1, along)).diff().abs().max().item() for along in (2, 3))

    return measure


def test_blended_windows_leave_no_seam(trained, largest_step):
    assert largest_step(overlapping_stride(trained)) < 1


def test_windows_side_by_side_leave_seams_that_the_measure_sees(trained, largest_step):
    assert largest_step(None) > max(1, 3 * largest_step(overlapping_stride(trained)))
