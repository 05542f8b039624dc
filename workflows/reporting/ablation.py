"""Which models differ in one setting alone, and what that setting did to their score."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from workflows.reporting.records import PLAIN, SCORED_ON, models
from workflows.reporting.statistics import t_interval
from workflows.reporting.summary import common_images

WEIGHT = "contrastive.weight"
DEFAULT = "default"


class Group(NamedTuple):
    """Models that differ in `setting` alone: each one's value, the baseline first."""

    setting: str
    members: dict[str, Any]


def find_groups(runs: pd.DataFrame) -> list[Group]:
    """Groups of two models or more that differ in one setting alone.

    A model without the contrastive loss has λ = 0 and belongs to every group over λ that shares the rest with it. The
    baseline is λ = 0, else the model that leaves the setting at its default, else the experiment's first. Networks of
    different kinds are no ablation of one another.

    Args:
        runs: with the column `settings` (see `collect_runs`).
    """
    known = _settings(runs)
    names = [key for key in dict.fromkeys(key for found in known.values() for key in found) if key != "variant"]
    groups = []
    for setting in ["variant", *names]:
        members: dict[str, dict[str, Any]] = {}
        for model, found in known.items():
            for rest in _rests(found, setting, known):
                members.setdefault(rest, {})[model] = _value(found, setting)
        for values in members.values():
            if len({json.dumps(value) for value in values.values()}) > 1:
                groups.append(Group(setting, _baseline_first(setting, values)))
    return [group for group in groups if not any(_within(group, other) for other in groups)]


def _settings(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    if "settings" not in runs:
        return {}
    first = runs[runs["settings"].notna()].drop_duplicates("model").set_index("model")["settings"]
    return {model: json.loads(first[model]) for model in models(runs) if model in first}


def _value(settings: dict[str, Any], setting: str) -> Any:
    return settings.get(setting, 0 if setting == WEIGHT else DEFAULT)


def _rests(settings: dict[str, Any], setting: str, known: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Everything but the setting, as a key; for a model without the contrastive loss one for each kind of it, asked for λ."""
    rest = {key: value for key, value in settings.items() if key != setting}
    if setting == "variant":
        rest["family"] = settings["variant"].split("_")[0]
    yield json.dumps(rest, sort_keys=True)
    if setting == WEIGHT and WEIGHT not in settings:
        kinds = [
            {k: v for k, v in other.items() if k.startswith("contrastive.") and k != WEIGHT} for other in known.values()
        ]
        for kind in kinds:
            if kind:
                yield json.dumps({**rest, **kind}, sort_keys=True)


def _baseline_first(setting: str, values: dict[str, Any]) -> dict[str, Any]:
    if all(isinstance(value, int | float) for value in values.values()):
        return dict(sorted(values.items(), key=lambda item: item[1]))
    return dict(sorted(values.items(), key=lambda item: item[1] != DEFAULT))


def _within(group: Group, other: Group) -> bool:
    """Whether a larger group over the same setting says it all."""
    return group.setting == other.setting and group.members.keys() < other.members.keys()


def effects(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """PSNR-Y of every member minus its group's baseline in dB, at the largest fraction that both have.

    Columns: task, dataset, setting, value, model, baseline, fraction, effect, low, high, over (`seeds`, paired by seed, or,
    with one seed, `images`, paired by image), count. The baseline's own rows have effect 0 and no interval.
    """
    plain = common_images(results[results["setting"] == PLAIN])
    plain = plain[plain["fraction"].notna()]
    rows = []
    for group in find_groups(runs):
        baseline = next(iter(group.members))
        for (task, dataset), here in plain.groupby(SCORED_ON, sort=False):
            table = here.pivot_table(index=["fraction", "seed", "image"], columns="model", values="psnr_y")
            if baseline not in table:
                continue
            for model, value in group.members.items():
                row = {"task": task, "dataset": dataset, "setting": group.setting, "value": str(value)}
                row |= {"model": model, "baseline": baseline}
                both = table[[baseline, model]].dropna() if model in table and model != baseline else pd.DataFrame()
                if model == baseline:
                    rows.append(row | {"effect": 0.0})
                elif len(both):
                    fraction = both.index.get_level_values("fraction").max()
                    difference = (both[model] - both[baseline]).loc[fraction]
                    seeds = difference.groupby("seed").mean()
                    over = "seeds" if len(seeds) > 1 else "images"
                    found = t_interval(seeds if over == "seeds" else difference)
                    row |= {"fraction": fraction, "effect": found.mean, "low": found.low, "high": found.high}
                    rows.append(row | {"over": over, "count": found.count})
    columns = [
        *SCORED_ON,
        "setting",
        "value",
        "model",
        "baseline",
        "fraction",
        "effect",
        "low",
        "high",
        "over",
        "count",
    ]
    return pd.DataFrame(rows, columns=columns)
