"""One table in three forms: Markdown, LaTeX, HTML. Text is escaped here and nowhere else, so no label breaks a table."""

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

BEST, SECOND = "best", "second"


@dataclass(frozen=True)
class Span:
    """A single value for all columns of a row."""

    text: str


# A cell is text, or pieces of text each with its mark (`BEST`, `SECOND` or none).
Cell = str | list[tuple[str, str]]


@dataclass(frozen=True)
class Block:
    """One table, not yet escaped.

    Attributes:
        title: its heading or caption.
        notes: what a reader must know, one or two sentences each, with code in backquotes.
        header: of the columns.
        rows: cells; the first is the row's name. A second cell that is a `Span` is the row's last.
    """

    title: str
    notes: list[str]
    header: list[str]
    rows: list[list[Cell | Span]]


@dataclass(frozen=True)
class Format:
    """The markup of a file format."""

    escape: Callable[[str], str]
    code: Callable[[str], str]
    best: str
    second: str

    def note(self, text: str) -> str:
        """A note, its parts in backquotes as code."""
        return "".join((self.code if n % 2 else self.escape)(part) for n, part in enumerate(text.split("`")))

    def cell(self, cell: Cell) -> str:
        """A cell with its marks."""
        if isinstance(cell, str):
            return self.escape(cell)
        forms = {BEST: self.best, SECOND: self.second}
        return "".join(forms.get(mark, "{}").replace("{}", self.escape(text)) for text, mark in cell)


def _one_line(text: str) -> str:
    return re.sub(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]\s*", " ", text)


def _markdown(text: str) -> str:
    # HTML is part of Markdown; a backslash before a mark shows the mark itself.
    return re.sub(r"([\\|*_`\[\]]|<(?! )|&(?=#?\w+;))", r"\\\1", _one_line(text))


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "`": r"\textasciigrave{}",
    },
    **{"–": "--", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "²": "$^2$", "·": r"$\cdot$"},
    **{"λ": r"$\lambda$", "τ": r"$\tau$", "σ": r"$\sigma$", "≥": r"$\geq$", "≤": r"$\leq$", "∞": r"$\infty$"},
    "\u00a0": "~",
}


def _latex(text: str) -> str:
    # At a row's start `*` and `[` would be arguments of the line break before it.
    safe = "{}" if text.startswith(("*", "[")) else ""
    return safe + "".join(_LATEX.get(character, character) for character in _one_line(text))


def _html(text: str) -> str:
    return html.escape(_one_line(text))


MARKDOWN = Format(_markdown, "`{}`".format, best="**{}**", second="<u>{}</u>")
LATEX = Format(_latex, lambda text: rf"\texttt{{{_latex(text)}}}", best=r"\textbf{{}}", second=r"\underline{{}}")
HTML = Format(_html, lambda text: f"<code>{_html(text)}</code>", best="<b>{}</b>", second="<u>{}</u>")


def plain(cell: Cell | Span) -> str:
    """A cell's text without marks."""
    return cell if isinstance(cell, str) else cell.text if isinstance(cell, Span) else "".join(text for text, _ in cell)


def to_markdown(blocks: Iterable[Block], nothing: str = "No run is scored yet.") -> str:
    """Tables for a page; the text `nothing` if there are none."""
    texts = []
    for block in blocks:
        rows = [[MARKDOWN.escape(name) for name in block.header]]
        for row in block.rows:
            cells = [
                MARKDOWN.escape(f"{cell.text} (every column)") if isinstance(cell, Span) else MARKDOWN.cell(cell)
                for cell in row
            ]
            rows.append(cells + [""] * (len(block.header) - len(cells)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join(":" + "-" * (width + 1) for width in widths) + "|")
        notes = "".join(f"- {MARKDOWN.note(note)}\n" for note in block.notes)
        texts.append(f"### {MARKDOWN.escape(block.title)}\n\n" + "\n".join(lines) + f"\n\n{notes}")
    return "\n".join(texts) or f"{nothing}\n"


# Points: a column and the full width of a two-column page, slightly reduced.
COLUMN_POINTS, PAGE_POINTS = 240, 500
# At \footnotesize in a ten-point document: a character's width, and the space between columns.
CHARACTER_POINTS, GAP_POINTS = 4.25, 6
# The first column's largest fraction of the page: longer text becomes a paragraph, which leaves room for numbers.
FIRST = 0.4


def _points(texts: Iterable[str]) -> float:
    return CHARACTER_POINTS * max(map(len, texts)) + GAP_POINTS


def _widths(block: Block) -> list[float]:
    columns: list[list[str]] = [[name] for name in block.header]
    for row in block.rows:
        for number, cell in enumerate(row):
            if not isinstance(cell, Span):
                columns[number].append(plain(cell))
    first, *others = (_points(column) for column in columns)
    return [min(first, FIRST * PAGE_POINTS), *others]


def _slices(widths: list[float]) -> list[range]:
    """Groups of columns of about equal size that fit the page together with the first column."""
    if len(widths) == 1:
        return [range(1, 1)]
    room = PAGE_POINTS - widths[0]
    count = 1
    while True:
        size = -(-(len(widths) - 1) // count)
        parts = [range(start, min(start + size, len(widths))) for start in range(1, len(widths), size)]
        if size == 1 or all(sum(widths[i] for i in part) <= room for part in parts):
            return parts
        count += 1


def _tabular(block: Block, columns: range, widths: list[float]) -> str:
    first = "l" if widths[0] < FIRST * PAGE_POINTS else f"p{{{FIRST}\\textwidth}}"
    spec = f"@{{}}{first}" + "".join("r" if _numeric(block, i) else "l" for i in columns) + "@{}"
    head = " & ".join(LATEX.escape(block.header[i]) for i in (0, *columns))
    lines = [f"\\begin{{tabular}}{{{spec}}}", "\\toprule", f"{head} \\\\", "\\midrule"]
    for row in block.rows:
        if isinstance(row[-1], Span):
            value = f"\\multicolumn{{{len(columns)}}}{{c}}{{{LATEX.escape(row[-1].text)}}}"
            lines.append(f"{LATEX.cell(row[0])} & {value} \\\\")
        else:
            lines.append(" & ".join(LATEX.cell(row[i]) for i in (0, *columns)) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _numeric(block: Block, column: int) -> bool:
    cells = [plain(row[column]) for row in block.rows if len(row) > column and not isinstance(row[column], Span)]
    return all(re.match(r"[-+−–<\d]|missing", cell) for cell in cells)


def to_latex(blocks: Iterable[Block], nothing: str = "No run is scored yet.", name: str = "") -> str:
    r"""Tables for a paper, for `\input`: one column wide if they fit, else as wide as the page.

    A table wider than the page is split into parts below one another.

    Args:
        blocks: the tables.
        nothing: the text if there are none.
        name: prefix of the labels, `tab:<name>-<title>`.
    """
    texts = [r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}"]
    for block in blocks:
        widths = _widths(block)
        parts = _slices(widths)
        kind = "table" if len(parts) == 1 and sum(widths) <= COLUMN_POINTS else "table*"
        title = LATEX.escape(block.title)
        caption = " ".join([f"{title}.", *map(LATEX.note, block.notes)])
        body = "\n\n\\medskip\n".join(_tabular(block, part, widths) for part in parts)
        label = re.sub(r"[^A-Za-z0-9]+", "-", f"{name} {block.title}").strip("-").lower()
        texts.append(
            f"\\begin{{{kind}}}\n\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{{GAP_POINTS / 2:g}pt}}\n"
            f"\\caption{{{caption}}}\n\\label{{tab:{label}}}\n{body}\n\\end{{{kind}}}\n"
        )
    return "\n".join(texts) if len(texts) > 1 else f"{texts[0]}\n% {nothing}\n"


def to_html(blocks: Iterable[Block]) -> str:
    """Tables for the report's page, each in a box that scrolls if it is too wide; empty if there are none."""
    texts = []
    for block in blocks:
        head = "".join(f"<th scope='col'>{HTML.escape(cell)}</th>" for cell in block.header)
        body = "\n".join(_html_row(row, len(block.header)) for row in block.rows)
        notes = "".join(f"<li>{HTML.note(note)}</li>" for note in block.notes)
        title = HTML.escape(block.title)
        texts.append(
            f"<div class='block'><h4>{title}</h4>\n"
            f"<div class='scroll' tabindex='0' role='region' aria-label='{title}'><table><thead><tr>{head}</tr></thead>\n"
            f"<tbody>{body}</tbody></table></div>" + (f"\n<ul class='notes'>{notes}</ul>" if notes else "") + "</div>"
        )
    return "\n".join(texts)


def _html_row(row: list[Cell | Span], columns: int) -> str:
    cells = "".join(
        f"<td colspan='{columns - 1}' class='span'>{HTML.escape(cell.text)}</td>"
        if isinstance(cell, Span)
        else f"<td>{HTML.cell(cell)}</td>"
        for cell in row[1:]
    )
    return f"<tr><th scope='row'>{HTML.cell(row[0])}</th>{cells}</tr>"
