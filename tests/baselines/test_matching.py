"""Networks by budget."""

import pytest
import torch

import baselines
from baselines.cost import cost, count_parameters
from baselines.matching import match
from tests.helpers import raises_naming


@pytest.mark.parametrize(
    ("name", "measure", "other"),
    [
        ("edsr_baseline", "params", "ipt_small"),
        ("edsr_baseline", "macs", "ipt_small"),
        ("rdn_a", "params", "ipt_small"),
        ("rdn_tiny", "macs", "ipt_tiny"),
        ("ignn", "params", "ipt_small"),
        ("swinir_light", "params", "ipt_tiny"),
    ],
)
def test_a_network_costs_within_five_percent_of_the_one_it_is_matched_to(name, measure, other):
    arguments = match(name, "sr2", {measure: other})
    assert cost(name, "sr2", measure, **arguments) == pytest.approx(cost(other, "sr2", measure), rel=0.05)


def test_proportions_are_kept_where_numbers_allow():
    assert match("edsr_baseline", "sr2", {"params": 1_369_859})["num_feat"] == 64
    assert match("rdn_b", "sr2", {"params": "rdn_b"}).items() <= baselines.build("rdn_b", "sr2").config.items()
    matched = match("rdn_a", "sr2", {"params": "ipt_small"})
    assert matched["num_feat"] == 2 * matched["growth"]


TRANSFORMER = """
from torch import nn

class Net(nn.Module):
    def __init__(self, {width}=48, depths=(2, 2), num_heads={heads}):
        super().__init__()
        heads = num_heads if isinstance(num_heads, (list, tuple)) else [num_heads] * len(depths)
        self.first, self.last = nn.Conv2d(3, {width}, 1), nn.Conv2d({width}, 3, 1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer({width}, n, 2 * {width}, batch_first=True)
            for n, depth in zip(heads, depths, strict=True)
            for _ in range(depth)
        )

    def forward(self, x):
        t = self.first(x)
        for layer in self.layers:
            t = layer(t.flatten(2).mT).mT.view_as(t)
        return self.last(t)
"""


@pytest.mark.parametrize("heads", [6, (6, 6)])
@pytest.mark.parametrize("width", ["embed_dim", "tokens"])
def test_attention_heads_divide_the_width_that_is_found(tmp_path, heads, width):
    (tmp_path / "net.py").write_text(TRANSFORMER.format(heads=heads, width=width))
    budget = {"params": 60_000} | ({} if width == "embed_dim" else {"width": width, "depth": "depths"})
    model = baselines.build(
        f"{tmp_path}/net.py:Net", "dn30", match=budget, **({} if width == "embed_dim" else {width: 48})
    )
    assert model.config[width] % 6 == 0
    assert count_parameters(model) == pytest.approx(60_000, rel=0.05)
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


PICKY = """
from torch import nn

class Net(nn.Module):
    def __init__(self, dim=12, step=4):
        super().__init__()
        if {where} == "built" and dim % step:
            raise ValueError("no such width")
        self.step, self.first, self.last = step, nn.Conv2d(3, dim, 3, padding=1), nn.Conv2d(dim, 3, 3, padding=1)

    def forward(self, x):
        y = self.first(x)
        return self.last(y.unflatten(1, (-1, self.step)).flatten(1, 2))
"""


@pytest.mark.parametrize("where", ["built", "run"])
@pytest.mark.parametrize("measure", ["params", "macs"])
def test_widths_that_a_class_refuses_are_left_out(tmp_path, where, measure):
    (tmp_path / "net.py").write_text(PICKY.format(where=repr(where)))
    name, target = f"{tmp_path}/net.py:Net", cost("edsr_tiny", "dn30", measure)
    arguments = match(name, "dn30", {measure: "edsr_tiny"})
    assert arguments["dim"] % 4 == 0
    assert cost(name, "dn30", measure, **arguments) == pytest.approx(target, rel=0.05)
    with raises_naming(ValueError, "match", "'dim'", name, "width", "kwargs"):
        match(name, "dn30", {measure: "edsr_tiny"}, {"step": 1009})


def test_given_attention_heads_divide_the_width_of_swinir():
    arguments = match("swinir_light", "sr2", {"params": 500_000}, {"num_heads": 8})
    assert arguments["embed_dim"] % 8 == 0
    assert cost("swinir_light", "sr2", "params", **arguments) == pytest.approx(500_000, rel=0.05)


def test_build_takes_a_budget_and_says_what_it_chose():
    model = baselines.build("rdn_tiny", "sr3", match={"params": 100_000}, gradient_checkpointing=True)
    assert count_parameters(model) == pytest.approx(100_000, rel=0.05)
    assert model.gradient_checkpointing
    assert "match" not in model.config
    assert count_parameters(baselines.build("rdn_tiny", "sr3", **model.config)) == count_parameters(model)


@pytest.mark.parametrize(
    ("name", "budget", "named"),
    [
        ("bicubic", {"params": 1000}, ["match", "'bicubic'"]),
        ("rdn_tiny", {"params": "ipt_smal"}, ["match", "'ipt_smal'", "'ipt_small'", "rdn_tiny"]),
        ("rdn_tiny", {"flops": 3}, ["match", "flops", "params", "macs"]),
        ("rdn_tiny", {"params": 3, "macs": 3}, ["match", {"params": 3, "macs": 3}]),
        ("rdn_tiny", {"params": 30}, ["match", "rdn_tiny", "5 %", "30 params", "sr2"]),
    ],
)
def test_impossible_budgets_are_refused(name, budget, named):
    with raises_naming(ValueError, *named):
        match(name, "sr2", budget)
