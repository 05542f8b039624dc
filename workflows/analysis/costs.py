"""Each model's cost and score."""

import pandas as pd

from workflows.analysis.records import MACS, SCORED_ON, models, variant


def costs(summary: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """What each model cost: means over its runs, and the PSNR-Y at its largest fraction on every set. Methods come last.

    Columns in `tables.py`.
    """
    trained = runs[runs["fraction"].notna()]
    facts = ["parameters", *(column for column in runs if column.startswith(MACS)), "steps", "patches"]
    facts += [column for column in runs if column.startswith("patches_")] + ["train_hours"]
    methods = runs[runs["kind"] == "method"] if "kind" in runs else runs.head(0)
    rows = []
    for model in [*models(runs), *methods["model"]]:
        mine = (methods if model in set(methods["model"]) else trained).query("model == @model")
        row = {"model": model, "variant": variant(runs, model) if mine["fraction"].notna().any() else None}
        row["training_data"] = mine["training_data"].iloc[0] if "training_data" in mine else None
        row |= {fact: mine[fact].astype("float64").mean() if fact in mine else float("nan") for fact in facts}
        rows.append(row | {"runs": int((mine["status"] == "done").sum())})
    table = pd.DataFrame(rows, columns=["model", "variant", "training_data", *facts, "runs"])
    for (task, dataset), scores in summary.groupby(SCORED_ON, sort=False):
        compared = scores["model"].isin(methods["model"]) | (scores["fraction"] == scores["fraction"].max())
        table[f"psnr_y {dataset} {task}"] = table["model"].map(scores[compared].set_index("model")["psnr_y"])
    return table
