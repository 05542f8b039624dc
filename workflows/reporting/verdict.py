"""The answer in three sentences: where the transformer overtakes, whether the contrastive loss helps, how sure we are.

Every number is computed from the tables, and every claim is hedged by its interval: without one nothing is claimed.
"""

from dataclasses import dataclass

import pandas as pd

from workflows.analysis.contrastive_pairs import gains
from workflows.analysis.effects import (
    crossovers,
    curves,
    data_limits,
    differences,
)
from workflows.analysis.means import summarise
from workflows.analysis.published import published
from workflows.analysis.records import labels, models, percent, rivals, transformers
from workflows.analysis.statistics import ALREADY, NONE, OVERTAKES, UNRESOLVED
from workflows.reporting.study_tables import count


@dataclass(frozen=True)
class Verdict:
    """Three sentences, and the task and set that they are about."""

    task: str
    dataset: str
    overtaking: str
    contrastive: str
    certainty: str

    @property
    def sentences(self) -> list[str]:
        return [self.overtaking, self.contrastive, self.certainty]


def judge(results: pd.DataFrame, runs: pd.DataFrame) -> Verdict:
    """The verdict on the first task's largest set: more images, less chance."""
    summary = summarise(results, runs)
    scored = summary[summary["fraction"].notna() & summary["psnr_y"].notna()]
    if scored.empty:
        nothing = "No trained model is scored yet"
        contrastive = f"{nothing}, with the contrastive loss or without."
        return Verdict(
            "", "", f"{nothing}, so nothing is said about data.", contrastive, f"{_missing(runs).capitalize()}."
        )
    task = scored["task"].iloc[0]
    of_task = scored[scored["task"] == task]
    dataset = of_task.loc[of_task["images"].idxmax(), "dataset"]
    on = (results["task"] == task) & (results["dataset"] == dataset)
    here = results[on]
    return Verdict(task, dataset, _overtaking(here, runs), _contrastive(here, runs), _certainty(results, here, runs))


def _overtaking(results: pd.DataFrame, runs: pd.DataFrame) -> str:
    names = labels(runs)
    ((_, dataset), table), *_ = curves(results).items()
    fractions = sorted(table.columns)
    lead = _lead(results, runs, fractions[-1])
    if len(fractions) < 2:
        return f"On {dataset} everything is trained on {percent(fractions[0])} of the images, so data is not compared: {lead}."
    span = f"from {percent(fractions[0])} to {percent(fractions[-1])} of the images"
    ours, others = _best(table, transformers(runs), fractions[-1]), _best(table, rivals(runs), fractions[-1])
    limits = data_limits(results, runs)
    limited = limits[limits["limiting"]]
    if len(limits) and limited.empty:
        return (
            f"Data was not limiting on {dataset}: {span} no model has a gain that is noticeable and told from zero, with a gap "
            f"between held-out and training loss that closes ({_most(limits, names)}), so a crossover caused by data cannot be "
            f"seen here; {lead}."
        )
    was = "Data was limiting" if (limited["over"] == "seeds").any() else "One seed each suggests that data was limiting"
    data = f"{was} {_whom(limited, limits, names)} on {dataset} ({_most(limited, names)})" if len(limits) else ""
    if ours is None or others is None:
        none = f"on {dataset} no IPT stands beside another network {span}, so there is no crossing to look for"
        return f"{'; '.join(filter(None, [data, none, lead]))}."
    found = crossovers(results, runs)
    found = found[(found["model"] == ours) & (found["other"] == others)]
    if found.empty:
        crossing = f"{names[ours]} and {names[others]} share no two fractions, so no crossing is computed"
    elif limited["model"].isin([ours, others]).any() or limits.empty:
        crossing = _crossing(found.iloc[0], names, fractions)
    else:
        crossing = f"it limited neither {names[ours]} nor {names[others]}, so there is no crossover caused by data between them"
    return f"{'; '.join(filter(None, [data, crossing, lead]))}."


def _whom(limited: pd.DataFrame, limits: pd.DataFrame, names: dict[str, str]) -> str:
    if len(limited) == len(limits):
        return "for all models" if len(limits) > 1 else f"for {names[limits['model'].iloc[0]]}"
    others = [names[model] for model in limits.loc[~limits["limiting"], "model"]]
    return f"for {_list([names[model] for model in limited['model']])}, not for {_list(others)},"


def _list(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _most(limits: pd.DataFrame, names: dict[str, str]) -> str:
    """The largest gain by data, with what else tells whether data limited that model."""
    top = limits.loc[limits["gain"].idxmax()]
    text = f"the largest gain is {names[top['model']]}'s {_decibel(top)}"
    if pd.notna(top["gap_smallest"]):
        text += f", its gap goes from {_signed(top['gap_smallest'])} to {_signed(top['gap_largest'])} (L1, 0-255)"
    if pd.notna(top["crops_smallest"]):
        text += f" and each image was seen {count(top['crops_smallest'])} to {count(top['crops_largest'])} times"
    return text


def _crossing(found: pd.Series, names: dict[str, str], fractions: list[float]) -> str:
    ours, others = names[found["model"]], names[found["other"]]
    seeds = f"{found['seeds']} seeds"
    if len(found["fractions"].split()) < len(fractions):
        seeds += f" at {_list([share.replace('%', ' %') for share in found['fractions'].split()])}"
    span = "" if pd.isna(found["low"]) else f"{percent(round(found['low'], 3))} to {percent(round(found['high'], 3))}"
    if found["status"] == UNRESOLVED:
        return f"it is not resolved whether {ours} overtakes {others}: the interval covers the range {span} ({seeds})"
    if found["status"] == OVERTAKES:
        hedge = "one seed, so no interval" if found["seeds"] == 1 else f"95 % interval {span}, {seeds}"
        return f"{ours} overtakes {others} at {percent(round(found['fraction'], 3))} of the images ({hedge})"
    told = f"{seeds} tell them apart everywhere" if not span else f"{seeds} do not tell them apart from {span}"
    hedge = "one seed, so no interval" if found["seeds"] == 1 else told
    if found["status"] == ALREADY:
        return f"{ours} is ahead of {others} already at {percent(fractions[0])} of the images ({hedge})"
    assert found["status"] == NONE
    return f"{ours} does not overtake {others} up to {percent(fractions[-1])} of the images ({hedge})"


def _best(table: pd.DataFrame, among: list[str], fraction: float) -> str | None:
    means = table[fraction].groupby("model").mean().dropna()
    means = means[means.index.isin(among)]
    return None if means.empty else str(means.idxmax())


def _lead(results: pd.DataFrame, runs: pd.DataFrame, fraction: float) -> str:
    """Who is first at a fraction, by how much, and whether that is more than chance."""
    names = labels(runs)
    ((_, table),) = curves(results).items()
    means = table[fraction].groupby("model").mean().dropna().sort_values(ascending=False)
    if len(means) == 1:
        return f"{names[means.index[0]]} reaches {means.iloc[0]:.2f} dB at {percent(fraction)}"
    first, second = means.index[:2]
    ahead = means.iloc[0] - means.iloc[1]
    found = differences(results, runs)
    found = found[
        (found["fraction"] == fraction) & found["model"].isin([first, second]) & found["other"].isin([first, second])
    ]
    if len(found):
        # Of the seeds that both have.
        ahead = found["difference"].iloc[0] * (1 if found["model"].iloc[0] == first else -1)
    text = (
        f"at {percent(fraction)} {names[first]} is first with {means.iloc[0]:.2f} dB, {_signed(ahead).lstrip('+')} dB "
    )
    text += f"before {names[second]}"
    if found.empty or pd.isna(found["p"].iloc[0]):
        return f"{text}, from one seed each, so that the order may be the seeds'"
    p = found["p_holm"].iloc[0]
    told = "told apart" if p < 0.05 else "not told apart"
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return f"{text}, {told} by {found['seeds'].iloc[0]} seeds ({chance} after Holm's correction)"


def _contrastive(results: pd.DataFrame, runs: pd.DataFrame) -> str:
    names = labels(runs)
    data = gains(results, runs)
    if data.empty:
        return "The contrastive loss is not tested here: no model is scored both with and without it."
    means = data[data["level"] == "mean"]
    first = means["with"].iloc[0]
    mine = means[means["with"] == first].sort_values("fraction")
    largest = mine.iloc[-1]
    text = f"The contrastive loss (λ = {largest['weight']:g}) changes {names[largest['without']]} by "
    text += f"{_signed(largest['gain'])} dB at {percent(largest['fraction'])}"
    sure = mine[mine["over"] == "seeds"]
    if largest["over"] == "images":
        text += (
            f" (mean over {largest['count']:.0f} images of one seed; no interval over trainings), which is not evidence for or "
            "against it"
        )
    else:
        text += f" (95 % interval {_signed(largest['low'])} to {_signed(largest['high'])} dB, {largest['count']:.0f} seeds): "
        text += "it helps" if largest["low"] > 0 else "it harms" if largest["high"] < 0 else "no effect is shown"
    if len(sure) > 1:
        above, below = (sure["low"] > 0).sum(), (sure["high"] < 0).sum()
        text += f"; over {len(sure)} fractions the interval lies above zero at {above} and below it at {below}"
    if "contrastive_share" in runs:
        share = runs.loc[runs["model"] == first, "contrastive_share"].mean()
        if pd.notna(share):
            text += f"; its share of the gradient's norm was {100 * share:.0f} %"
    return f"{text}."


def _certainty(results: pd.DataFrame, here: pd.DataFrame, runs: pd.DataFrame) -> str:
    seeds = here[here["fraction"].notna()].groupby(["model", "fraction"])["seed"].nunique()
    low, high = seeds.min(), seeds.max()
    if high == 1:
        text = "Every number comes from one seed, so differences between models may be the seeds'"
    else:
        text = (
            f"Every point comes from {low if low == high else f'{low} to {high}'} seeds, which the intervals are over"
        )
        text += ", so that points of one seed have none" if low == 1 else ""
    text = f"{text}; {_missing(runs)}"
    theirs = published(results, summarise(results, runs), runs)
    theirs = theirs[(theirs["method"] == "IPT") & theirs["ours"].notna()]
    paper = "the paper's single runs (115 M parameters, all of ImageNet) put the crossing at about 60 %"
    if theirs.empty:
        return f"{text}; {paper}."
    nearest = (theirs["dataset"] == here["dataset"].iloc[0]).astype(int) + (theirs["task"] == here["task"].iloc[0])
    row = theirs.loc[nearest.sort_values(ascending=False, kind="stable").index[0]]
    mine = runs[(runs["model"] == row["model"]) & (runs["fraction"] == row["fraction"])]
    cost = ""
    if {"parameters", "patches"} <= set(mine) and mine["parameters"].notna().any():
        cost = f" with {mine['parameters'].mean():,.0f} parameters and {mine['patches'].mean():,.0f} patches"
    where = f"{row['dataset']} ({row['task']})"
    return f"{text}; {paper} and IPT at {row['published']:.2f} dB on {where}, where ours reaches {row['ours']:.2f} dB{cost}."


def _missing(runs: pd.DataFrame) -> str:
    trained = runs[runs["model"].isin(models(runs))]
    lost = int((trained["status"] != "done").sum())
    if not lost:
        return f"all {len(trained)} runs of the grid are scored"
    return f"{lost} of {len(trained)} runs of the grid are missing"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _decibel(gain: pd.Series) -> str:
    over = f"{gain['count']} {gain['over'] if gain['count'] > 1 else gain['over'][:-1]}" + (
        ", one seed" if gain["over"] == "images" else ""
    )
    if pd.isna(gain["low"]):
        return f"{_signed(gain['gain'])} dB over {over}"
    return f"{_signed(gain['gain'])} dB, 95 % interval {_signed(gain['low'])} to {_signed(gain['high'])} over {over}"
