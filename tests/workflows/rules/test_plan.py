"""The plan is printed, and what a call made is named, not what an earlier one left."""

from tests.snakemake_call import run_snakemake

CONFIG = {
    "name": "micro",
    "models": [{"name": "edsr", "variant": "edsr_tiny"}],
    "training": {"budget": {"steps": 3}, "batch_size": 4, "patch_size": 24, "accelerator": "cpu"},
    "plan": {"patches_per_second": {"edsr": 10}},
}


def test_the_plan_is_printed_and_a_report_of_an_earlier_call_is_not_named(tmp_path):
    page = tmp_path / "results" / "micro" / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    printed = run_snakemake(tmp_path, CONFIG, "plan")
    assert "# Plan of micro\n" in printed
    assert "| edsr " in printed
    assert "report.html" not in printed
