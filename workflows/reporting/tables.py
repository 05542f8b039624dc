"""Every table for readers, from the CSV of the analysis to Markdown and LaTeX."""

from collections.abc import Callable, Iterable
from pathlib import Path

from workflows.files import write_text
from workflows.reporting import claims, score_tables, study_tables
from workflows.reporting.markup import Block, to_latex, to_markdown
from workflows.reporting.outline import TABLES
from workflows.reporting.study import Study

_BLOCKS: dict[str, tuple[Callable[[Study], Iterable[Block]], str]] = {
    # The renderer of each table, and the text if it is empty.
    "claims": (claims.blocks, "Nothing is claimed: no trained model is scored yet."),
    "summary": (score_tables.summary_blocks, "No run is scored yet."),
    "gains": (study_tables.gain_blocks, "No model is scored at two fractions above 0."),
    "data": (study_tables.data_blocks, "No model is scored at two fractions above 0."),
    "crossovers": (
        study_tables.crossover_blocks,
        "No two networks to compare are both scored at two fractions above 0.",
    ),
    "differences": (study_tables.difference_blocks, "No two models are scored at one fraction above 0."),
    "contrastive": (study_tables.contrastive_blocks, "No model is scored both with and without the contrastive loss."),
    "ablations": (study_tables.ablation_blocks, "No two scored models differ in only one factor."),
    "published": (study_tables.published_blocks, "There are no published scores for these sets and tasks."),
    "gaps": (study_tables.gap_blocks, "No run has both losses."),
    "costs": (study_tables.cost_blocks, "Nothing was trained."),
    "ensembled": (score_tables.ensembled_blocks, "Nothing was scored with averaged windows or self-ensemble."),
    "learning_rates": (study_tables.learning_rate_blocks, "No learning rates were tried."),
}


def blocks(name: str, study: Study, apart: bool = False) -> list[Block]:
    """A table's blocks; none if it is empty.

    Args:
        name: one of `TABLES`.
        study: the experiment.
        apart: scores in one table per metric, as papers show them.
    """
    render = _BLOCKS[name][0]
    return list(render(study, apart) if apart and name in ("summary", "ensembled") else render(study))  # ty: ignore[too-many-positional-arguments]


def write_tables(study: Study, folder: Path) -> None:
    """Write `<name>.md` and `<name>.tex` for every table, including empty ones.

    Raises:
        ReportError: if a table of the analysis is missing.
    """
    for name in TABLES:
        nothing = _BLOCKS[name][1]
        write_text(to_markdown(blocks(name, study), nothing), folder / f"{name}.md")
        write_text(to_latex(blocks(name, study, apart=True), nothing, name), folder / f"{name}.tex")
