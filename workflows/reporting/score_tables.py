"""The scores as tables: models × fractions for every task and dataset."""

import pandas as pd

from workflows.analysis.means import summarise
from workflows.analysis.records import PLAIN, SCORED_ON, labels, models, percent, references
from workflows.reporting.markup import Block, Format


def blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format, setting: str = PLAIN) -> list[Block]:
    """The summary as one table a task and dataset, of scores by one setting.

    Rows are models, columns fractions with mean PSNR-Y / SSIM (dn: PSNR-Y / PSNR-RGB / SSIM), then costs. Best and
    second are marked in every column and for every metric; equal printed numbers share their mark.
    """
    summary = summarise(results, runs, setting)
    found = []
    for (task, dataset), cells in summary.groupby(SCORED_ON, sort=False):
        here = results[(results["task"] == task) & (results["dataset"] == dataset) & (results["setting"] == setting)]
        if setting != PLAIN:
            # Only what was asked for: nothing is missing where nobody scored.
            scored = cells.groupby("fraction", dropna=False)["seeds"].transform("sum") > 0
            cells = cells[scored & cells["model"].isin(here["model"])]
        found.append(_block(cells, runs, form, setting, [*_heads(here, labels(runs)), *_protocols(here)]))
    return found


def _block(cells: pd.DataFrame, runs: pd.DataFrame, form: Format, setting: str, remarks: list[str]) -> Block:
    task, dataset = cells[["task", "dataset"]].iloc[0]
    metrics = {"psnr_y": 2, **({"psnr_rgb": 2} if task.startswith("dn") else {}), "ssim_y": 4}
    fractions = sorted(cells["fraction"].dropna().unique())
    names = labels(runs)
    untrained = [model for model in references(runs) if model in set(cells["model"])]
    order = [*untrained, *(model for model in models(runs) if model in set(cells["model"]))]

    columns, head = [], []
    most_seeds = int(cells["seeds"].max())
    for fraction in fractions or [None]:
        # What is not trained is the same at every fraction and stands in every column to be compared with.
        there = cells[(cells["fraction"] == fraction) | cells["fraction"].isna()].set_index("model").reindex(order)
        # A column's usual number of seeds stands in its head.
        seeds = int(there.loc[there["fraction"].notna(), "seeds"].max()) if fraction is not None else most_seeds
        columns.append(_column(there, metrics, seeds, form))
        name = "score" if fraction is None else percent(fraction)
        head.append(name if seeds in (0, most_seeds) else f"{name} (n = {seeds})")
    costs = [_cost(cells, order, cost) for cost in ("steps", "patches", "task_patches", "parameters")]

    header = ["model", *head, "steps", "patches", f"patches of {task}", "parameters"]
    rows = [
        [
            form.escape(names[model]),
            *(column[model] for column in columns),
            *(form.escape(cost[model]) for cost in costs),
        ]
        for model in order
    ]
    notes = [form.escape(note) for note in (*_notes(cells, metrics, names), *remarks)]
    title = f"{dataset}, {task}" + ("" if setting == PLAIN else f", {setting}")
    return Block(form.escape(title), notes, [form.escape(text) for text in header], rows)


def _heads(rows: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Which models restored a task that they were not trained on, and by the head for which task."""
    if "head" not in rows:
        return []
    used = rows[["model", "task", "head"]].dropna().drop_duplicates()
    others = used[(used["head"] != "") & (used["head"] != used["task"])]
    return [
        f"Not trained on {task}, restored by the head for {head}: {', '.join(names[model] for model in group['model'])}."
        for (task, head), group in others.groupby(["task", "head"])
    ]


def _protocols(rows: pd.DataFrame) -> list[str]:
    protocols = list(dict.fromkeys(rows["protocol"].dropna())) if "protocol" in rows else []
    if len(protocols) > 1:
        return [f"Rows were scored by different protocols ({'; '.join(protocols)}): they are not comparable."]
    return [f"Protocol {protocol}." for protocol in protocols]


def _column(there: pd.DataFrame, metrics: dict[str, int], usual_seeds: int, form: Format) -> dict[str, str]:
    """The texts of one column by model; a cell with fewer seeds than is usual in it says so."""
    parts = {model: [] for model in there.index}
    for metric, digits in metrics.items():
        rounded = there[metric].round(digits)
        ranking = rounded.dropna().drop_duplicates().sort_values(ascending=False).to_list()
        for model, value in rounded.items():
            if pd.isna(value):
                parts[model].append("–" if there["seeds"].get(model, 0) else None)
                continue
            text = f"{value:.{digits}f}"
            if metric == "psnr_y" and pd.notna(there.loc[model, "psnr_y_high"]):
                half = there.loc[model, "psnr_y_high"] - there.loc[model, "psnr_y"]
                text += f" {form.plus_minus} {half:.{digits}f}"
            rank = ranking.index(value)
            parts[model].append(form.best(text) if rank == 0 else form.second(text) if rank == 1 else text)
    texts = {}
    for model, values in parts.items():
        texts[model] = "missing" if None in values else " / ".join(values)
        seeds = there.loc[model, "seeds"]
        if None not in values and seeds < usual_seeds and pd.notna(there.loc[model, "fraction"]):
            texts[model] += f" (n = {seeds:.0f})"
    return texts


def _cost(cells: pd.DataFrame, order: list[str], cost: str) -> dict[str, str]:
    """A cost by model, as a range where it differs between fractions."""
    texts = {}
    for model in order:
        values = cells.loc[cells["model"] == model, cost].dropna().astype("float64")
        if values.empty:
            texts[model] = "–"
        elif values.min() == values.max():
            texts[model] = f"{values.min():,.0f}"
        else:
            texts[model] = f"{values.min():,.0f}–{values.max():,.0f}"
    return texts


def _notes(cells: pd.DataFrame, metrics: dict[str, int], names: dict[str, str]) -> list[str]:
    first = cells.iloc[0]
    titles = {"psnr_y": "PSNR-Y in dB", "psnr_rgb": "PSNR-RGB in dB", "ssim_y": "SSIM-Y"}
    notes = [
        f"{' / '.join(titles[m] for m in metrics)}, means over {first['images']} images; best bold, second underlined."
    ]
    if first["images"] < first["images_known"]:
        notes.append(
            f"Only {first['images']} of {first['images_known']} images are averaged: those that every scored run has."
        )
    trained = cells[cells["fraction"].notna()]
    seeds = sorted(trained.loc[trained["seeds"] > 0, "seeds"].unique())
    if seeds == [1]:
        notes.append("One seed a cell: there is no interval, and a difference may be the seed's.")
    elif seeds:
        notes.append(f"± is half the 95 % t interval over {seeds[-1]} seeds' means.")
        if seeds[0] < seeds[-1]:
            notes.append("Columns and cells with another number of seeds say n; one seed gives no interval.")
    for cell in trained[trained["seeds"] < trained["seeds_planned"]].itertuples():
        notes.append(
            f"Missing: {names[cell.model]} at {percent(cell.fraction)}, {cell.seeds} of {cell.seeds_planned} seeds."
        )
    steps = trained.groupby("model")["steps"].agg(["min", "max"]).astype("Float64").dropna()
    if len(steps) and (steps["min"] == steps["max"]).all():
        notes.append("Every model trained for the same number of steps at every fraction.")
    elif len(steps):
        notes.append("Steps differ between fractions: columns differ in training as well as in data.")
    return notes


def ensembled_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format) -> list[Block]:
    """As `blocks`, for every setting but the plain one."""
    settings = [setting for setting in dict.fromkeys(results["setting"]) if setting != PLAIN]
    return [block for setting in settings for block in blocks(results, runs, form, setting)]
