import json

import pytest

from tests.helpers import gather
from workflows.analysis.computation import Tables


@pytest.fixture
def ablated(experiment, tmp_path):
    """λ of 0, 0.1 and 0.5, and another position encoding, beside an EDSR."""
    models = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.1), "l5": ("ipt_tiny", 0.5, 0.5, 0.1), "l1": ("ipt_tiny", 0.1, 0.9, 0.1)}
    models |= {"sincos": ("ipt_tiny", 0.0, 0.7, 0.1), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}
    folder, names = experiment(seeds=(0, 1), fractions=(0.2, 1.0), models=models, noise=0.01)
    for path in folder.glob("runs/sincos-*/provenance.json"):
        provenance = json.loads(path.read_text())
        provenance["config"]["kwargs"] = {"position": "sincos2d"}
        path.write_text(json.dumps(provenance))
    return gather(folder, names)


def test_groups_differ_in_one_factor_alone(ablated):
    found = Tables(*ablated)["ablations"].groupby(["factor", "baseline"])
    assert {group: dict(zip(of["model"], of["value"], strict=True)) for group, of in found} == {
        ("contrastive.weight", "ipt"): {"ipt": "0", "l1": "0.1", "l5": "0.5"},
        ("kwargs.position", "ipt"): {"ipt": "default", "sincos": "sincos2d"},
    }


def test_effects_are_the_differences_from_the_baseline(ablated):
    results, runs = ablated
    tables = Tables(results, runs)
    found = tables["ablations"].set_index("model")
    of = results[results["fraction"] == 1.0].groupby(["model", "seed"])["psnr_y"].mean()
    assert found.loc["l5", "effect"] == pytest.approx((of["l5"] - of["ipt"]).mean())
    assert (found.loc["l5", "over"], found.loc["l5", "count"], found.loc["l5", "fraction"]) == ("seeds", 2, 1.0)
    assert "edsr" not in found.index
    tests = tables["differences"].query("fraction == 1 and other == 'ipt'").set_index("model")
    columns = ["low", "high", "p", "test"]
    assert found.loc[["l1", "l5", "sincos"], columns].equals(tests.loc[["l1", "l5", "sincos"], columns])
    assert found["test"].dropna().to_dict() == {"l1": "paired", "l5": "paired", "sincos": "unpaired"}


def test_an_effect_of_one_seed_has_an_interval_over_images(ablated):
    results, runs = ablated
    results = results[(results["seed"] == 0) | (results["model"] != "l5")]
    found = Tables(results, runs)["ablations"].set_index("model").loc["l5"]
    by_image = results[(results["fraction"] == 1.0) & (results["seed"] == 0)].pivot_table("psnr_y", "image", "model")
    assert (found["over"], found["count"]) == ("images", len(by_image))
    assert found["low"] < found["effect"] < found["high"]
