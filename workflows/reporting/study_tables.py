"""What the scores say, as tables: differences, crossings, what data bought, costs, and the published numbers beside ours."""

from collections.abc import Iterator

import pandas as pd

from workflows.analysis.costs import costs
from workflows.analysis.effects import crossovers, data_limits, differences, gaps, power_laws
from workflows.analysis.means import summarise
from workflows.analysis.published import published
from workflows.analysis.records import MACS, SCORED_ON, labels, percent
from workflows.reporting.markup import Block, Format


def _number(value: float, digits: int = 2, sign: str = "") -> str:
    # Adding 0 after rounding turns −0.0 into 0.0.
    return "–" if pd.isna(value) else f"{round(value, digits) + 0.0:{sign}.{digits}f}".replace("-", "−")


def _probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else _number(value, 3)


def count(value: float) -> str:
    """A large number to three digits, a small one to one decimal."""
    return "–" if pd.isna(value) else f"{value:.1f}" if value < 10 else f"{float(f'{value:.3g}'):,.0f}"


def _interval(low: float, high: float, digits: int = 2) -> str:
    return "–" if pd.isna(low) else f"{_number(low, digits)} to {_number(high, digits)}"


def _each(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (task, dataset), here in table.groupby(SCORED_ON, sort=False):
        yield f"{dataset}, {task}", here


def _block(form: Format, title: str, notes: list[str], header: list[str], rows: list[list[str]]) -> Block:
    escape = form.escape
    return Block(
        escape(title),
        [escape(n) for n in notes],
        [escape(h) for h in header],
        [[escape(cell) for cell in row] for row in rows],
    )


def difference_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format, bootstrap: bool = False) -> list[Block]:
    """Paired differences between all models, at the largest fraction; the CSV has every fraction."""
    found, names = differences(results, runs, bootstrap), labels(runs)
    blocks = []
    for title, here in _each(found):
        largest = here["fraction"].max()
        header = ["model", "minus", "difference in dB", "95 % interval", "p", "p (Holm)", "seeds"]
        rows = []
        for row in here[here["fraction"] == largest].itertuples():
            cells = [
                names[row.model],
                names[row.other],
                _number(row.difference, 3, "+"),
                _interval(row.low, row.high, 3),
            ]
            cells += [_probability(row.p), _probability(row.p_holm), str(row.seeds)]
            rows.append([*cells, _interval(row.bootstrap_low, row.bootstrap_high, 3)] if bootstrap else cells)
        notes = ["PSNR-Y, paired by seed; intervals and p-values are Student's over the seeds."]
        if here["p"].notna().any():
            tests = int(here["p"].notna().sum())
            notes.append(f"p (Holm) is corrected for the {tests} comparisons made here at all fractions.")
        if (here.loc[here["fraction"] == largest, "seeds"] == 1).any():
            notes.append("With one seed there is neither interval nor p-value: the difference may be the seed's.")
        if len(here["fraction"].unique()) > 1:
            notes.append("The other fractions stand in the CSV file.")
        if bootstrap:
            header.append("bootstrap over seeds × images")
            notes.append("The bootstrap also asks what other images of this kind would have given.")
        blocks.append(_block(form, f"{title}, {percent(largest)}", notes, header, rows))
    return blocks


def crossover_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format) -> list[Block]:
    """Where each IPT overtakes each other network."""
    names, blocks = labels(runs), []
    for title, here in _each(crossovers(results, runs)):
        rows = []
        for row in here.itertuples():
            at = "–" if pd.isna(row.fraction) else percent(round(row.fraction, 3))
            interval = "–" if pd.isna(row.low) else f"{percent(round(row.low, 3))} to {percent(round(row.high, 3))}"
            rows.append([names[row.model], names[row.other], row.status, at, interval, str(row.seeds), row.fractions])
        notes = ["Curves are interpolated on the logarithm of the fraction, one a seed."]
        if (here["seeds"] > 1).any():
            notes.append(
                "The interval holds the fractions at which a paired t test over seeds does not tell the two apart; "
                "one that ends at the smallest or largest fraction may go on beyond."
            )
        if (here["seeds"] == 1).any():
            notes.append("One seed has no interval.")
        header = ["model", "overtakes", "answer", "at", "95 % interval", "seeds", "fractions used"]
        blocks.append(_block(form, title, notes, header, rows))
    return blocks


def data_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format) -> list[Block]:
    """What data bought each model, and the power law where the points carry one."""
    names, blocks = labels(runs), []
    laws = power_laws(results, runs)
    for title, here in _each(data_limits(results, runs)):
        rows = []
        for row in here.itertuples():
            cells = [names[row.model], f"{percent(row.smallest)} to {percent(row.largest)}", _number(row.gain, 3, "+")]
            cells += [_interval(row.low, row.high, 3), f"{row.count} {row.over}"]
            cells.append("no" if not row.limiting else "yes" if row.over == "seeds" else "perhaps")
            cells += [f"{count(row.crops_smallest)} to {count(row.crops_largest)}"]
            rows.append([*cells, f"{_number(row.gap_smallest, 2, '+')} to {_number(row.gap_largest, 2, '+')}"])
        header = ["model", "from", "gain in dB", "95 % interval", "over", "data was limiting", "crops an image", "gap"]
        notes = [
            "Data was limiting where the gain is at least 0.05 dB, its interval above 0, and the gap is larger with least data.",
            "Crops an image: how often each image was seen. Gap: held-out over training L1, see the table of both losses.",
        ]
        if (here["over"] == "images").any():
            notes.append(
                "Intervals over images hold for one training each: they say nothing about other seeds, so data was perhaps "
                "limiting at most."
            )
        blocks.append(_block(form, title, notes, header, rows))
        on = (laws["task"] == here["task"].iloc[0]) & (laws["dataset"] == here["dataset"].iloc[0])
        blocks.append(_law_block(form, title, laws[on], names))
    return blocks


def _law_block(form: Format, title: str, laws: pd.DataFrame, names: dict[str, str]) -> Block:
    rows = []
    for law in laws.itertuples():
        cells = [names[law.model], _number(law.limit), _interval(law.limit_low, law.limit_high), _number(law.exponent)]
        cells += [_interval(law.exponent_low, law.exponent_high), _number(law.r2), law.refused or "fitted"]
        rows.append(cells)
    header = ["model", "limit in dB", "95 % interval", "exponent", "95 % interval", "R²", "fit"]
    notes = ["PSNR = limit − loss · (n / largest n)^(−exponent); refused where the points do not carry it."]
    notes.append("One point a seed and size; intervals are the fit's, over points.")
    return _block(form, f"{title}: a saturating power law of the number of images", notes, header, rows)


def gap_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format) -> list[Block]:
    """Training and held-out loss of every model at each fraction."""
    names, rows = labels(runs), []
    found = gaps(runs)
    for row in found.itertuples():
        cells = [names[row.model], percent(row.fraction), _number(row.images, 0), count(row.crops_per_image)]
        cells += [_number(row.training_l1), _number(row.validation_l1), _number(row.gap, 2, "+")]
        rows.append([*cells, _interval(row.gap_low, row.gap_high), str(row.seeds)])
    if not rows:
        return []
    header = ["model", "data", "images", "crops an image", "training L1", "held-out L1", "gap"]
    notes = [
        "L1 on the 0-255 scale after the last step, on fixed crops of a run's own images and of held-out ones. Crops an image: "
        "how often a run took a crop from each of its images.",
        "Gap: held-out L1 less what the training L1 would be on crops as hard as the held-out ones, their difficulty taken from "
        "interpolation. Above zero: what was learned holds for the run's own images more than for others.",
    ]
    if (found["seeds"] == 1).any():
        notes.append("One seed gives no interval.")
    return [_block(form, "All models", notes, [*header, "95 % interval", "seeds"], rows)]


def cost_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format) -> list[Block]:
    """What each model cost, beside what it reached."""
    table, names = costs(summarise(results, runs), runs), labels(runs)
    if table.empty:
        return []
    scored = [column for column in table if column.startswith("psnr_y ")]
    tasks = [column for column in table if column.startswith("patches_")]
    macs = [column for column in table if column.startswith(MACS)]
    header = ["model", "variant", "parameters"]
    header += [f"multiply-adds a pixel of {column.removeprefix(MACS)}" for column in macs] + ["steps", "patches"]
    header += [f"of {column.removeprefix('patches_')}" for column in tasks] + ["hours a run", "runs"]
    header += [column.removeprefix("psnr_y ").replace(" ", ", ") + " in dB" for column in scored]
    rows = []
    for row in table.to_dict("records"):
        whole = ["parameters", *macs, "steps", "patches", *tasks]
        cells = [names[row["model"]], row["variant"], *("–" if pd.isna(row[c]) else f"{row[c]:,.0f}" for c in whole)]
        cells += [_number(row["train_hours"], 3), str(row["runs"]), *(_number(row[column]) for column in scored)]
        rows.append(cells)
    notes = ["Means over a model's runs. PSNR-Y is that of the largest fraction."]
    return [_block(form, "All models", notes, header, rows)]


def published_blocks(results: pd.DataFrame, runs: pd.DataFrame, form: Format) -> list[Block]:
    """Ours beside the published numbers."""
    names, blocks = labels(runs), []
    for title, here in _each(published(results, summarise(results, runs), runs)):
        rows = []
        for row in here.itertuples():
            ours = _number(row.ours) + ("" if pd.isna(row.high) else f" ± {_number(row.high - row.ours)}")
            mine = names.get(row.model, "–") + ("" if pd.isna(row.fraction) else f", {percent(row.fraction)}")
            cells = [row.method, _number(row.published), mine, ours, _number(row.difference, 2, "+")]
            rows.append([*cells, row.source, row.channel, f"{row.gray} ({row.our_gray})"])
        notes = [
            "PSNR in dB. Published networks are of full size and trained on millions of patches an epoch; ours cost what the "
            "table of costs says, so a difference is one of size and training before it is one of method.",
            "Gray: how gray files are scored there, and here in parentheses; Set14 has one.",
        ]
        header = ["method", "published", "ours", "ours in dB", "difference", "source", "channel", "gray"]
        blocks.append(_block(form, title, notes, header, rows))
    return blocks
