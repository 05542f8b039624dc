"""IGNN against a slow, obvious implementation that loops over patches, and its choice of graph features."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import baselines
from baselines import patch_graph
from baselines.ignn import GraphAggregation
from baselines.patch_graph import NeighborFeatures, edge_differences, extract_patches, find_neighbors
from baselines.vgg_weights import VGG_FILE
from tests.helpers import raises_naming

SIZES = [(2, (12, 17)), (2, (13, 14)), (3, (16, 22))]


def mirror(index: int, length: int) -> int:
    return index if index < length else 2 * (length - 1) - index


def slow_patch(x: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """(C, 3, 3) at a place of the grid with stride 2; beyond the image it is mirrored."""
    rows = [mirror(2 * row + i, x.shape[1]) for i in range(3)]
    columns = [mirror(2 * column + j, x.shape[2]) for j in range(3)]
    return x[:, rows][:, :, columns]


def slow_grid(length: int) -> int:
    count = 1
    while 2 * (count - 1) + 3 < length:
        count += 1
    return count


def slow_neighbors(queries: torch.Tensor, keys: torch.Tensor, scale: int, k: int, window: int) -> dict:
    """{(row, column) of a query: [(distance, row, column) of keys, nearest first]}."""
    key_rows, key_columns = slow_grid(keys.shape[1]), slow_grid(keys.shape[2])
    neighbors = {}
    for i in range(slow_grid(queries.shape[1])):
        for j in range(slow_grid(queries.shape[2])):
            top = min(max(i // scale - window // 2, 0), max(key_rows - window, 0))
            left = min(max(j // scale - window // 2, 0), max(key_columns - window, 0))
            found = []
            for r in range(top, min(top + window, key_rows)):
                for c in range(left, min(left + window, key_columns)):
                    difference = slow_patch(queries, i, j) - slow_patch(keys, r, c)
                    found.append((difference.square().sum().sqrt().item(), r, c))
            neighbors[i, j] = sorted(found)[:k]
    return neighbors


def slow_enlarged_patch(features: torch.Tensor, row: int, column: int, scale: int) -> torch.Tensor:
    """The features at a key's place, (C, 3s, 3s): s × s pixels for each pixel of the reduced image."""
    height, width = features.shape[1] // scale, features.shape[2] // scale
    result = features.new_zeros(features.shape[0], 3 * scale, 3 * scale)
    for i in range(3):
        for j in range(3):
            r, c = mirror(2 * row + i, height) * scale, mirror(2 * column + j, width) * scale
            result[:, i * scale : (i + 1) * scale, j * scale : (j + 1) * scale] = features[
                :, r : r + scale, c : c + scale
            ]
    return result


def slow_fold(patches: dict, size: tuple[int, int], scale: int) -> torch.Tensor:
    """Patches (C, 3s, 3s) of all queries, laid down with stride 2s and averaged."""
    channels = next(iter(patches.values())).shape[0]
    rows, columns = slow_grid(size[0]), slow_grid(size[1])
    total = torch.zeros(channels, (2 * rows + 1) * scale, (2 * columns + 1) * scale, dtype=torch.float64)
    count = torch.zeros_like(total)
    for (i, j), patch in patches.items():
        area = (slice(None), slice(2 * i * scale, (2 * i + 3) * scale), slice(2 * j * scale, (2 * j + 3) * scale))
        total[area] += patch
        count[area] += 1
    return (total / count)[:, : size[0] * scale, : size[1] * scale]


def slow_neighbor_features(features: torch.Tensor, neighbors: dict, k: int, scale: int) -> torch.Tensor:
    patches = {}
    for (i, j), found in neighbors.items():
        _, r, c = found[k]
        patch = slow_enlarged_patch(features, r, c, scale).flatten(1)
        query = slow_patch(features, i, j).flatten(1)
        normed = (patch - patch.mean(1, keepdim=True)) / (patch.var(1, keepdim=True) + 1e-5).sqrt()
        patch = normed * (query.var(1, keepdim=True) + 1e-5).sqrt() + query.mean(1, keepdim=True)
        patches[i, j] = patch.unflatten(1, (3 * scale, 3 * scale))
    return slow_fold(patches, features.shape[1:], scale)


def slow_aggregation(module, features, queries, keys, neighbors, scale):
    """As the authors compute it: differences and both weight networks at high resolution, pooling for the low one."""
    sums_lr, sums_hr, logits_lr, logits_hr = [], [], [], []
    for k in range(len(neighbors[0, 0])):
        patches = {}
        for (i, j), found in neighbors.items():
            _, r, c = found[k]
            difference = (slow_patch(queries, i, j) - slow_patch(keys, r, c)).abs().sum(dim=(1, 2))
            patches[i, j] = difference[:, None, None].expand(-1, 3 * scale, 3 * scale)
        differences = slow_fold(patches, features.shape[1:], scale)[None]
        logits_hr.append(module.weights_hr(differences))
        logits_lr.append(module.weights_lr(F.avg_pool2d(differences, scale)))
        neighbor = slow_neighbor_features(features, neighbors, k, scale)[None]
        sums_hr.append(neighbor)
        sums_lr.append(module.downsample(neighbor))
    weights_lr, weights_hr = (torch.stack(logits).softmax(dim=0) for logits in (logits_lr, logits_hr))
    return (torch.stack(sums_lr) * weights_lr).sum(0), (torch.stack(sums_hr) * weights_hr).sum(0)


def images(scale: int, size: tuple[int, int], channels: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    reduced = (size[0] // scale, size[1] // scale)
    return tuple(torch.rand(1, channels, *side, dtype=torch.float64, generator=generator) for side in (size, reduced))


@pytest.mark.parametrize(("scale", "size"), SIZES)
@pytest.mark.parametrize(("window", "block"), [(3, 4), (30, 16)])
def test_the_graph_equals_a_loop_over_patches(scale, size, window, block, monkeypatch):
    monkeypatch.setattr(patch_graph, "SEARCH_BLOCK", block)
    monkeypatch.setattr(patch_graph, "FOLD_BLOCK", 20)
    image, reduced = images(scale, size)
    queries, keys = extract_patches(image), extract_patches(reduced)
    neighbors = find_neighbors(queries, keys, scale, 4, window)
    differences = edge_differences(queries, keys, neighbors, 4)
    expected = slow_neighbors(image[0], reduced[0], scale, 4, window)
    columns = slow_grid(reduced.shape[3])
    assert neighbors.shape == (1, slow_grid(size[0]), slow_grid(size[1]), 4)
    for (i, j), found in expected.items():
        assert neighbors[0, i, j].tolist() == [r * columns + c for _, r, c in found]
        for k, (_, r, c) in enumerate(found):
            difference = (slow_patch(image[0], i, j) - slow_patch(reduced[0], r, c)).abs().sum(dim=(1, 2))
            torch.testing.assert_close(differences[0, k, :, i, j], difference)


@pytest.mark.parametrize(("scale", "size"), SIZES)
@pytest.mark.parametrize("block", [20, 4096])
def test_the_aggregation_equals_a_loop_over_patches(scale, size, block, monkeypatch):
    monkeypatch.setattr(patch_graph, "FOLD_BLOCK", block)
    torch.manual_seed(0)
    image, reduced = images(scale, size)
    features = torch.randn(1, 6, *size, dtype=torch.float64)
    module = GraphAggregation(num_feat=6, edge_channels=4, scale=scale, res_scale=1.0).double()
    queries, keys = extract_patches(image), extract_patches(reduced)
    neighbors = find_neighbors(queries, keys, scale, 3, 30)
    ours = module(features, neighbors, edge_differences(queries, keys, neighbors, 4))
    slow = slow_neighbors(image[0], reduced[0], scale, 3, 30)
    theirs = slow_aggregation(module, features[0], image[0], reduced[0], slow, scale)
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected)


class LargestTensor(TorchDispatchMode):
    """Counts the elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and not function.is_view:
                self.elements = max(self.elements, tensor.numel())
        return result


def test_searching_a_whole_image_takes_memory_for_a_block_of_queries_only():
    image, reduced = images(2, (160, 160))
    queries, keys = extract_patches(image), extract_patches(reduced)
    with LargestTensor() as largest:
        edge_differences(queries, keys, find_neighbors(queries, keys, 2, 5, 30), 4)
    assert largest.elements < queries.numel() + patch_graph.SEARCH_BLOCK**2 * 40**2
    assert largest.elements < queries.shape[1] ** 2 * keys.shape[1] ** 2 / 10  # all distances, not to speak of patches


def test_images_of_a_batch_do_not_mix():
    torch.manual_seed(0)
    model = baselines.build("ignn_tiny", "sr2", num_feat=8, num_block=2).eval()
    x = torch.rand(2, 3, 20, 24)
    torch.testing.assert_close(model(x)[1:], model(x[1:]))


def test_an_enlarged_patch_is_found_where_the_image_repeats_itself_at_twice_the_size():
    """A picture and its double side by side: the best neighbour of a patch is its own enlargement."""
    torch.manual_seed(0)
    small = F.interpolate(torch.rand(1, 1, 6, 6), scale_factor=2, mode="nearest")
    canvas = torch.rand(1, 1, 24, 48)
    canvas[..., 6:18, 2:14] = small
    canvas[..., :24, 24:48] = F.interpolate(small, scale_factor=2, mode="nearest")
    keys = F.avg_pool2d(canvas, 2)
    neighbors = find_neighbors(extract_patches(canvas), extract_patches(keys), 2, 1, 30)
    row, column = 3, 1  # the query at pixel (6, 2), the picture's corner
    key_row, key_column = divmod(int(neighbors[0, row, column, 0]), extract_patches(keys).shape[2])
    assert (key_row * 2, key_column * 2) == (0, 12)  # pixel (0, 24) of the image, halved


def test_features_at_the_neighbours_are_as_large_as_the_output():
    image, reduced = images(2, (16, 20))
    neighbors = find_neighbors(extract_patches(image), extract_patches(reduced), 2, 5, 30)
    assert NeighborFeatures(image, neighbors, 2)[4].shape == (1, 4, 32, 40)


def test_few_keys_mean_few_neighbours():
    image, reduced = images(3, (9, 9))
    assert find_neighbors(extract_patches(image), extract_patches(reduced), 3, 5, 30).shape[-1] == 1
    assert baselines.build("ignn_tiny", "sr3")(torch.rand(1, 3, 9, 9)).shape == (1, 3, 27, 27)


def test_images_without_a_single_patch_at_the_coarser_scale_are_refused():
    with raises_naming(ValueError, "ignn", "sr2", 6, [5, 20]):
        baselines.build("ignn_tiny", "sr2")(torch.rand(1, 3, 5, 20))


def test_search_has_no_gradient_and_learned_differences_have():
    model = baselines.build("ignn_tiny", "sr2", num_feat=4, num_block=2)
    neighbors, differences = model.build_graph(torch.rand(1, 3, 16, 16))
    assert not neighbors.requires_grad
    assert differences.requires_grad


@pytest.fixture
def vgg_file(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shapes = {"0.weight": (64, 3, 3, 3), "0.bias": (64,), "2.weight": (64, 64, 3, 3), "2.bias": (64,), "5.bias": (128,)}
    state = {f"features.{key}": torch.randn(shape, generator=generator) * 0.1 for key, shape in shapes.items()}
    torch.save(state, tmp_path / VGG_FILE)
    return tmp_path / VGG_FILE


SMALL = {"num_feat": 8, "num_block": 2}


def test_missing_vgg_weights_are_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    right = ("vgg_weights", "graph_features: encoder")
    with raises_naming(FileNotFoundError, Path(torch.hub.get_dir(), "checkpoints", VGG_FILE), *right):
        baselines.build("ignn", "sr2", **SMALL)
    with raises_naming(FileNotFoundError, tmp_path / "elsewhere.pth", *right):
        baselines.build("ignn", "sr2", **SMALL, vgg_weights=tmp_path / "elsewhere.pth")


def test_another_file_than_vgg19_is_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.pth")
    with raises_naming(ValueError, tmp_path / "other.pth", "features.0.bias", "features.2.weight"):
        baselines.build("ignn", "sr2", **SMALL, vgg_weights=tmp_path / "other.pth")


def test_vgg_features_are_torchvisions_after_the_second_relu(vgg_file, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = Path(torch.hub.get_dir(), "checkpoints", VGG_FILE)
    cached.parent.mkdir(parents=True)
    vgg_file.rename(cached)
    model = baselines.build("ignn", "sr2", **SMALL)
    state = torch.load(cached, weights_only=True)
    reference = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3, padding=1), torch.nn.ReLU()
    )
    reference.load_state_dict({key.removeprefix("features."): v for key, v in state.items() if "5." not in key})
    x = torch.rand(1, 3, 10, 12)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.testing.assert_close(model.vgg(x), reference((x - mean) / std))


def test_vgg_travels_in_the_checkpoint_and_is_not_trained(vgg_file):
    model = baselines.build("ignn", "sr2", **SMALL, vgg_weights=vgg_file)
    assert not any("vgg" in name for name, _ in model.named_parameters())
    again = baselines.build("ignn", "sr2", **SMALL, vgg_weights="from_checkpoint")
    x = torch.rand(1, 3, 12, 12)
    with raises_naming(RuntimeError, "vgg_weights: from_checkpoint"):
        again(x)
    without = {key: value for key, value in model.state_dict().items() if "vgg" not in key}
    again.load_state_dict(without, strict=False)
    with raises_naming(RuntimeError, "vgg_weights: from_checkpoint"):
        again(x)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))
