"""Networks of the user's by config alone: trained and scored by the workflow, and reported, or refused before any job."""

import json

import pandas as pd
import pytest
from safetensors import safe_open

from baselines.own import source_sha256
from tests.helpers import ROOT, raises_naming
from tests.snakemake_call import run_snakemake
from workflows.analysis.computation import write_tables
from workflows.analysis.records import read_results, read_runs
from workflows.config.grid import parse
from workflows.preflight import ConfigError, check
from workflows.reporting.html import write_html

SRCNN = f"{ROOT}/examples/srcnn.py:SRCNN"
RCAN = "basicsr.archs.rcan_arch:RCAN"
SMALL_RCAN = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 16, "num_group": 1, "num_block": 1}
CONFIG = {
    "name": "micro",
    "fractions": [1.0],
    "data": {"count": 14, "size": 96, "validation": 2},
    "models": [
        {"name": "srcnn", "variant": SRCNN, "kwargs": {"match": {"params": 3000}}},
        {"name": "rcan", "variant": RCAN, "kwargs": SMALL_RCAN},
    ],
    "training": {"budget": {"steps": 3}, "batch_size": 4, "patch_size": 24, "accelerator": "cpu"},
    "evaluation": {"sets": ["photos@1"], "references": [], "accelerator": "cpu"},
    "report": {"comparisons": []},
}


def test_they_are_trained_scored_and_reported(tmp_path):
    run_snakemake(tmp_path, CONFIG, "results/micro/results.csv")
    results = tmp_path / "results" / "micro"
    scores = pd.read_csv(results / "results.csv").set_index("model").psnr_y
    assert scores[["srcnn", "rcan"]].between(3, 60).all()
    facts = json.loads((results / "runs" / "srcnn-100-seed-0" / "provenance.json").read_text())
    assert facts["parameters"] == pytest.approx(3000, rel=0.05)
    assert set(facts["training"]["matched"]) == {"num_feat"}
    assert facts["source_sha256"] == source_sha256(SRCNN)
    with safe_open(results / "runs" / "srcnn-100-seed-0" / "model.safetensors", "numpy") as file:
        assert file.metadata()["source_sha256"] == source_sha256(SRCNN)
    write_tables(read_results(results / "results.csv"), read_runs(results / "runs.csv"), results / "tables")
    write_html(results, results / "report.html")
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "srcnn" in report
    assert "rcan" in report


def changed(**model):
    return parse({**CONFIG, "models": [{"name": "mine", **model}]})


def test_the_file_is_part_of_the_digest(tmp_path):
    path = tmp_path / "net.py"
    source = (ROOT / "examples" / "srcnn.py").read_text(encoding="utf-8")
    path.write_text(source, encoding="utf-8")
    (run,) = changed(variant=f"{path}:SRCNN").runs().values()
    before = run.digest
    path.write_text(source + "\n# other code\n", encoding="utf-8")
    assert run.digest != before


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ({"variant": "gone.py:Net"}, ["gone.py"]),
        ({"variant": f"{ROOT}/examples/srcnn.py:SRCN"}, ["'SRCN'", "'SRCNN'"]),
        ({"variant": SRCNN, "kwargs": {"num_feet": 3}}, ["'num_feet'", "num_feat"]),
        ({"variant": RCAN}, ["num_in_ch", "num_out_ch"]),
        ({"variant": RCAN, "kwargs": {**SMALL_RCAN, "upscale": 3}}, ["(2, 3, 72, 72)", "(2, 3, 48, 48)"]),
        ({"variant": "edsr_tny"}, ["'edsr_tny'", "'edsr_tiny'"]),
        ({"variant": "edsr_tiny", "kwargs": {"num_block": "4x"}}, ["num_block='4x'"]),
    ],
)
def test_what_is_wrong_stops_before_any_job(model, named):
    with raises_naming(ConfigError, *named):
        check(changed(**model))
