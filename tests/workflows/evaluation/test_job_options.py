"""What each job of an experiment is scored on, and how."""

import pytest

from workflows.config import grid
from workflows.evaluation.job_options import JobOptions

CONFIG = {
    "name": "options",
    "seeds": [0, 1],
    "fractions": [0.5, 1.0],
    "tasks": ["sr2", "dn30"],
    "training": {"patch_size": 24},
    "models": [
        {"name": "ipt", "variant": "ipt_tiny"},
        {"name": "edsr", "variant": "edsr_tiny", "tasks": ["sr2"]},
    ],
    "evaluation": {
        "references": ["bicubic", "identity"],
        "sets": ["Set5", "CBSD68", "Rain100L"],
        "ensembles": ["x8"],
        "threads": 3,
        "gray": "matlab",
        "methods": [
            {"name": "swinir", "restored": "out", "training_data": "DIV2K", "tasks": ["sr2"], "sets": ["Set5"]}
        ],
    },
    "report": {"comparisons": [{"dataset": "Set5", "image": "bird", "task": "sr2"}]},
}


@pytest.fixture
def options():
    return JobOptions(grid.parse(CONFIG))


def test_each_job_gets_the_tasks_that_it_restores_and_the_sets_of_their_kind(options):
    assert options.scope("ipt-50-seed-0") == ["--tasks", "sr2", "dn30", "--sets", "Set5", "CBSD68"]
    assert options.scope("edsr-50-seed-0") == ["--tasks", "sr2", "--sets", "Set5"]
    assert options.scope("bicubic") == ["--tasks", "sr2", "--sets", "Set5"]
    assert options.scope("swinir") == ["--tasks", "sr2", "--sets", "Set5"]
    assert options.scope() == options.scope("ipt-50-seed-0")


def test_the_protocol_comes_from_the_config(options):
    assert options.protocol[:2] == ["--gray", "matlab"]
    assert options.protocol[-4:] == ["--threads", 3, "--experiment", "options"]


def test_every_ipt_is_scored_by_averaged_windows_and_the_largest_fraction_by_self_ensemble(options):
    ensembles = options.experiment.ensembles()
    assert ensembles["ipt-50-seed-0"] == ["averaged"]
    assert ensembles["ipt-100-seed-1"] == ["averaged", "x8"]
    assert ensembles["edsr-50-seed-0"] == []
    assert ensembles["edsr-100-seed-0"] == ["x8"]
    assert options.ensemble("ipt-50-seed-0", "averaged") == ["--windows", "averaged"]
    assert options.ensemble("edsr-100-seed-0", "x8") == ["--self-ensemble"]


def test_scores_of_networks_are_kept_and_those_of_given_images_are_not(options):
    assert options.kept("ipt-50-seed-0") == ["--keep", "results/options/scored/ipt-50-seed-0/metrics"]
    assert options.kept("ipt-50-seed-0", "metrics-averaged")[1].endswith("/metrics-averaged")
    assert options.kept("swinir") == []


def test_windows_side_by_side_are_an_option_of_ipt_alone():
    scoring = {**CONFIG["evaluation"], "windows": "side-by-side"}
    options = JobOptions(grid.parse(CONFIG | {"evaluation": scoring}))
    assert options.windows("ipt-50-seed-0") == ["--windows", "side-by-side"]
    assert options.windows("edsr-50-seed-0") == []
    assert options.ensemble("ipt-100-seed-0", "x8") == ["--self-ensemble", "--windows", "side-by-side"]


def test_outputs_are_saved_for_the_pictures_of_the_report(options):
    assert options.compared == ["ipt-100-seed-0", "edsr-100-seed-0"]
    folder = "results/options/runs/ipt-100-seed-0/images"
    assert options.saved_images("ipt-100-seed-0") == ["--save-images", folder, "--images", "bird"]
    assert options.saved_images("identity") == []
    other = [
        {"dataset": "CBSD68", "image": "101085", "task": "dn30"},
        {"dataset": "Set14", "image": "a", "task": "sr2"},
    ]
    config = CONFIG | {"report": {"comparisons": CONFIG["report"]["comparisons"] + other}}
    config["evaluation"] = {**CONFIG["evaluation"], "sets": [*CONFIG["evaluation"]["sets"], "Set14"]}
    options = JobOptions(grid.parse(config))
    assert options.saved_images("swinir")[-2:] == ["--images", "bird"], "it is scored on Set5 alone"
    assert options.saved_images("ipt-100-seed-0")[-4:] == ["--images", "101085", "a", "bird"]
