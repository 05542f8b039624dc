"""Whole images through windows: exact where the network is local, seamless with a trained one, bounded in memory."""

import math
from collections.abc import Callable

import pytest
import spandrel
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ipt_models import IPT, load, to_official
from ipt_models.windows import WINDOWS, default_stride, restore, starts, window_weights
from tests.helpers import FIXTURES, raises_naming

SIDES = [1, 2, 7, 8, 9, 15, 16, 21]


class Windows(nn.Module):
    """Stands in for an IPT with a patch size of 8: repeats pixels, and remembers the batches that it was given."""

    def __init__(self, task: str = "sr2", scale: int = 2):
        super().__init__()
        self.patch_size, self.patch_dim, self.tasks, self.scale = 8, 2, (task,), scale
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


def slow(model: nn.Module, x: torch.Tensor, windows: str, stride: int) -> torch.Tensor:
    """The settings as their definitions say, one output pixel after the other."""
    size, scale, (height, width) = model.patch_size, model.scale, x.shape[2:]
    tops, lefts = ([*range(0, side - size, stride), side - size] for side in (height, width))
    outputs = {(i, j): model(x[:, :, i : i + size, j : j + size], model.tasks[0])[0] for i in tops for j in lefts}

    def weight(begin: int, begins: list[int], pixel: int) -> float:
        """Of a window at an output pixel of one side, before division by the sum over all windows."""
        place, length = pixel / scale + 0.5 / scale, begins[-1] + size
        if not begin < place < begin + size:
            return 0
        if windows == "blended":
            return math.sin(math.pi * (place - begin) / size) ** 2
        if windows == "averaged":
            shifted = len(begins) > 1 and begins[-1] - begins[-2] < stride
            meet = math.ceil(scale * (begins[-2] + size + begins[-1]) / 2) if shifted else None
            if shifted and (pixel >= meet or begin == begins[-1]):
                return pixel >= meet and begin == begins[-1]
            first, last = begin + size // 4, begin + size - size // 4
            return (begin == 0 or place > first) and (begin == begins[-1] or place < last or last + size // 4 == length)
        # The nearest middle; between two equally near ones, the later window.
        return begin == max(begins, key=lambda other: (-abs(place - other - size / 2), other))

    y = torch.zeros(3, scale * height, scale * width)
    for row in range(scale * height):
        for column in range(scale * width):
            total = 0
            for (i, j), output in outputs.items():
                if w := weight(i, tops, row) * weight(j, lefts, column):
                    y[:, row, column] += w * output[:, row - scale * i, column - scale * j]
                    total += w
            y[:, row, column] /= total
    return y[None]


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize(("task", "scale"), [("sr2", 2), ("sr3", 3), ("dn30", 1)])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 11), (12, 17)])
def test_every_setting_is_what_its_definition_says(windows, task, scale, height, width):
    model, x = Numbered(task, scale), image(height, width)
    stride = default_stride(model, windows)
    y = restore(model, x, windows=windows)
    model.seen.clear()
    torch.testing.assert_close(y, slow(model, x, windows, stride), rtol=0, atol=2e-5)


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("stride", [None, 1, 3, 4])
@pytest.mark.parametrize(("task", "scale"), [("sr2", 2), ("sr3", 3), ("dn30", 1)])
def test_a_local_network_gives_the_same_by_windows_as_at_once(windows, stride, task, scale):
    for height, width in zip(SIDES, reversed(SIDES), strict=True):
        x = image(height, width)
        y = restore(Windows(task, scale), x, task, windows, stride)
        torch.testing.assert_close(y, F.interpolate(x, scale_factor=scale), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("windows", "counts"),
    [("centre", [12, 8, 7, 11]), ("side-by-side", [16, 11, 11])],  # 6, 4, 3.5, 5.5 and 8, 5.5, 5.5 pixels, doubled
)
def test_the_last_window_is_shifted_inwards_and_nothing_is_averaged(windows, counts):
    y = restore(Numbered(), image(8, 19), windows=windows)
    numbers, found = y[0, 0, 0].unique_consecutive(return_counts=True)
    assert found.tolist() == counts
    assert numbers.tolist() == list(range(len(counts)))


def test_windows_cover_a_side_at_their_stride():
    assert starts(8, 8, 8) == [0]
    assert starts(24, 8, 8) == [0, 8, 16]
    assert starts(19, 8, 8) == [0, 8, 11]
    assert starts(19, 8, 4) == [0, 4, 8, 11]


@pytest.mark.parametrize(
    ("patch_dim", "patch_size", "strides"),
    [(3, 24, [12, 6, 24, 13]), (3, 48, [24, 12, 48, 25]), (4, 12, [6, 3, 12, 6]), (1, 1, [1, 1, 1, 1])],
)
def test_each_setting_has_a_stride_of_its_own(patch_dim, patch_size, strides):
    model = IPT(num_feat=1, patch_dim=patch_dim, patch_size=patch_size, num_heads=1, depth=1)
    assert [default_stride(model, windows) for windows in WINDOWS] == strides


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("size", [1, 6, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_weights_add_up_to_one_at_each_pixel(windows, size, stride):
    stride = min(stride, size)
    for length in range(size, 4 * size):
        total = torch.zeros(2 * length)
        used = window_weights(length, size, stride, 2, windows)
        for begin, (first, weights) in zip(starts(length, size, stride), used, strict=True):
            total[2 * begin + first : 2 * begin + first + len(weights)] += weights
        torch.testing.assert_close(total, torch.ones(2 * length))


def test_blended_windows_fade_to_nothing_inside_the_image():
    (_, first), (_, middle), (_, last) = window_weights(16, 8, 4, 4, "blended")
    assert middle[0] < 0.05
    assert middle[-1] < 0.05
    assert (middle.diff().abs() < 0.1).all()
    assert first[0] == 1
    assert last[-1] == 1


# The middle of patches of 24 that are cut every 6 pixels, and images that the stride divides and does not.
@pytest.mark.parametrize(("height", "width"), [(42, 36), (25, 37), (24, 29), (55, 45)])
@pytest.mark.parametrize("task", ["sr2", "sr3", "dn30"])
def test_averaged_is_the_authors_whole_image_inference(height, width, task):
    torch.manual_seed(0)
    model = IPT((task,), num_feat=12, patch_dim=3, patch_size=24, num_heads=12, depth=1).eval()
    theirs = spandrel.ModelLoader().load_from_state_dict({k: v.clone() for k, v in to_official(model).items()})
    x = image(height, width)
    expected, y = theirs(x), restore(model, x, windows="averaged").clamp(0, 1)  # as theirs
    # Along the upper border their code writes the first window over the mean; elsewhere, and at the left border, it does not.
    scale, q = theirs.scale, 6
    corner = (..., slice(0, scale * q), slice(2 * scale * q, 4 * scale * q))
    if width >= 24 + q:
        with torch.no_grad():
            torch.testing.assert_close(expected[corner], model(x[..., :24, :24]).clamp(0, 1)[corner], rtol=0, atol=1e-5)
        y[corner] = expected[corner]
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_network_never_sees_more_than_a_batch_of_windows(batch_size):
    model = Windows()
    restore(model, image(40, 30), batch_size=batch_size)
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
            restore(Windows(), x, batch_size=4)
        largest.append(tensors.numel)
    assert largest == [4 * 3 * 16 * 16] * 2  # the restored batch of windows


def test_images_smaller_than_a_window_are_continued_by_reflection():
    model = Windows()
    x = image(3, 8)
    y = restore(model, x)
    assert y.shape == (1, 3, 6, 16)
    rows = model.seen[0][0, 0]
    torch.testing.assert_close(rows, x[0, 0][[0, 1, 2, 2, 1, 0, 0, 1]])


def test_a_bar_shows_windows_where_it_is_wanted(capsys, monkeypatch):
    restore(Windows(), image(20, 20), progress=True)
    assert capsys.readouterr().err == ""  # too quick to be worth one
    monkeypatch.setattr("ipt_models.windows.BAR_DELAY", 0)
    restore(Windows(), image(20, 20), progress=True)
    assert "16/16" in capsys.readouterr().err
    restore(Windows(), image(20, 20))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("x", "kwargs", "named"),
    [
        (torch.rand(3, 8, 8), {}, ["(3, 8, 8)", "(1, 3, H, W)"]),
        (torch.rand(2, 3, 8, 8), {}, ["(2, 3, 8, 8)", "(1, 3, H, W)"]),
        (torch.rand(1, 3, 0, 8), {}, ["(1, 3, 0, 8)", 1]),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), {}, ["torch.uint8"]),
        (torch.rand(1, 3, 8, 8), {"stride": 9}, ["stride=9", 1, 8, "centre"]),
        (torch.rand(1, 3, 8, 8), {"stride": 5, "windows": "averaged"}, ["stride=5", 1, 4, "averaged"]),
        (torch.rand(1, 3, 8, 8), {"stride": 0}, ["stride=0", 1, 8]),
        (torch.rand(1, 3, 8, 8), {"batch_size": 0}, ["batch_size=0", 1]),
        (torch.rand(1, 3, 8, 8), {"windows": "hann"}, ["windows='hann'", *WINDOWS]),
        (torch.rand(1, 3, 8, 8), {"task": "sr3"}, ["sr3", "sr2"]),
    ],
)
def test_wrong_arguments_are_named(x, kwargs, named):
    with raises_naming(ValueError, *named):
        restore(Windows(), x, **kwargs)


STEPLESS = {
    "constant": torch.tensor([0.3, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 72, 72),
    "ramp": torch.linspace(0.1, 0.9, 72).view(1, 1, 1, 72).expand(1, 3, 72, 72),
}


@pytest.fixture(scope="module", params=STEPLESS)
def largest_step(request, trained) -> Callable[[str], float]:
    """The largest step that a setting leaves in a flat or an evenly rising image, in gray levels.

    With windows everywhere (a stride of one) none begins or ends in a special place. What another setting adds to that
    image comes from its windows, and a seam in it is a step of a whole column or row, here inside the image. Images of 8
    bits, and eyes, begin to show steps of one gray level.
    """
    x = STEPLESS[request.param]
    windows_everywhere = restore(trained, x, windows="blended", stride=1, batch_size=64)

    def measure(windows: str) -> float:
        added = 255 * (restore(trained, x, windows=windows) - windows_everywhere)[..., 24:-24, 24:-24]
        return max(added.mean((0, 1, along)).diff().abs().max().item() for along in (2, 3))

    return measure


def test_blended_windows_leave_no_seam(largest_step):
    assert largest_step("blended") < 1


def test_side_by_side_windows_leave_seams_that_the_measure_sees(largest_step):
    assert largest_step("side-by-side") > max(1, 3 * largest_step("blended"))
