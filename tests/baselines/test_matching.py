"""Networks by budget."""

import pytest

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
