"""A table once, and its forms: Markdown, LaTeX, HTML."""

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Format:
    """How a kind of file marks text."""

    escape: Callable[[str], str]
    best: Callable[[str], str]
    second: Callable[[str], str]
    plus_minus: str


MARKDOWN = Format(
    escape=lambda text: text.replace("|", "\\|"),
    best=lambda text: f"**{text}**",
    second=lambda text: f"<u>{text}</u>",
    plus_minus="±",
)

_LATEX_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        "–": "--",
        "−": "$-$",
        "×": r"$\times$",
        "±": r"$\pm$",
        "²": "$^2$",
        "·": r"$\cdot$",
        "λ": r"$\lambda$",
        "<": "$<$",
    },
}
LATEX = Format(
    escape=lambda text: "".join(_LATEX_SPECIAL.get(character, character) for character in text),
    best=lambda text: f"\\textbf{{{text}}}",
    second=lambda text: f"\\underline{{{text}}}",
    plus_minus=r"$\pm$",
)

HTML = Format(
    escape=html.escape,
    best=lambda text: f"<b>{text}</b>",
    second=lambda text: f"<u>{text}</u>",
    plus_minus="±",
)


@dataclass(frozen=True)
class Block:
    """One table: its heading, what a reader must know, the header and the rows, all marked up already."""

    title: str
    notes: list[str]
    header: list[str]
    rows: list[list[str]]


def to_markdown(all_blocks: Iterable[Block], nothing: str = "No run is scored yet.") -> str:
    """Tables for a page; `nothing` is said where there is none."""
    texts = []
    for block in all_blocks:
        table = pd.DataFrame(block.rows, columns=block.header)
        body = table.to_markdown(index=False, disable_numparse=True)
        texts.append(f"### {block.title}\n\n{body}\n\n" + "\n".join(f"- {note}" for note in block.notes) + "\n")
    return "\n".join(texts) or f"{nothing}\n"


def to_latex(all_blocks: Iterable[Block], nothing: str = "No run is scored yet.") -> str:
    r"""Tables for a paper, to be read with `\input`; a table wider than the text is scaled down to it."""
    texts = [r"% needs \usepackage{booktabs,graphicx}"]
    for block in all_blocks:
        table = pd.DataFrame(block.rows, columns=block.header)
        body = table.style.hide(axis="index").to_latex(hrules=True, column_format="l" + "r" * (len(block.header) - 1))
        texts.append(
            "\\begin{table*}\n\\centering\n"
            f"\\caption{{{block.title}. {' '.join(block.notes)}}}\n"
            "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"
            f"{body.strip()}}}\n"
            "\\end{table*}\n"
        )
    return "\n".join(texts) if len(texts) > 1 else f"{texts[0]}\n% {nothing}\n"


def to_html(all_blocks: Iterable[Block], nothing: str = "No run is scored yet.") -> str:
    """Tables for the report's page, each in a box that scrolls by itself where it is too wide."""
    texts = []
    for block in all_blocks:
        head = "".join(f"<th scope='col'>{cell}</th>" for cell in block.header)
        body = "\n".join(
            "<tr>" + f"<th scope='row'>{row[0]}</th>" + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>"
            for row in block.rows
        )
        notes = "".join(f"<li>{note}</li>" for note in block.notes)
        texts.append(
            f"<h4>{block.title}</h4>\n<div class='scroll'><table><thead><tr>{head}</tr></thead>\n"
            f"<tbody>{body}</tbody></table></div>" + (f"\n<ul class='notes'>{notes}</ul>" if notes else "")
        )
    return "\n".join(texts) or f"<p>{nothing}</p>"
