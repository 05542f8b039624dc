"""Counts that stand in tables, and how far networks see."""

from typing import get_args

import pytest
import torch

import baselines
import ipt_models
from baselines.cost import build_shape, count_macs, count_parameters
from ipt_models.network import Position

PARAMETERS = {
    ("edsr_baseline", "sr2"): 1_369_859,
    ("edsr_baseline", "sr4"): 1_517_571,
    ("edsr", "sr2"): 40_729_603,
    ("edsr", "sr4"): 43_089_923,
    ("rdn_a", "sr2"): 5_541_795,
    ("rdn_b", "sr2"): 22_123_395,
    ("rdn_b", "dn30"): 21_975_683,
    ("ignn", "sr2"): 47_113_501,
    ("ignn", "sr3"): 50_063_901,
    ("ignn", "sr4"): 49_473_821,
    ("swinir_light", "sr2"): 877_752 + 32_400,  # the paper's 878 K leave out the tables of relative position
    ("swinir_light", "sr3"): 885_867 + 32_400,
    ("swinir_light", "sr4"): 897_228 + 32_400,
    ("swinir", "sr2"): 11_752_487,
    ("ipt_base", "sr2"): 115_460_443,
}


@pytest.mark.parametrize(("name", "task"), PARAMETERS)
def test_parameters_are_those_of_the_papers_networks(name, task):
    assert count_parameters(build_shape(name, task)) == PARAMETERS[name, task]


def test_learned_graph_features_cost_no_parameters():
    assert count_parameters(build_shape("ignn", "sr2", graph_features="encoder")) == PARAMETERS["ignn", "sr2"]


def test_multiply_adds_of_edsr_equal_a_count_by_hand():
    pixels, feat, blocks = 48 * 48, 32, 8
    convs = 3 * feat + (2 * blocks + 1) * feat * feat + feat * 4 * feat + 4 * feat * 3
    assert count_macs(build_shape("edsr_tiny", "sr2"), "sr2") == 9 * pixels * convs


def test_multiply_adds_of_rdn_equal_a_count_by_hand():
    pixels, feat, blocks, convs = 48 * 48, 16, 3, 3
    dense = sum(9 * (feat + i * feat) * feat for i in range(convs)) + (feat + convs * feat) * feat
    rest = 9 * (3 * feat + feat * feat + feat * feat + feat * 4 * feat + 4 * feat * 3) + blocks * feat * feat
    assert count_macs(build_shape("rdn_tiny", "sr2"), "sr2") == pixels * (blocks * dense + rest)


def test_multiply_adds_of_ipt_include_its_attention_and_are_scaled_to_48x48():
    tokens, dim = (24 // 3) ** 2, 8 * 9
    projections = 2 * 4 * dim * dim + 4 * dim * dim  # encoder, decoder twice
    layers = 2 * tokens * (projections + 3 * 2 * tokens * dim + 2 * 8 * dim * dim)
    linear = tokens * (dim * dim + 8 * dim * dim)
    head = 24 * 24 * (9 * 3 * 8 + 4 * 25 * 8 * 8)
    tail = 24 * 24 * (9 * 8 * 32 + 4 * 9 * 8 * 3)
    mean_shifts = 24 * 24 * 9 * (1 + 4)
    model = build_shape("ipt_tiny", "sr2", num_feat=8, patch_dim=3, patch_size=24, depth=2)
    assert count_macs(model, "sr2") == 4 * (layers + linear + head + tail + mean_shifts)


@pytest.mark.parametrize(
    ("variant", "kwargs"),
    [
        *((variant, {}) for variant in ipt_models.VARIANTS),
        *(("ipt_tiny", {"position": name}) for name in get_args(Position)),
    ],
)
def test_ipt_s_shapes_without_values_cost_what_the_network_costs(variant, kwargs):
    shape, model = (
        build_shape(variant, "sr2", depth=2, **kwargs),
        ipt_models.build(variant, ("sr2",), depth=2, **kwargs),
    )
    assert next(shape.parameters()).is_meta
    assert count_parameters(shape) == count_parameters(model)
    assert count_macs(shape, "sr2") == count_macs(model, "sr2")


@pytest.mark.parametrize("task", ["sr2", "sr4", "dn30"])
@pytest.mark.parametrize(
    ("name", "kwargs", "size"),
    [
        ("edsr_tiny", {"num_block": 2, "num_feat": 4}, 40),
        ("rdn_tiny", {"num_block": 2, "num_conv": 2, "growth": 4, "num_feat": 4}, 40),
        ("swinir_light", {"embed_dim": 6, "depths": (2,)}, 64),
    ],
)
def test_an_output_pixel_depends_on_its_receptive_field_at_most(name, kwargs, size, task):
    torch.manual_seed(0)
    model = baselines.build(name, task, **kwargs).double().eval()
    radius = model.receptive_field // 2
    widest = 0
    for position in range(size // 2, size // 2 + 8):
        x = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
        for row in {position * model.scale, (position + 1) * model.scale - 1}:
            (gradient,) = torch.autograd.grad(model(x)[0, 0, row, size // 2 * model.scale], x)
            rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero()
            widest = max(widest, position - int(rows.min()), int(rows.max()) - position)
    assert widest <= radius
    assert widest >= radius - 1  # ReLUs may cut a path
