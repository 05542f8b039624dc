"""The scores as tables: models x fractions for every task and dataset."""

import pandas as pd

from workflows.analysis.records import PLAIN, PROTOCOL_WORDS, SCORED_ON, models, percent, references
from workflows.reporting.markup import BEST, SECOND, Block, Cell, Span
from workflows.reporting.numbers import NONE, counted
from workflows.reporting.study import Study

METRICS = {"psnr_y": ("PSNR-Y in dB", 2), "psnr_rgb": ("PSNR-RGB in dB", 2), "ssim_y": ("SSIM-Y", 4)}
# What the words of `PROTOCOL_WORDS` mean: networks without windows, and references, have no choice.
WAYS = dict(zip(PROTOCOL_WORDS, ("with windows side by side", "in bfloat16"), strict=True))


def summary_blocks(study: Study, apart: bool = False) -> list[Block]:
    """Mean PSNR-Y / SSIM-Y of every model and fraction, for denoising PSNR-RGB too; one table a task and dataset.

    Best and second are marked in every column and for every metric; equal printed numbers get the same mark. References are
    not trained and have one row each.

    Args:
        study: with the table `summary`.
        apart: one table per metric.
    """
    return _blocks(study, study.table("summary"), PLAIN, apart)


def ensembled_blocks(study: Study, apart: bool = False) -> list[Block]:
    """As `summary_blocks`, for every other setting: averaged windows, self-ensemble."""
    table = study.table("ensembled")
    # Unrequested scores are not missing.
    table = table[table["seeds"] > 0]
    return [
        block
        for setting, rows in table.groupby("setting", sort=False)
        for block in _blocks(study, rows, setting, apart)
    ]


def _blocks(study: Study, table: pd.DataFrame, setting: str, apart: bool) -> list[Block]:
    rendered = []
    for (task, dataset), cells in table.groupby(SCORED_ON, sort=False):
        results = study.results
        rows = results[(results["task"] == task) & (results["dataset"] == dataset) & (results["setting"] == setting)]
        remarks = [*_exact(study, task, dataset), *_heads(rows, study.labels), *_protocols(rows, study.labels)]
        metrics = [metric for metric in METRICS if metric != "psnr_rgb" or task.startswith("dn")]
        for chosen in [[metric] for metric in metrics] if apart else [metrics]:
            rendered.append(_block(cells, chosen, study, setting, remarks, apart))
    return rendered


def _block(
    cells: pd.DataFrame, metrics: list[str], study: Study, setting: str, remarks: list[str], apart: bool
) -> Block:
    task, dataset = cells[["task", "dataset"]].iloc[0]
    scored = set(cells["model"])
    untrained, trained = ([m for m in listed(study.runs) if m in scored] for listed in (references, models))
    fractions = sorted(cells["fraction"].dropna().unique())
    most = int(cells["seeds"].max())
    columns, head = [], []
    for fraction in fractions:
        column = cells[cells["fraction"] == fraction].set_index("model").reindex(trained)
        # The column's header gives its usual number of seeds.
        seeds = int(column["seeds"].max())
        columns.append(_column(column, metrics, seeds))
        head.append(percent(fraction) if seeds in (0, most) else f"{percent(fraction)} (n = {seeds})")
    without = _column(
        cells[cells["fraction"].isna()].set_index("model").reindex(untrained),
        metrics,
        1,
        len(untrained) > 1 and not fractions,
    )
    rows: list[list[Cell | Span]] = [
        [study.labels[model], _span(without[model]) if fractions else without[model]] for model in untrained
    ]
    rows += [[study.labels[model], *(column[model] for column in columns)] for model in trained]
    kind = f": {METRICS[metrics[0]][0]}" if apart else ""
    title = f"{dataset}, {task}" + ("" if setting == PLAIN else f", {setting}") + kind
    notes = [*_notes(cells, metrics, study.labels), *remarks]
    return Block(title, notes, ["model", *(head or ["score"])], rows)


def _span(cell: Cell) -> Span:
    return Span(cell if isinstance(cell, str) else "".join(text for text, _ in cell))


def _column(cells: pd.DataFrame, metrics: list[str], usual_seeds: int, ranked: bool = True) -> dict[str, Cell]:
    """The cells of one column by model; a cell with fewer seeds than most of the column says so."""
    parts: dict[str, list[tuple[str, str]]] = {model: [] for model in cells.index}
    for metric in metrics:
        digits = METRICS[metric][1]
        rounded = cells[metric].round(digits)
        ranking = rounded.dropna().drop_duplicates().sort_values(ascending=False).to_list() if ranked else []
        for model, value in rounded.items():
            if parts[model]:
                parts[model].append((" / ", ""))
            if pd.isna(value):
                parts[model].append((NONE, ""))
                continue
            text = f"{value:.{digits}f}"
            if metric == "psnr_y" and pd.notna(cells.loc[model, "psnr_y_high"]):
                text += f"\u00a0±\u00a0{cells.loc[model, 'psnr_y_high'] - cells.loc[model, 'psnr_y']:.{digits}f}"
            rank = ranking.index(value) if value in ranking else 2
            parts[model].append((text, (BEST, SECOND, "")[min(rank, 2)]))
    cells_by_model: dict[str, Cell] = {}
    for model, pieces in parts.items():
        seeds = cells.loc[model, "seeds"]
        if pd.isna(seeds):
            cells_by_model[model] = NONE  # the grid has no such run
        elif seeds == 0:
            cells_by_model[model] = "missing"
        else:
            fewer = seeds < usual_seeds and pd.notna(cells.loc[model, "fraction"])
            cells_by_model[model] = [*pieces, *[(f" (n = {seeds:.0f})", "")] * bool(fewer)]
    return cells_by_model


def _exact(study: Study, task: str, dataset: str) -> list[str]:
    """The images that are left out of the means because a model restored them exactly."""
    table = study.table("identical")
    images = table.loc[(table["task"] == task) & (table["dataset"] == dataset), "image"]
    return [f"Restored exactly by a model and left out of all means ({len(images)}): {', '.join(images)}."] * bool(
        len(images)
    )


def _heads(rows: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """The models that restored a task that they were not trained on, and the task of the head that they used."""
    if "head" not in rows:
        return []
    used = rows[["model", "task", "head"]].dropna().drop_duplicates()
    others = used[(used["head"] != "") & (used["head"] != used["task"])]
    return [
        f"Not trained on {task}, restored by the head for {head}: {', '.join(names[model] for model in group['model'])}."
        for (task, head), group in others.groupby(["task", "head"])
    ]


def _protocols(rows: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """The protocol, and the models that were scored in a way that others have no choice of."""
    if "protocol" not in rows:
        return []
    words = rows[["model", "protocol"]].dropna().drop_duplicates()
    words["protocol"] = words["protocol"].str.split()
    protocols = dict.fromkeys(" ".join(word for word in of if word not in WAYS) for of in words["protocol"])
    notes = [f"Protocol {protocol}." for protocol in protocols]
    if len(protocols) > 1:
        notes = [f"Rows were scored by different protocols ({'; '.join(protocols)}) and are not comparable."]
    for word, way in WAYS.items():
        models = dict.fromkeys(names[model] for model, of in words.itertuples(index=False) if word in of)
        notes += [f"Scored {way}: {', '.join(models)}."] * bool(models)
    return notes


def _notes(cells: pd.DataFrame, metrics: list[str], names: dict[str, str]) -> list[str]:
    first = cells.iloc[0]
    trained = cells[cells["fraction"].notna()]
    marks = " of the trained models" if len(trained) else ""
    notes = [
        f"{' / '.join(METRICS[m][0] for m in metrics)}: means over {counted(first['images'], 'image')}. "
        f"Best{marks} bold, second underlined."
    ]
    if first["images"] < first["images_known"]:
        notes.append(f"Averaged: {first['images']} of {first['images_known']} images, those that every scored run has.")
    seeds = sorted(trained.loc[trained["seeds"] > 0, "seeds"].unique())
    if seeds == [1]:
        notes.append("One seed per cell: there is no interval, and a difference may be due to the seed.")
    elif seeds:
        notes.append(f"± is half the 95 % t interval over {seeds[-1]} seeds' means.")
        if seeds[0] < seeds[-1]:
            notes.append("Columns and cells with another number of seeds state n; one seed gives no interval.")
    notes += [
        f"Missing: {names[cell.model]} at {percent(cell.fraction)}, {cell.seeds} of {counted(cell.seeds_planned, 'seed')}."
        for cell in trained[trained["seeds"] < trained["seeds_planned"]].itertuples()
    ]
    return notes
