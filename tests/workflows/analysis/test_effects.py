import json

import numpy as np
import pandas as pd
import pytest

from workflows.analysis.ablations import effects, find_groups
from workflows.analysis.costs import costs
from workflows.analysis.effects import crossovers, data_limits, differences, gaps, power_laws
from workflows.analysis.means import summarise
from workflows.analysis.published import published
from workflows.analysis.records import ReportError
from workflows.analysis.statistics import ALREADY, NONE, OVERTAKES, paired_difference

CROSSING = {
    # At a fifth of the data IPT is 0.2 dB behind EDSR, at all of it 0.2 dB ahead.
    "ipt": ("ipt_tiny", 0.0, 1.0, 0.5),
    "edsr": ("edsr_tiny", 0.0, 0.8, 0.1),
    "rdn": ("rdn_tiny", 0.0, 0.2, 0.1),
}


def test_differences_are_paired_by_the_seeds_that_both_have(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), lost=["rdn-20-seed-1"])
    found = differences(results, runs)
    row = found.query("model == 'rdn' and other == 'edsr' and fraction == 0.2").iloc[0]
    means = results[results["fraction"] == 0.2].groupby(["model", "seed"])["psnr_y"].mean()
    expected = paired_difference(means["rdn"][[0, 2]], means["edsr"][[0, 2]])
    assert (row["difference"], row["low"], row["p"]) == pytest.approx((expected.mean, expected.low, expected.p))
    assert row["seeds"] == 2
    assert len(found) == 2 * 6


def test_p_values_are_corrected_within_a_set(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), datasets=("Set5", "B100"))
    found = differences(results, runs)
    for _, here in found.groupby("dataset"):
        assert here["p_holm"].min() == pytest.approx(min(1, len(here) * here["p"].min()))
    assert (found["p_holm"] >= found["p"]).all()


def test_with_one_seed_there_is_no_p_value(gathered):
    found = differences(*gathered(fractions=(1.0,)))
    assert found[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert found["difference"].notna().all()


def test_a_bootstrap_is_refused_by_name_or_given_from_eight_seeds_on(gathered):
    with pytest.raises(ReportError, match="needs 8 seeds; ipt-contrastive and ipt have 2 in common"):
        differences(*gathered(name="few", seeds=(0, 1), fractions=(1.0,)), bootstrap=True)
    models = {name: CROSSING[name] for name in ("ipt", "edsr")}
    found = differences(*gathered(seeds=range(8), fractions=(1.0,), models=models), bootstrap=True).iloc[0]
    assert found["bootstrap_low"] < found["difference"] < found["bootstrap_high"]


def test_the_crossing_of_two_models_lies_where_it_was_put(gathered):
    results, runs = gathered(seeds=(0, 1, 2, 3), models=CROSSING, noise=0.005)
    found = crossovers(results, runs).set_index("other")
    assert list(found["model"].unique()) == ["ipt"]
    # 1.0 - 0.5 x = 0.8 - 0.1 x at x = 0.5 of the way from 100 % to 20 % on the logarithm: at the root of 0.2.
    assert found.loc["edsr", "status"] == OVERTAKES
    assert found.loc["edsr", "fraction"] == pytest.approx(np.sqrt(0.2), rel=0.1)
    assert found.loc["edsr", "low"] < np.sqrt(0.2) < found.loc["edsr", "high"]
    assert found.loc["rdn", "status"] == ALREADY


def test_fractions_with_more_seeds_carry_the_interval(gathered):
    lost = [f"{model}-{percent}-seed-{seed}" for model in CROSSING for percent in (40, 80) for seed in (1, 2)]
    results, runs = gathered(seeds=(0, 1, 2), models=CROSSING, lost=lost)
    found = crossovers(results, runs).iloc[0]
    assert found["seeds"] == 3
    assert found["fractions"] == "20% 60% 100%"


def test_no_data_at_all_is_left_out_of_the_logarithm(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), models=CROSSING)
    none = results["fraction"] == 0.2
    extra = results[none].assign(fraction=0.0)
    found = crossovers(pd.concat([results, extra]), runs)
    assert set(found["fractions"]) == {"20% 100%"}


def test_networks_that_gain_nothing_from_data_are_not_limited_by_it(gathered):
    flat = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.0), "edsr": ("edsr_tiny", 0.0, 0.8, 0.6)}
    found = data_limits(*gathered(seeds=(0, 1, 2), models=flat, noise=0.005)).set_index("model")
    assert not found.loc["ipt", "limiting"]
    assert found.loc["edsr", "limiting"]
    assert found.loc["edsr", "low"] > 0.4
    assert set(found["over"]) == {"seeds"}
    assert found.loc["edsr", "gap_smallest"] > found.loc["edsr", "gap_largest"]
    assert found.loc["edsr", "crops_smallest"] == pytest.approx(2000 * 16 / 60, rel=1e-5)


def test_a_gain_without_a_gap_is_no_sign_that_data_was_limiting(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), models=CROSSING, noise=0.005)
    assert data_limits(results, runs).set_index("model").loc["ipt", "limiting"]
    assert not data_limits(results, runs.assign(gap=runs["fraction"]))["limiting"].any()


def test_gaps_stand_at_every_fraction_with_the_seeds_that_have_them(gathered):
    _, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), models=CROSSING)
    runs.loc[runs["run"].isin(["rdn-20-seed-1", "rdn-20-seed-2"]), "gap"] = None
    found = gaps(runs).set_index(["model", "fraction"])
    mine = runs[(runs["model"] == "ipt") & (runs["fraction"] == 0.2)]["gap"]
    assert found.loc[("ipt", 0.2), "gap"] == pytest.approx(mine.mean())
    assert found.loc[("ipt", 0.2), "gap_low"] < mine.mean() < found.loc[("ipt", 0.2), "gap_high"]
    assert found.loc[("rdn", 0.2), "seeds"] == 1
    assert np.isnan(found.loc[("rdn", 0.2), "gap_low"])


def test_power_laws_say_why_there_is_none(gathered):
    found = power_laws(*gathered(fractions=(0.2, 1.0), models=CROSSING))
    assert found["refused"].str.contains("2 sizes").all()


def test_published_numbers_stand_beside_ours_of_the_same_kind(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), datasets=("Set5", "photos"))
    found = published(results, summarise(results, runs), runs)
    assert set(found["dataset"]) == {"Set5"}
    row = found[(found["model"] == "edsr") & (found["method"] == "EDSR")].iloc[0]
    ours = results.query("model == 'edsr' and fraction == 1.0 and dataset == 'Set5'")["psnr_y"].mean()
    assert (row["published"], row["ours"]) == pytest.approx((38.11, ours))
    assert row["difference"] == pytest.approx(ours - 38.11)
    assert found.loc[found["method"] == "RCAN", "ours"].isna().all()
    assert found.loc[found["method"] == "IPT", "model"].unique().tolist() == ["ipt", "ipt-contrastive"]
    assert set(found.loc[found["method"] == "bicubic", "gray"]) == {"matlab"}
    assert found[["source", "channel", "gray"]].notna().all(axis=None)


def test_costs_are_means_over_runs(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), tasks=("sr2", "sr4"), steps=1000)
    found = costs(summarise(results, runs), runs).set_index("model")
    assert found.loc["edsr", ["parameters", "patches", "patches_sr4", "runs"]].tolist() == [207_331, 16_000, 8_000, 2]
    assert found.loc["edsr", "train_hours"] == pytest.approx(1000 * 0.04 / 3600, rel=1e-5)


@pytest.fixture
def ablated(experiment, tmp_path):
    """λ of 0, 0.1 and 0.5, and another position encoding, beside an EDSR."""
    from tests.helpers import gather

    models = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.1), "l5": ("ipt_tiny", 0.5, 0.5, 0.1), "l1": ("ipt_tiny", 0.1, 0.9, 0.1)}
    models |= {"sincos": ("ipt_tiny", 0.0, 0.7, 0.1), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}
    folder, names = experiment(seeds=(0, 1), fractions=(0.2, 1.0), models=models, noise=0.01)
    for path in folder.glob("runs/sincos-*/provenance.json"):
        provenance = json.loads(path.read_text())
        provenance["config"]["kwargs"] = {"position": "sincos2d"}
        path.write_text(json.dumps(provenance))
    return gather(folder, names)


def test_groups_differ_in_one_setting_alone(ablated):
    _, runs = ablated
    groups = {group.factor: group.members for group in find_groups(runs)}
    assert groups == {
        "contrastive.weight": {"ipt": 0, "l1": 0.1, "l5": 0.5},
        "kwargs.position": {"ipt": "default", "sincos": "sincos2d"},
    }


def test_effects_are_paired_differences_from_the_baseline(ablated):
    results, runs = ablated
    found = effects(results, runs).set_index("model")
    of = results[results["fraction"] == 1.0].groupby(["model", "seed"])["psnr_y"].mean()
    assert found.loc["l5", "effect"] == pytest.approx((of["l5"] - of["ipt"]).mean())
    assert (found.loc["l5", "over"], found.loc["l5", "count"], found.loc["l5", "fraction"]) == ("seeds", 2, 1.0)
    assert "edsr" not in found.index


def test_none_in_the_range_is_an_answer(gathered):
    behind = {"ipt": ("ipt_tiny", 0.0, 0.4, 0.3), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}
    found = crossovers(*gathered(seeds=(0, 1, 2), models=behind, noise=0.01)).iloc[0]
    assert found["status"] == NONE
    assert np.isnan(found["fraction"])
