"""Tiles give what the whole image gives."""

import pytest
import torch

import baselines
from baselines import whole_image
from baselines.whole_image import restore
from tests.helpers import raises_naming

NETWORKS = {
    "edsr_tiny": ({"num_block": 3}, (61, 75), 20),
    "rdn_tiny": ({}, (61, 75), 20),
    "swinir_light": ({"embed_dim": 6, "depths": (2,)}, (90, 75), 20),
    "ignn_tiny": ({"num_block": 2, "num_feat": 8, "window": 2}, (141, 75), 65),
}


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4", "dn30"])
@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_equal_the_whole_image(name, task):
    if name == "ignn_tiny" and task == "dn30":
        pytest.skip("IGNN has no scale 1")
    torch.manual_seed(0)
    kwargs, size, tile = NETWORKS[name]
    model = baselines.build(name, task, **kwargs).eval()
    for parameter in model.parameters():
        parameter.data *= 1.3  # lets what is far away count
    x = torch.rand(1, 3, *size)
    whole = restore(model, x, task, tile=0)
    assert (restore(model, x, task, tile=tile) - whole).abs().max() < 1e-5 * max(1, whole.abs().max())


def test_a_margin_of_less_than_half_the_receptive_field_would_show():
    torch.manual_seed(0)
    model = baselines.build("rdn_tiny", "sr2").eval()
    x = torch.rand(1, 3, 61, 75)
    whole = restore(model, x, "sr2", tile=0)
    model.receptive_field = 5
    assert (restore(model, x, "sr2", tile=20) - whole).abs().max() > 1e-4


def test_only_images_above_a_size_are_cut(monkeypatch):
    model = baselines.build("edsr_tiny", "sr2", num_block=1, num_feat=4)
    seen = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    monkeypatch.setattr(whole_image, "WHOLE", 50 * 50)
    monkeypatch.setattr(whole_image, "TILE", 40)
    restore(model, torch.rand(1, 3, 50, 50), "sr2")
    assert seen == [(50, 50)]
    seen.clear()
    restore(model, torch.rand(1, 3, 51, 50), "sr2")
    assert len(seen) == 4
    margin = model.receptive_field // 2
    assert max(height for height, _ in seen) == 40 + margin


def test_a_negative_tile_is_refused():
    with raises_naming(ValueError, "tile", -1):
        restore(baselines.build("rdn_tiny", "sr2"), torch.rand(1, 3, 8, 8), tile=-1)
