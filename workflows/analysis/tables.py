"""Every table of the analysis, with its columns: the contract with `workflows.reporting`. `computation.py` fills them.

Tables are tidy CSV with unrounded numbers. Scores are PSNR-Y in dB unless stated otherwise; `low` and `high` are the ends of
a 95 % interval, over seeds unless stated otherwise, and empty with fewer than two seeds; `p` is two-sided. An empty field
means that the number does not exist. docs/statistics.md says how intervals are computed.
"""

from typing import NamedTuple


class Table(NamedTuple):
    """A table's meaning, and its columns by name; `<task>` in a name means one column per task."""

    about: str
    columns: dict[str, str]


ON = {"task": "for example sr2", "dataset": "the benchmark set"}
WINDOWS = {
    "windows": "`centre`, each pixel from one prediction of IPT, or `averaged`, as its authors' code does; networks without "
    "windows have the same scores in both. `averaged` appears only if it was scored"
}
INTERVAL = {"low": "end of the 95 % interval", "high": "end of the 95 % interval"}
TEST = {"p": "two-sided", "seeds": "seeds of the cell that has the fewest"}
COUNTED_SEEDS = {"seeds": "number of seeds"}
METRIC_COLUMNS = {
    f"{metric}{end}": f"{what}{of}"
    for metric, what in (("psnr_y", "PSNR-Y in dB"), ("ssim_y", "SSIM-Y"), ("psnr_rgb", "PSNR-RGB in dB"))
    for end, of in (("", ", mean over seeds"), ("_low", ": end of the interval"), ("_high", ": end of the interval"))
}
SUMMARY = {
    **ON,
    "model": "",
    "fraction": "of the training images; empty for references and methods outside the grid",
    "seeds": "scored",
    "seeds_planned": "in the grid",
    "images": "averaged: those that every run has and no model restored exactly",
    "images_known": "that any run has",
    **METRIC_COLUMNS,
    "steps": "of the training, mean over its seeds",
    "patches": "seen in training",
    "task_patches": "seen of this task",
    "parameters": "",
}

TABLES: dict[str, Table] = {
    "summary": Table(
        "Scores of every model at every fraction, missing ones included; a model that cannot restore a task has no row of it",
        SUMMARY,
    ),
    "ensembled": Table(
        "As `summary`, of scores by averaged windows or the ×8 self-ensemble",
        {**SUMMARY, "setting": "`averaged`, `x8` or others, as in results.csv"},
    ),
    "seeds": Table(
        "Means over images, one row a run and setting",
        {
            **ON,
            "setting": "as in results.csv",
            "model": "",
            "fraction": "",
            "seed": "",
            "images": "averaged",
            "images_known": "that any run has",
            "psnr_y": "",
            "ssim_y": "",
            "psnr_rgb": "",
        },
    ),
    "identical": Table(
        "Images that some model restored without any error, so that their PSNR is infinite: left out of all means, for all "
        "models alike",
        {**ON, "image": "", "models": "that restored it exactly, separated by spaces"},
    ),
    "claims": Table(
        "What the experiment says, one claim a row. `data_limited`: more data would have helped this network (estimate: gain "
        "over the span by the slope through all fractions; on the set `held-out` how far the L1 falls). `gains_more`: `model` "
        "gains more from the span of data than `rival` (one answer from both ways of cutting windows). `overtakes`: `model` "
        "is behind `rival` at the start of the span and ahead at its end (estimate: the fraction). `contrastive_helps`: "
        "`model`, trained with the contrastive loss, is better than `rival`, trained without. `order`: `model` is better than "
        "`rival`, the next in order at the largest fraction",
        {
            "claim": "`data_limited`, `gains_more`, `overtakes`, `contrastive_helps` or `order`",
            "model": "",
            "rival": "the other model; empty for `data_limited`",
            **ON,
            **WINDOWS,
            "span": "fractions, `0.01-1`, or one fraction, `1`",
            "answer": "`yes`: the interval lies above 0, and p_holm, if there is one, is below 0.05; `no`: the interval lies "
            "below 0.05 dB (of L1: 0.6 %, the equivalent), so the effect is smaller than `high`; `unresolved`: neither; "
            "`not tested`: fewer than two seeds, or no scores of averaged windows",
            "estimate": "in `unit`",
            **INTERVAL,
            "unit": "`dB`, `L1` (0-255 scale) or `fraction`",
            "p": "two-sided; empty for `overtakes`, which inverts a test",
            "p_holm": "corrected for the claims of its kind on the same set and windows; of `order` for all pairs of models; "
            "empty for `data_limited`, which is about one network, and for `overtakes`",
            "seeds": "seeds of the cell that has the fewest; pairs of seeds for contrastive pairs; of `data_limited` at the "
            "ends of the span",
        },
    ),
    "quality_data": Table(
        "PSNR-Y against the amount of data, with references",
        {
            **ON,
            **WINDOWS,
            "model": "",
            "fraction": "empty for references and methods outside the grid",
            "distinct_patches": "that a run trains on; empty where crops are drawn anew",
            "images": "that a run trains on",
            "psnr_y": "mean over seeds",
            **INTERVAL,
            "over": "what the interval is over: `seeds`; `images`, with their own levels removed, if no model has two seeds, "
            "which says nothing about other trainings; or empty",
            **COUNTED_SEEDS,
        },
    ),
    "gains": Table(
        "Each model's gain from more data, unpaired: from its smallest to its largest fraction, and from 20 to 100 %",
        {
            **ON,
            **WINDOWS,
            "model": "",
            "span": "`0.01-1`",
            "smallest": "fraction",
            "largest": "fraction",
            "gain": "PSNR-Y at the largest minus at the smallest",
            **INTERVAL,
            "p": "two-sided",
            "p_holm": "corrected for the models",
            "seeds": "seeds of the cell that has the fewest",
        },
    ),
    "gain_differences": Table(
        "Each IPT's gain from data minus each rival's, unpaired",
        {
            **ON,
            **WINDOWS,
            "model": "an IPT",
            "rival": "another network",
            "span": "of the fractions that both have",
            "difference": "of the gains",
            **INTERVAL,
            "p": "two-sided",
            "p_holm": "corrected for all rows of the same set and windows",
            "seeds": "seeds of the cell that has the fewest",
        },
    ),
    "slopes": Table(
        "Change per decade of data, least squares through each model's means at all its fractions",
        {
            "task": "empty for held-out loss",
            "dataset": "a benchmark set, or `held-out`",
            "windows": "as elsewhere; empty for held-out loss",
            "measure": "`psnr_y` in dB, or `validation_l1` on the 0-255 scale",
            "model": "",
            "span": "`0.01-1`",
            "counted": "what a decade is of: `distinct_patches`, `images` or `fraction`",
            "fractions": "how many",
            "decades": "from the smallest to the largest",
            "slope": "per decade",
            "slope_low": "end of the 95 % interval",
            "slope_high": "end of the 95 % interval",
            "gain": "slope × decades: the change over the span",
            "low": "of the gain",
            "high": "of the gain",
            "mean": "of the measure over the fractions",
            "p": "two-sided",
            "p_holm": "corrected for the models",
            "seeds": "at the end of the span that has fewer",
        },
    ),
    "crossovers": Table(
        "Where each IPT overtakes each other network, unpaired",
        {
            **ON,
            **WINDOWS,
            "model": "an IPT",
            "other": "another network",
            "status": "`overtakes`, `already at the smallest`, `none in the range`, or `unresolved`: the interval reaches both "
            "ends",
            "fraction": "from which on it is ahead; empty unless `overtakes`",
            "low": "the smallest fraction at which the two do not differ significantly",
            "high": "the largest such fraction",
            "seeds": "seeds of the cell that has the fewest",
            "smallest": "fraction that both have",
            "largest": "fraction that both have",
            "fractions": "used, `20% 60% 100%`",
            "best_rival": "whether `other` is the best rival at the largest fraction",
            "tested": "whether there are seeds enough for an interval",
        },
    ),
    "differences": Table(
        "All pairs of models at each fraction",
        {
            **ON,
            **WINDOWS,
            "fraction": "",
            "model": "",
            "other": "",
            "difference": "`model` minus `other`",
            **INTERVAL,
            "p": "two-sided",
            "p_holm": "corrected for all rows of the same set and windows",
            "seeds": "of the cell that has the fewest; pairs of seeds where `test` is `paired`",
            "test": "`paired` by seed for contrastive pairs, `unpaired` for all others",
        },
    ),
    "contrastive": Table(
        "PSNR-Y with the contrastive loss minus without, paired by seed and image",
        {
            **ON,
            **WINDOWS,
            "without": "model",
            "with": "model",
            "weight": "λ",
            "fraction": "",
            "level": "`image`: one image and seed; `seed`: mean over images; `mean`: mean over seeds",
            "over": "of `mean`: what the interval is over, `seeds`, or with one seed `images`",
            "seed": "",
            "image": "",
            "gain": "",
            **INTERVAL,
            "count": "of seeds or images",
            "p": "of the paired t test over seeds",
            "p_holm": "corrected for all pairs and fractions",
        },
    ),
    "gradient_shares": Table(
        "How much of the gradient's norm is λ · contrastive's, mean over the log and over seeds",
        {"model": "", "weight": "λ", "fraction": "", "share": "0 to 1", **COUNTED_SEEDS},
    ),
    "ablations": Table(
        "PSNR-Y of models that differ in one factor alone, minus that of the baseline of their group, at the largest fraction "
        "that both have",
        {
            **ON,
            "factor": "the config's key",
            "value": "of the factor",
            "model": "",
            "baseline": "model",
            "fraction": "",
            "effect": "0 for the baseline",
            **INTERVAL,
            "over": "`seeds`, paired, or with one seed `images`",
            "count": "of seeds or images",
        },
    ),
    "data": Table(
        "Each model's gain from more data by `centre` windows, whether data limited it, and a saturating power law: "
        "PSNR = limit − loss · (n / largest n)^(−exponent)",
        {
            **ON,
            "model": "",
            "smallest": "fraction",
            "largest": "fraction",
            "gain": "PSNR-Y at the largest minus at the smallest fraction",
            **INTERVAL,
            "p": "two-sided",
            "seeds": "seeds of the cell that has the fewest",
            "crops_smallest": "crops per image at the smallest fraction",
            "gap_smallest": "`gap` of runs.csv at the smallest fraction",
            "crops_largest": "crops per image at the largest fraction",
            "gap_largest": "`gap` of runs.csv at the largest fraction",
            "limiting": "the answer of the claim `data_limited`",
            "limit": "of the power law: PSNR at unlimited data",
            "limit_low": "end of the fit's interval",
            "limit_high": "end of the fit's interval",
            "loss": "how far the largest data set stays below the limit",
            "exponent": "",
            "exponent_low": "end of the fit's interval",
            "exponent_high": "end of the fit's interval",
            "r2": "share of the points' variance that the curve explains",
            "points": "one a seed and fraction",
            "refused": "why there is no power law",
        },
    ),
    "gaps": Table(
        "Loss on held-out images, and on a run's own",
        {
            "model": "",
            "fraction": "",
            "seeds": "that have both losses",
            "images": "",
            "crops_per_image": "how often a run took a crop from each of its images",
            "training_l1": "0-255 scale",
            "validation_l1": "0-255 scale",
            "gap": "held-out L1 minus what the training L1 would be on crops as hard as the held-out ones",
            "gap_low": "end of the 95 % interval over seeds",
            "gap_high": "end of the 95 % interval over seeds",
        },
    ),
    "costs": Table(
        "What each model and method cost, means over its runs, and its PSNR-Y at its largest fraction",
        {
            "model": "",
            "variant": "",
            "training_data": "of methods from outside the grid, as stated",
            "parameters": "",
            "macs_per_output_pixel_<task>": "multiply-adds",
            "steps": "",
            "patches": "seen",
            "patches_<task>": "seen of the task",
            "train_hours": "per run",
            "runs": "that are scored",
            "psnr_y <dataset> <task>": "at the largest fraction",
        },
    ),
    "quality_cost": Table(
        "PSNR-Y of each model at its largest fraction, and its costs",
        {
            **ON,
            "model": "",
            "fraction": "the largest",
            "seeds": "",
            "psnr_y": "",
            **INTERVAL,
            "parameters": "",
            "train_hours": "per run",
            "macs_per_output_pixel": "multiply-adds, of this task",
        },
    ),
    "published": Table(
        "Published PSNR-Y and ours of the same kind of network",
        {
            **ON,
            "method": "",
            "published": "dB",
            "source": "",
            "channel": "",
            "gray": "how they score gray files",
            "our_gray": "how gray files are scored here",
            "model": "ours of the same kind; empty if there is none",
            "fraction": "our largest",
            "seeds": "",
            "ours": "dB",
            **INTERVAL,
            "difference": "ours minus published",
        },
    ),
    "learning_curves": Table(
        "Training loss (a centred mean over a twentieth of the log) and held-out PSNR by step, means over seeds",
        {
            "model": "",
            "fraction": "",
            "step": "",
            "l1": "0-255 scale",
            "validation_psnr": "dB",
            "seeds": "that reached the step",
        },
    ),
}
