"""Each model's cost and score."""

import pandas as pd

from workflows.analysis.records import MACS, SCORED_ON, models, variant


def costs(summary: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """What each model cost: means over its runs, and the PSNR-Y at its largest fraction on every set.

    Columns: model, variant, parameters, multiply-adds an output pixel of each task, steps, patches, patches of each task,
    train_hours (a run), runs, and `psnr_y <dataset> <task>`.
    """
    trained = runs[runs["fraction"].notna()]
    facts = ["parameters", *(column for column in runs if column.startswith(MACS)), "steps", "patches"]
    facts += [column for column in runs if column.startswith("patches_")] + ["train_hours"]
    rows = []
    for model in models(runs):
        mine = trained[trained["model"] == model]
        row = {"model": model, "variant": variant(runs, model)}
        row |= {fact: mine[fact].astype("float64").mean() if fact in mine else float("nan") for fact in facts}
        rows.append(row | {"runs": int((mine["status"] == "done").sum())})
    table = pd.DataFrame(rows, columns=["model", "variant", *facts, "runs"])
    summary = summary[summary["fraction"].notna()]
    for (task, dataset), here in summary.groupby(SCORED_ON, sort=False):
        best = here[here["fraction"] == here["fraction"].max()].set_index("model")["psnr_y"]
        table[f"psnr_y {dataset} {task}"] = table["model"].map(best)
    return table
