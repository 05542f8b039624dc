"""The two tables that everything is computed from, and what is read off them."""

import pandas as pd
import pytest

from tests.helpers import raises_naming
from workflows.analysis import records
from workflows.analysis.records import parse_run, read_results
from workflows.command_line import InputError
from workflows.config.runs import fraction_label

RUNS = pd.DataFrame(
    {
        "model": ["edsr", "edsr", "ipt", "ipt", "ipt-ft", "bicubic"],
        "fraction": [0.2, 1.0, 0.2, 1.0, 0.2, None],
        "variant": ["edsr_tiny", "edsr_tiny", None, "ipt_tiny", "ipt_tiny", None],
        "label": ["EDSR", "EDSR", None, None, "tuned", None],
        "images": [60, 300, 60, 301, 7, None],
        "pretrained": [None, None, None, None, "ipt-20-seed-0", None],
    }
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ipt-20-seed-0", ("ipt", 0.2, 0)),
        ("ipt-contrastive-0.5-seed-12", ("ipt-contrastive", 0.005, 12)),
        ("edsr-64-100-seed-1", ("edsr-64", 1.0, 1)),
        ("bicubic", ("bicubic", None, None)),
    ],
)
def test_a_run_is_named_by_model_percent_and_seed(name, expected):
    run = parse_run(name)
    assert (run.model, run.fraction, run.seed) == expected


@pytest.mark.parametrize("fraction", [1e-6, 2.5e-5, 0.001, 0.123, 0.57, 1.0])
def test_the_name_that_a_config_gives_reads_back_as_its_fraction(fraction):
    assert parse_run(f"ipt-{fraction_label(fraction)}-seed-3").fraction == pytest.approx(fraction, rel=1e-12)


def test_models_are_told_apart_by_their_variants_in_the_experiments_order():
    assert records.models(RUNS) == ["edsr", "ipt", "ipt-ft"]
    assert records.transformers(RUNS) == ["ipt", "ipt-ft"]
    assert records.references(RUNS) == ["bicubic"]
    assert records.labels(RUNS) == {"edsr": "EDSR", "ipt": "ipt", "ipt-ft": "tuned", "bicubic": "bicubic"}


@pytest.mark.parametrize("fractions", [(1e-5, 1.0), (5e-6, 2e-5), (0.01, 0.5)])
def test_a_span_reads_back_as_its_ends(fractions):
    assert records.ends(records.span(*fractions)) == list(fractions)


def test_networks_are_compared_with_those_of_their_stage():
    tuned = pd.DataFrame(
        {"run": "", "model": ["edsr-ft"], "variant": "edsr_tiny", "fraction": 1.0, "pretrained": "edsr"}
    )
    runs = pd.concat([RUNS, tuned], ignore_index=True)
    assert records.pairs(runs, "centre") == [("ipt", "edsr"), ("ipt-ft", "edsr-ft")]


def test_the_amount_of_data_is_the_first_stages_in_the_finest_unit_that_all_runs_have():
    column, sizes = records.data_size(RUNS)
    assert (column, sizes.to_dict()) == ("images", {0.2: 60, 1.0: 300.5})
    assert records.images_at(RUNS).to_dict() == {0.2: 60, 1.0: 301}
    fixed = RUNS.assign(distinct_patches=RUNS["fraction"] * 3744)
    column, sizes = records.data_size(fixed)
    assert (column, sizes.to_dict()) == ("distinct_patches", {0.2: pytest.approx(748.8), 1.0: 3744})
    partly = fixed.assign(distinct_patches=fixed["distinct_patches"].where(fixed["fraction"] == 1.0))
    assert records.data_size(partly)[0] == "images"
    column, sizes = records.data_size(RUNS.drop(columns="images"))
    assert (column, sizes.to_dict()) == ("fraction", {0.2: 0.2, 1.0: 1.0})


def test_empty_files_and_missing_columns_are_named(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("")
    with raises_naming(InputError, path, *records.RESULT_COLUMNS):
        read_results(path)
    path.write_text(",".join(column for column in records.RESULT_COLUMNS if column not in ("seed", "psnr_y")) + "\n")
    with raises_naming(InputError, path, "seed", "psnr_y") as caught:
        read_results(path)
    assert "ssim_y" not in str(caught.value)
