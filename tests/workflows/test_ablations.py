"""Each ablation is a config that runs alone, and all share what they have in common."""

from pathlib import Path

import pytest

from workflows import preflight
from workflows.config import grid
from workflows.config.experiment import Experiment

ABLATIONS = Path(__file__).parents[2] / "config" / "ablations"
RUNS = {  # models × fractions × seeds
    "contrastive": 2 * 2 * 3,
    "data-fraction": 3 * 3 * 3 + 3 * 4 * 3,  # and, fine-tuned, one fraction more: 0
    "epochs": 4 * 3 * 3,
    "fine-tuning": 2 * 3 * 2,
    "formulation": 3 * 3,
    "lambda": 5 * 3,
    "multi-task": 3 * 3,
    "noise": 3 * 3,
    "patches": 4 * 3 * 3,
    "position": 5 * 3,
    "precision": 4 * 3,
    "size": 5 * 3,
    "temperature": 4 * 3,
}


def read(name: str) -> Experiment:
    experiment = grid.read(ABLATIONS / f"{name}.yaml")
    preflight.check(experiment)
    return experiment


def test_every_ablation_is_listed_here():
    assert sorted(path.stem for path in ABLATIONS.glob("*.yaml")) == sorted(RUNS)


@pytest.mark.parametrize(("name", "count"), RUNS.items())
def test_ablation_is_valid_and_has_its_number_of_runs(name, count):
    found = read(name)
    assert len(found.runs()) == count
    assert found.folder == Path("results") / (f"{name}-fixed" if name == "patches" else name)


def test_ablations_draw_from_the_same_images_and_share_the_network_that_they_vary():
    counts = {name: count for name, count in RUNS.items() if name != "patches"}  # its patches are fixed
    experiments = {name: read(name) for name in counts}
    assert len({found.data for found in experiments.values()}) == 1
    digests = [{run.digest for run in found.runs().values()} for found in experiments.values()]
    assert sum(map(len, digests)) == sum(counts.values())
    shared = {name for name, mine in zip(counts, digests, strict=True) if "ipt-100-seed-0" in experiments[name].runs()}
    assert shared == set(counts) - {"noise", "precision", "temperature"}
    plain = {name: experiments[name].runs()["ipt-100-seed-0"] for name in shared}
    slower = {name for name, run in plain.items() if run.training.learning_rate == 0.006}
    assert slower == {"size", "multi-task", "fine-tuning"}
    assert len({run.digest for run in plain.values()}) == 2
    # Each has three seeds. Trained once and not as often as they stand: plain IPT at 100 % (6, and 3 at the lower rate) and at
    # 20 % (3), its contrastive model (4), IPT of six tasks (2). Equal epochs are equal steps at 100 %, which their digests do
    # not say.
    assert len(set().union(*digests)) == sum(counts.values()) - 3 * (5 + 2 + 2 + 3 + 1)


def test_each_varies_what_it_is_called_after():
    def values(name, pick):
        return [pick(run) for run in read(name).runs().values() if (run.fraction, run.seed) == (1, 0)]

    assert values("lambda", lambda run: run.contrastive.weight if run.contrastive else 0) == [0, 0.05, 0.1, 0.2, 0.5]
    positions = ["learned", "none", "learned_every_layer", "sincos2d", "relative"]
    assert values("position", lambda run: run.kwargs.get("position", "learned")) == positions
    assert values("formulation", lambda run: run.contrastive and run.contrastive.formulation) == [
        None,
        "supcon",
        "paper",
    ]
    assert [len(tasks) for tasks in values("multi-task", lambda run: run.tasks)] == [1, 6, 6]
    scored = read("noise")
    assert set(scored.scored_tasks) - set(scored.trained_tasks) == {"dn10", "dn70"}
