import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from workflows.reporting.markup import BEST, SECOND, Block, Span, plain, to_markdown
from workflows.reporting.numbers import count, interval, number, probability
from workflows.reporting.outline import TABLES
from workflows.reporting.score_tables import ensembled_blocks, summary_blocks
from workflows.reporting.study import Study
from workflows.reporting.study_tables import learning_rates
from workflows.reporting.tables import blocks, write_tables

TWO = {"fractions": (0.2, 1.0)}


@pytest.fixture
def scored(studies):
    """A study whose PSNR is given by model in all its cells: `scored({"ipt": 30.0})`."""

    def make(psnr: dict[str, float], **options) -> Study:
        study = studies(**{**TWO, **options})
        table = study.table("summary").copy()
        table["psnr_y"] = table["model"].map(psnr).fillna(table["psnr_y"])
        study._tables["summary"] = table
        return study

    return make


def row(block: Block, name: str) -> list:
    return next(cells for cells in block.rows if cells[0] == name)


def marks(cell) -> dict[str, str]:
    return {text: mark for text, mark in cell if mark}


def test_best_and_second_of_the_trained_models_are_marked_in_every_column(scored):
    study = scored({"ipt": 30.0, "ipt-contrastive": 30.004, "edsr": 30.5, "rdn": 30.25, "bicubic": 31.0})
    (block,) = summary_blocks(study)
    for column in (1, 2):
        assert marks(row(block, "EDSR")[column])["30.50"] == BEST
        assert marks(row(block, "RDN")[column])["30.25"] == SECOND
        assert plain(row(block, "IPT")[column]).startswith("30.00 / ")
    assert row(block, "bicubic") == ["bicubic", Span(row(block, "bicubic")[1].text)]
    assert row(block, "bicubic")[1].text.startswith("31.00 / ")


def test_equal_printed_numbers_share_their_mark(scored):
    (block,) = summary_blocks(scored({"ipt": 30.501, "edsr": 30.499, "rdn": 30.25, "ipt-contrastive": 29.0}))
    assert marks(row(block, "IPT")[1])["30.50"] == marks(row(block, "EDSR")[1])["30.50"] == BEST
    assert marks(row(block, "RDN")[1])["30.25"] == SECOND


def test_intervals_numbers_of_seeds_and_missing_runs_are_stated(studies):
    (block,) = summary_blocks(studies(**TWO))
    assert "±" not in to_markdown([block])
    (block,) = summary_blocks(
        studies(**TWO, seeds=(0, 1, 2), lost=["rdn-100-seed-1", *(f"ipt-20-seed-{s}" for s in range(3))])
    )
    assert "±" in plain(row(block, "EDSR")[1])
    assert plain(row(block, "RDN")[2]).endswith("(n = 2)")
    assert row(block, "IPT")[1] == "missing"
    missing = [note for note in block.notes if note.startswith("Missing")]
    assert [("IPT" in note, "20 %" in note) for note in missing] == [(True, True), (False, False)]


def test_denoising_shows_rgb_too_and_a_paper_gets_one_table_a_metric(studies):
    study = studies(fractions=(1.0,), tasks=("dn30",))
    (block,) = summary_blocks(study)
    assert plain(row(block, "IPT")[1]).count(" / ") == 2
    apart = summary_blocks(study, apart=True)
    assert [plain(row(block, "IPT")[1]).count(" / ") for block in apart] == [0, 0, 0]
    assert len({block.title for block in apart}) == 3


def test_references_alone_make_a_table(studies):
    models = ("ipt", "ipt-contrastive", "edsr", "rdn")
    study = studies(fractions=(1.0,))
    study._tables["summary"] = study.table("summary")[lambda table: ~table["model"].isin(models)]
    (block,) = summary_blocks(study)
    assert [cells[0] for cells in block.rows] == ["bicubic"]
    assert plain(block.rows[0][1]).startswith("32.82")


def test_ensembled_scores_have_a_table_of_their_own_without_what_nobody_scored(studies):
    study = studies(**TWO)
    summary = study.table("summary")
    study._tables["ensembled"] = summary[summary["model"] == "edsr"].assign(setting="x8", psnr_y=40.0)
    (block,) = ensembled_blocks(study)
    assert block.title == "photos, sr2, x8"
    assert [cells[0] for cells in block.rows] == ["EDSR"]
    assert not any("Missing" in note for note in block.notes)


def test_a_task_that_was_not_trained_says_which_head_restored_it(studies):
    study = studies(**TWO)
    results = study.results.assign(head="sr2")
    results.loc[results["model"] == "bicubic", "head"] = None
    results.loc[results["model"].isin(["ipt", "edsr"]), "head"] = "sr4"
    study.results = results
    (note,) = [note for note in summary_blocks(study)[0].notes if "head for sr4" in note]
    assert [name for name in ("EDSR", "IPT", "RDN", "bicubic") if name in note] == ["EDSR", "IPT"]


def test_scores_by_different_protocols_are_marked(studies):
    study = studies(**TWO)
    assert not any("not comparable" in note for note in summary_blocks(study)[0].notes)
    study.results = study.results.assign(protocol=np.where(study.results["model"] == "edsr", "v2", "v1"))
    assert any("(v1; v2)" in note and "not comparable" in note for note in summary_blocks(study)[0].notes)


@pytest.mark.parametrize("word", ["side-by-side", "bf16"])
def test_a_way_of_scoring_that_others_have_no_choice_of_names_its_models_alone(studies, word):
    study = studies(**TWO)
    ipts = study.results["model"].str.startswith("ipt")
    study.results = study.results.assign(protocol=np.where(ipts, f"v1 {word}", "v1"))
    notes = summary_blocks(study)[0].notes
    assert not any("not comparable" in note for note in notes)
    assert "Protocol v1." in notes
    (ways,) = [note for note in notes if note.startswith("Scored")]
    assert [name for name in ("IPT", "IPT + contrastive", "EDSR", "bicubic") if name in ways] == [
        "IPT",
        "IPT + contrastive",
    ]


def test_one_image_is_singular(studies):
    (block,) = summary_blocks(studies(**TWO, images=["cat"]))
    assert any("over 1 image." in note for note in block.notes)


def test_images_that_a_model_restored_exactly_are_named(studies):
    study = studies(**TWO)
    study._tables["identical"] = pd.DataFrame(
        {"task": ["sr2"], "dataset": ["photos"], "image": ["cat"], "models": ["edsr"]}
    )
    assert any("cat" in note for note in summary_blocks(study)[0].notes)


def test_costs_stand_apart_from_scores(studies):
    study = studies(fractions=(0.2, 1.0), tasks=("sr2", "sr4"), steps=1000)
    block, *_ = blocks("costs", study)
    cells = dict(zip(block.header, row(block, "EDSR"), strict=True))
    assert (cells["steps"], cells["patches"], cells["patches of sr2"], cells["parameters"]) == (
        "1,000",
        "16,000",
        "8,000",
        "207,331",
    )
    assert "steps" not in summary_blocks(study)[0].header


def test_steps_that_differ_between_fractions_are_said(studies):
    study = studies(**TWO)
    same = blocks("costs", study)[0].notes
    study.runs.loc[study.runs["fraction"] == 0.2, "steps"] = 400
    assert blocks("costs", study)[0].notes != same


def test_fixed_patches_have_a_table(studies):
    study = studies(**TWO)
    study.runs = study.runs.assign(distinct_patches=480.0, patch_epochs=12.5, target_values_per_parameter=15.2)
    block = blocks("costs", study)[-1]
    assert row(block, "IPT")[2:] == ["480", "12.5", "15.2"]


def test_the_conventions_of_published_scores_are_stated(studies):
    study = studies(fractions=(1.0,), datasets=("Set14",))
    study._tables["published"] = study.table("published").assign(our_gray="matlab")
    (block,) = blocks("published", study)
    cells = dict(zip(block.header, row(block, "bicubic"), strict=True))
    assert cells["source"] == "EDSR paper"
    assert cells["gray files"] == "matlab (ours: matlab)"


def test_trials_of_learning_rates_say_which_is_best_and_which_is_used():
    table = pd.DataFrame({"model": ["edsr"] * 2, "label": ["EDSR"] * 2, "learning_rate": [0.004, 0.008], "steps": 300})
    table = table.assign(validation_l1_1=[5.5, 6.0], validation_l1_100=[4.6, 4.7], validation_l1=[5.05, 5.35])
    block = learning_rates(table.assign(best=[True, False], edge=[True, False], used=[False, True]))
    assert block.rows == [
        ["EDSR", "0.004", "5.500", "4.600", "5.050", "best, edge"],
        ["EDSR", "0.008", "6.000", "4.700", "5.350", "used"],
    ]


def test_a_rate_that_was_never_tried_and_a_single_trial_seed_are_told():
    table = pd.DataFrame({"label": ["EDSR", "EDSR", "RDN"], "learning_rate": [0.004, 0.008, 0.004], "steps": 300})
    table = table.assign(validation_l1=[5.0, 5.3, 5.1], best=[True, False, True], edge=False, behind=[0.0, 0.3, 0.0])
    bounds = {"behind_low": [0.0, 0.2, 0.0], "behind_high": [0.0, 0.4, 0.0]}
    seeds = learning_rates(table.assign(used=[False, True, True], **bounds)).notes
    one = learning_rates(table.assign(used=[False, True, False], behind_low=np.nan, behind_high=np.nan)).notes
    assert ("trial seeds" in " ".join(seeds), "trial seeds" in " ".join(one)) == (True, False)
    assert (len(seeds), len(one)) == (1, 2)
    assert "RDN" in one[1]
    assert "EDSR" not in one[1]


def test_numbers_are_rounded_honestly():
    assert number(-0.001) == "0.00"
    assert number(-0.126) == "−0.13"
    assert number(0.126, 2, "+") == "+0.13"
    assert probability(0.0004) == "< 0.001"
    assert interval(np.nan, 1) == number(np.nan) == count(np.nan) == "–"
    assert [count(n) for n in (3.14, 1234567)] == ["3.1", "1,230,000"]


def test_every_table_is_written_in_both_forms_the_empty_ones_too(studies, tmp_path):
    write_tables(studies(fractions=(1.0,)), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{form}" for name in TABLES for form in ("md", "tex")}
    assert (tmp_path / "published.md").read_text().count("|") == 0
    assert (tmp_path / "ensembled.tex").read_text().startswith("%")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex: install Debian's texlive-latex-recommended")
def test_latex_compiles_in_two_columns_and_no_table_is_wider_than_its_place(studies, tmp_path):
    study = studies(seeds=(0, 1, 2), fractions=(0.2, 1.0), datasets=("Set5", "B100"), steps=400)
    write_tables(study, tmp_path)
    lines = [
        r"\documentclass[twocolumn,10pt]{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage{booktabs}",
    ]
    lines += [r"\usepackage[textwidth=7.16in,columnsep=0.16in]{geometry}", r"\begin{document}"]
    lines += [rf"\input{{{name}}}\clearpage" for name in TABLES] + [r"\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    labels = re.findall(r"\\label\{(.*?)\}", "".join(path.read_text() for path in tmp_path.glob("*.tex")))
    assert len(labels) == len(set(labels)) > 10


def test_tables_import_neither_torch_nor_drawing():
    code = "import sys, workflows.reporting.__main__, workflows.reporting.tables; "
    code += "print([m for m in ('torch', 'matplotlib', 'seaborn', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
