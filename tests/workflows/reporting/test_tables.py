import shutil
import subprocess
import sys

import pandas as pd
import pytest

from workflows.reporting.markup import LATEX, MARKDOWN, to_latex, to_markdown
from workflows.reporting.score_tables import blocks, ensembled_blocks
from workflows.reporting.study_tables import crossover_blocks, data_blocks, difference_blocks, published_blocks
from workflows.reporting.tables import tables, write_tables


def row(markdown: str, model: str) -> list[str]:
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {model} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_best_is_bold_and_second_underlined_in_every_column(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    for model, psnr in {"ipt": 30.0, "ipt-contrastive": 30.004, "edsr": 30.5, "rdn": 30.25, "bicubic": 29.0}.items():
        results.loc[results["model"] == model, "psnr_y"] = psnr
    text = to_markdown(blocks(results, runs, MARKDOWN))
    for column in (1, 2):
        assert row(text, "EDSR")[column].startswith("**30.50** / ")
        assert row(text, "RDN")[column].startswith("<u>30.25</u> / ")
        assert row(text, "IPT")[column].startswith("30.00 / ")
        assert row(text, "bicubic")[column].startswith("29.00 / ")


def test_equal_printed_numbers_share_their_mark(gathered):
    results, runs = gathered(fractions=(1.0,))
    for model, psnr in {"ipt": 30.501, "edsr": 30.499, "rdn": 30.25, "bicubic": 29.0}.items():
        results.loc[results["model"] == model, "psnr_y"] = psnr
    results = results[results["model"] != "ipt-contrastive"]
    text = to_markdown(blocks(results, runs, MARKDOWN))
    assert row(text, "IPT")[1].startswith("**30.50**")
    assert row(text, "EDSR")[1].startswith("**30.50**")
    assert row(text, "RDN")[1].startswith("<u>30.25</u>")


def test_one_seed_has_no_interval_and_the_table_says_so(gathered):
    text = to_markdown(blocks(*gathered(fractions=(0.2, 1.0)), MARKDOWN))
    assert "±" not in text
    assert "One seed a cell: there is no interval" in text


def test_several_seeds_have_their_interval(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(1.0,), lost=["rdn-100-seed-1"])
    text = to_markdown(blocks(results, runs, MARKDOWN))
    assert "± is half the 95 % t interval over 3 seeds' means." in text
    assert "±" in row(text, "IPT")[1]
    assert row(text, "RDN")[1].endswith("(n = 2)")
    assert "Missing: RDN at 100 %, 2 of 3 seeds." in text


def test_missing_runs_are_missing_and_not_zero(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), lost=["ipt-20-seed-0"])
    text = to_markdown(blocks(results, runs, MARKDOWN))
    assert row(text, "IPT")[1] == "missing"
    assert "Missing: IPT at 20 %, 0 of 1 seeds." in text


def test_costs_stand_beside_the_scores(gathered):
    text = to_markdown(blocks(*gathered(fractions=(0.2, 1.0), tasks=("sr2", "sr4"), steps=1000), MARKDOWN))
    assert row(text, "EDSR")[-4:] == ["1,000", "16,000", "8,000", "207,331"]
    assert row(text, "bicubic")[-4:] == ["–"] * 4


def test_steps_that_differ_between_fractions_are_said(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    assert "same number of steps at every fraction" in to_markdown(blocks(results, runs, MARKDOWN))
    runs.loc[runs["fraction"] == 0.2, "steps"] = 400
    text = to_markdown(blocks(results, runs, MARKDOWN))
    assert "Steps differ between fractions" in text
    assert row(text, "IPT")[-4] == "400–2,000"


def test_denoising_shows_rgb_too(gathered):
    text = to_markdown(blocks(*gathered(fractions=(1.0,), tasks=("dn30",)), MARKDOWN))
    assert "PSNR-Y in dB / PSNR-RGB in dB / SSIM-Y" in text
    assert row(text, "IPT")[1].count(" / ") == 2


def test_names_are_escaped_for_latex(gathered):
    results, runs = gathered(fractions=(0.2,))
    runs.loc[runs["model"] == "ipt", "label"] = "IPT_50% & more"
    assert r"IPT\_50\% \& more &" in to_latex(blocks(results, runs, LATEX))


def test_an_experiment_without_scores_says_so(gathered):
    results, runs = gathered(fractions=(1.0,))
    assert to_markdown(blocks(results.iloc[:0], runs, MARKDOWN)) == "No run is scored yet.\n"


def test_references_alone_make_a_table(gathered):
    results, runs = gathered(fractions=(1.0,))
    text = to_markdown(blocks(results[results["model"] == "bicubic"], runs[runs["model"] == "bicubic"], MARKDOWN))
    assert row(text, "bicubic")[1].startswith("**32.82**")


def test_the_data_are_unrounded_with_their_intervals(gathered):
    results, runs = gathered(seeds=(0, 1), fractions=(1.0,))
    row = tables()["summary"].data(results, runs).set_index("model").loc["ipt"]
    assert row["psnr_y"] == pytest.approx(results[results["model"] == "ipt"]["psnr_y"].mean(), rel=1e-9)
    assert row["psnr_y_low"] < row["psnr_y"] < row["psnr_y_high"]


def test_every_table_is_written_in_both_forms_the_empty_ones_too(gathered, tmp_path):
    write_tables(*gathered(fractions=(1.0,)), tmp_path)
    assert {path.name for path in tmp_path.glob("*.*")} == {
        f"{name}.{form}" for name in tables() for form in ("md", "tex")
    }
    assert "no published numbers" in (tmp_path / "published.md").read_text()
    assert "Nothing was scored with overlap averaging" in (tmp_path / "ensembled.tex").read_text()


def test_ensembled_scores_have_a_table_of_their_own(gathered):
    results, runs = gathered(fractions=(1.0,))
    x8 = results[results["model"] == "edsr"].assign(setting="x8", psnr_y=40.0)
    results = pd.concat([results, x8])
    (block,) = ensembled_blocks(results, runs, MARKDOWN)
    assert block.title == "photos, sr2, x8"
    assert "40.00" in to_markdown([block])
    assert [cells[0] for cells in block.rows] == ["EDSR"]
    assert "Missing" not in " ".join(block.notes)
    assert "40.00" not in to_markdown(blocks(results, runs, MARKDOWN))


def test_a_task_that_was_not_trained_says_which_head_restored_it(gathered):
    results, runs = gathered(fractions=(1.0,))
    assert "Not trained" not in to_markdown(blocks(results, runs, MARKDOWN))
    results = results.assign(task="dn10", head="dn10", psnr_rgb=30.0)
    results.loc[results["model"] == "bicubic", "head"] = None
    results.loc[results["model"].isin(["ipt", "edsr"]), "head"] = "dn30"
    text = to_markdown(blocks(results, runs, MARKDOWN))
    assert "Not trained on dn10, restored by the head for dn30:" in text
    line = next(line for line in text.splitlines() if "Not trained" in line)
    assert [name for name in ("EDSR", "IPT", "RDN", "bicubic") if name in line] == ["EDSR", "IPT"]


def test_scores_by_different_protocols_are_marked(gathered):
    results, runs = gathered(fractions=(1.0,))
    assert "Protocol v1." in to_markdown(blocks(results, runs, MARKDOWN))
    results.loc[results["model"] == "edsr", "protocol"] = "v2"
    assert "different protocols (v1; v2): they are not comparable" in to_markdown(blocks(results, runs, MARKDOWN))


def test_study_tables_say_what_one_seed_does_not_tell(gathered):
    one = gathered(name="one", fractions=(0.2, 1.0))
    assert "neither interval nor p-value" in to_markdown(difference_blocks(*one, MARKDOWN))
    assert "One seed has no interval." in to_markdown(crossover_blocks(*one, MARKDOWN))
    assert "say nothing about other seeds" in to_markdown(data_blocks(*one, MARKDOWN))
    three = gathered(name="three", fractions=(0.2, 1.0), seeds=(0, 1, 2))
    assert "corrected for the 12 comparisons" in to_markdown(difference_blocks(*three, MARKDOWN))
    assert "One seed" not in to_markdown(crossover_blocks(*three, MARKDOWN))


def test_published_rows_state_source_channel_and_gray_convention(gathered):
    results, runs = gathered(fractions=(1.0,), datasets=("Set14",))
    results["protocol"] = "v1 gray=matlab"
    text = to_markdown(published_blocks(results, runs, MARKDOWN))
    bicubic = next(line for line in text.splitlines() if line.startswith("| bicubic"))
    assert "EDSR paper" in bicubic
    assert "matlab (matlab)" in bicubic
    assert "| Y " in bicubic


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex: install texlive-latex-recommended")
def test_latex_compiles(gathered, tmp_path):
    lost = ["ipt-20-seed-0", "ipt-20-seed-1"]
    results, runs = gathered(seeds=(0, 1), fractions=(0.2, 1.0), tasks=("sr2", "dn30"), datasets=("Set5",), lost=lost)
    write_tables(results, runs, tmp_path)
    lines = [
        r"\documentclass{article}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage{booktabs,graphicx}",
        r"\begin{document}",
    ]
    lines += [rf"\input{{{name}}}" for name in tables()] + [r"\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 5000
    assert "Overfull" not in done.stdout


def test_gathering_and_tables_import_neither_torch_nor_matplotlib():
    code = "import sys, workflows.reporting.__main__, workflows.analysis.collect, workflows.reporting.tables; "
    code += "print([m for m in ('torch', 'matplotlib', 'seaborn', 'statsmodels') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_no_probability_is_printed_as_zero(gathered):
    results, runs = gathered(fractions=(1.0,), seeds=(0, 1, 2))
    for model, (psnr, step) in {"ipt": (30.0, 0.01), "edsr": (35.0, 0.03)}.items():
        here = results["model"] == model
        results.loc[here, "psnr_y"] = psnr + step * results.loc[here, "seed"]
    markdown, latex = (to_markdown(difference_blocks(results, runs, form)) for form in (MARKDOWN, LATEX))
    assert "< 0.001" in markdown
    assert "$<$ 0.001" in latex
    assert "| 0.000" not in markdown
