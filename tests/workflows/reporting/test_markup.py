import html
import re
import shutil
import subprocess

import pytest

from workflows.reporting.markup import BEST, SECOND, Block, Span, to_html, to_latex, to_markdown

NASTY = 'a>b|c\nd & <i> 50% $x_1^2 {q} ~ # \\ "z" `k` *m* [n] λ=0.1'
BLOCK = Block(
    f"Title {NASTY}",
    [f"note {NASTY}"],
    ["model", f"head {NASTY}"],
    [[NASTY, NASTY], ["b", [("1.00", BEST), (" / ", ""), (NASTY, SECOND)]], ["r", Span(NASTY)]],
)


def test_a_label_of_special_characters_breaks_no_markdown_table():
    text = to_markdown([BLOCK])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert "<i>" not in text.replace("\\<i>", "")
    assert "**1.00** / <u>" in text


def test_a_label_of_special_characters_breaks_no_page():
    text = to_html([BLOCK])
    assert "<i>" not in text
    assert text.count("<tr>") == 4
    cell = re.search(r"<th scope='row'>(.*?)</th>", text)[1]
    assert html.unescape(cell) == NASTY.replace("\n", " ")


def test_every_special_character_of_latex_is_escaped():
    text = to_latex([BLOCK])
    cell = next(line for line in text.splitlines() if line.startswith("a\\textgreater"))
    assert cell.count(" & ") == 1
    assert not re.search(r"(?<!\\)[%#_]", cell)
    for form in (
        r"\textbar{}",
        r"\textless{}i\textgreater{}",
        r"\textbackslash{}",
        r"\textasciicircum{}",
        r"$\lambda$",
    ):
        assert form in cell


def test_a_name_is_no_argument_of_the_line_break_before_it():
    text = to_latex([Block("t", [], ["model"], [["[12] EDSR"], ["*IPT"]])])
    assert "\n{}[12] EDSR" in text
    assert "\n{}*IPT" in text


def test_code_in_notes_is_code_in_every_format():
    block = Block("t", ["With `centre` & `a_b` windows."], ["model"], [["IPT"]])
    assert "- With `centre` & `a_b` windows." in to_markdown([block])
    assert r"With \texttt{centre} \& \texttt{a\_b} windows." in to_latex([block])
    assert "<li>With <code>centre</code> &amp; <code>a_b</code> windows.</li>" in to_html([block])


def wide(columns: int, text: str = "30.12 ± 0.10") -> Block:
    return Block("wide", [], ["model", *(f"c{i}" for i in range(columns))], [["a model", *[text] * columns]])


def test_a_narrow_table_fits_a_column_and_a_wide_one_is_cut_into_parts_of_the_page():
    assert "\\begin{table}\n" in to_latex([wide(2)])
    page = to_latex([wide(6)])
    assert "\\begin{table*}" in page
    assert page.count("\\begin{tabular}") == 1
    parts = to_latex([wide(20)])
    assert parts.count("\\begin{tabular}") == 3
    assert parts.count("\\begin{table*}") == 1
    assert all(f"c{i} " in parts for i in range(20))


def test_a_table_has_a_label_and_a_caption():
    text = to_latex([Block("Set5, sr2", ["A note."], ["a"], [["b"]])])
    assert r"\label{tab:set5-sr2}" in text
    assert r"\caption{Set5, sr2. A note.}" in text
    assert r"\footnotesize" in text


def test_a_value_of_all_columns_is_written_once():
    block = Block("t", [], ["model", "1 %", "2 %"], [["bicubic", Span("33.67")], ["edsr", "34.00", "35.00"]])
    for text in (to_markdown([block]), to_latex([block]), to_html([block])):
        assert text.count("33.67") == 1
    assert r"bicubic & \multicolumn{2}{c}{33.67} \\" in to_latex([block])


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex: install Debian's texlive-latex-recommended")
def test_nasty_tables_compile_in_two_columns_without_overfull_lines(tmp_path):
    (tmp_path / "table.tex").write_text(to_latex([BLOCK, wide(2), wide(6), wide(20)]), encoding="utf-8")
    document = r"""\documentclass[twocolumn,10pt]{article}
\usepackage[T1]{fontenc}\usepackage[textwidth=7.16in,columnsep=0.16in]{geometry}\usepackage{booktabs}
\begin{document}\input{table}\end{document}"""
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    # What is too wide is named in points; a caption of a nasty label may be.
    assert not re.search(r"Overfull \\hbox .* in alignment", done.stdout)


def test_long_names_leave_numbers_their_room():
    long = Block("t", [], ["claim", *"abcde"], [["a long sentence " * 6, *["30.12 ± 0.10"] * 5]])
    text = to_latex([long])
    assert text.count("\\begin{tabular}") == 1
    assert "p{0.4\\textwidth}" in text
