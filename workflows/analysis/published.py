"""Published scores and this experiment's, side by side."""

from importlib import resources

import pandas as pd

from workflows.analysis.records import SCORED_ON, variant
from workflows.analysis.tables import columns
from workflows.factors import family

# The published name of each kind of network; other networks are not compared.
PUBLISHED_NAMES = {"ipt": "IPT", "edsr": "EDSR", "rdn": "RDN", "ignn": "IGNN", "bicubic": "bicubic"}


def published(results: pd.DataFrame, summary: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The published PSNR-Y for every scored task and dataset, and ours for the same kind of network; columns in `tables.py`.

    Kinds without a run of ours, and ours without a published number, have gaps.
    """
    with resources.files("workflows.analysis").joinpath("published.csv").open(encoding="utf-8") as file:
        theirs = pd.read_csv(file).rename(columns={"psnr_y": "published"})
    largest = summary["fraction"].max()
    ours = summary[(summary["fraction"] == largest) | summary["fraction"].isna()]
    ours = ours.rename(columns={"psnr_y": "ours", "psnr_y_low": "low", "psnr_y_high": "high"})
    ours = ours[[*SCORED_ON, "model", "fraction", "seeds", "ours", "low", "high"]]
    # Part of a set (`Set14@3`) counts as another set.
    kinds = {model: PUBLISHED_NAMES.get(family(variant(runs, model))) for model in set(ours["model"])}
    ours = ours.assign(method=ours["model"].map(kinds))
    scored = ours[SCORED_ON].drop_duplicates()
    theirs = theirs.merge(scored.astype(theirs.dtypes[SCORED_ON]), on=SCORED_ON)
    ours = ours.dropna(subset="method").astype({"method": theirs["method"].dtype})
    table = theirs.merge(ours, on=[*SCORED_ON, "method"], how="left")
    table = table.assign(difference=table["ours"] - table["published"])
    # The protocol's label names the convention if it is not the default.
    matlab = (
        results[results["protocol"].str.contains("gray=matlab", na=False)] if "protocol" in results else results[:0]
    )
    matlab = matlab[SCORED_ON].drop_duplicates().assign(our_gray="matlab")
    table = table.merge(matlab, on=SCORED_ON, how="left").fillna({"our_gray": "rgb"})
    return table[columns("published")]
