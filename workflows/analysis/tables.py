"""Every table of the analysis, with its columns: the contract with `workflows.reporting`. `computation.py` fills them.

Tables are tidy CSV with unrounded numbers. Scores are PSNR-Y in dB unless stated otherwise; `low` and `high` are the ends of
a 95 % interval, over seeds unless stated otherwise, and empty where a cell has fewer than two seeds; `p` is two-sided. An
empty field means that the number does not exist. docs/statistics.md says how intervals are computed.
"""

from typing import NamedTuple


class Table(NamedTuple):
    """A table's meaning, and its columns by name; `<task>` in a name means one column per task."""

    about: str
    columns: dict[str, str]


def columns(name: str) -> list[str]:
    """A table's columns, in order."""
    return list(TABLES[name].columns)


ON = {"task": "the task, for example `sr2`", "dataset": "the benchmark set"}
WINDOWS = {
    "windows": "`centre`, each pixel from one prediction of IPT, or `averaged`, as its authors' code does; networks without "
    "windows have the same scores in both, and no `averaged` rows in `gains` and `slopes`. `averaged` appears only if it was "
    "scored"
}
INTERVAL = {"low": "lower end of the 95 % interval", "high": "upper end of the 95 % interval"}
COUNTED_SEEDS = {"seeds": "number of seeds"}
FEWEST_SEEDS = {"seeds": "number of seeds in the cell with the fewest"}
TESTED = {**INTERVAL, "p": "two-sided p-value"}
TESTED_ON_SET = {**TESTED, "p_holm": "p-value corrected for all rows of the same set and windows"}
# Of the tables that also have the loss on held-out images.
MEASURED_ON = {
    "task": "the task; empty for held-out loss",
    "dataset": "the benchmark set, or `held-out`",
    "windows": "as in the other tables; empty for held-out loss",
    "measure": "`psnr_y` in dB, or `validation_l1`, L1 on the 0-255 scale",
}
TEST = (
    "kind of test: `paired` by seed for models of the same network, tasks, data, patch and batch size, which start from the "
    "same weights; `unpaired` for all others"
)
GRADIENT_SHARE = {"model": "", "weight": "the loss's weight λ", "fraction": "", "share": "share of the norm, 0 to 1"}
METRIC_COLUMNS = {
    f"{metric}{end}": f"{what}{of}"
    for metric, what in (("psnr_y", "PSNR-Y in dB"), ("ssim_y", "SSIM-Y"), ("psnr_rgb", "PSNR-RGB in dB"))
    for end, of in (
        ("", ", mean over seeds"),
        ("_low", ", lower end of the interval"),
        ("_high", ", upper end of the interval"),
    )
}
SUMMARY = {
    **ON,
    "model": "",
    "fraction": "fraction of the training images; empty for references and external methods",
    "seeds": "number of seeds scored",
    "seeds_planned": "number of seeds in the grid",
    "images": "number of images averaged: those that every run has and no model restored exactly",
    "images_known": "number of images that any run has",
    **METRIC_COLUMNS,
    "steps": "number of training steps, mean over seeds",
    "patches": "number of patches seen in training",
    "task_patches": "number of patches of this task seen in training",
    "parameters": "number of parameters",
}

TABLES: dict[str, Table] = {
    "summary": Table(
        "Scores of every model at every fraction, missing ones included; a model that cannot restore a task has no row of it",
        SUMMARY,
    ),
    "ensembled": Table(
        "As `summary`, of scores with averaged windows or the ×8 self-ensemble",
        {**SUMMARY, "setting": "`averaged`, `x8` or others, as in results.csv"},
    ),
    "seeds": Table(
        "Means over images, one row per run and setting",
        {
            **ON,
            "setting": "as in results.csv",
            "model": "",
            "fraction": "",
            "seed": "",
            "images": "number of images averaged",
            "images_known": "number of images that any run has",
            "psnr_y": "",
            "ssim_y": "",
            "psnr_rgb": "",
        },
    ),
    "identical": Table(
        "Images that some model restored without any error, so that their PSNR is infinite: left out of all means, for all "
        "models alike",
        {**ON, "image": "", "models": "models that restored it exactly, separated by spaces"},
    ),
    "claims": Table(
        "What the experiment says, one claim per row. `data_limited`: more data would have helped this network (estimate: gain "
        "over the span by the slope through all fractions; on the set `held-out` how far the L1 falls). `gains_more`: `model` "
        "gains more from the span of data than `rival` (one answer from both ways of cutting windows; on the set `held-out`, "
        "which has none, by how much more the L1 falls). `overtakes`: `model` is behind `rival` at the start of the span and "
        "ahead at its end (estimate: the fraction). `contrastive_helps`: `model`, trained with the "
        "contrastive loss, is better than `rival`, trained without. `order`: `model` is "
        "better than `rival`, the next in order at the largest fraction",
        {
            "claim": "`data_limited`, `gains_more`, `overtakes`, `contrastive_helps` or `order`",
            "model": "",
            "rival": "the other model; empty for `data_limited`",
            **ON,
            **WINDOWS,
            "span": "range of fractions, for example `0.01-1`, or one fraction, `1`",
            "answer": "`yes`: the interval lies above 0, and p_holm, if there is one, is below 0.05; `no`: the interval lies "
            "below 0.05 dB (of L1: 0.57 %, which is equivalent), so the effect is smaller than `high`; `unresolved`: neither; "
            "`not tested`: fewer than two seeds of a network at an end of the span, or no scores of averaged windows",
            "estimate": "estimate of the effect, in `unit`",
            **INTERVAL,
            "unit": "unit of estimate and interval: `dB`, `L1` (0-255 scale) or `fraction`",
            "p": "two-sided p-value; empty for `overtakes`, which inverts a test",
            "p_holm": "p-value corrected for the claims of its kind on the same set and windows (`order`: for all pairs of "
            "models); empty for `data_limited`, which is about one network, and for `overtakes`",
            "seeds": "number of seeds in the cell with the fewest; number of pairs of seeds for contrastive pairs",
        },
    ),
    "quality_data": Table(
        "PSNR-Y against the amount of data, with references",
        {
            **ON,
            **WINDOWS,
            "model": "",
            "fraction": "fraction of the training images; empty for references and external methods",
            "distinct_patches": "number of distinct patches that a run trains on; empty where crops are drawn anew",
            "images": "number of images that a run trains on",
            "psnr_y": "PSNR-Y in dB, mean over seeds",
            **INTERVAL,
            "over": "what the interval is over: `seeds`; `images`, with their own levels removed, if no model has two seeds, "
            "which says nothing about other trainings; or empty",
            **COUNTED_SEEDS,
        },
    ),
    "gains": Table(
        "Each model's gain from more data, unpaired: from its smallest to its largest fraction, and from 20 to 100 %",
        {
            **MEASURED_ON,
            "model": "",
            "span": "range of fractions, for example `0.01-1`",
            "smallest": "smallest fraction",
            "largest": "largest fraction",
            "gain": "PSNR-Y at the largest minus at the smallest fraction, in dB; on held-out images how far the L1 falls",
            **TESTED,
            "p_holm": "p-value corrected for the number of models",
            **FEWEST_SEEDS,
        },
    ),
    "gain_differences": Table(
        "Each subject's gain from data minus each rival's, unpaired",
        {
            **MEASURED_ON,
            "model": "a subject of the claims: an IPT, or a model that `report.subjects` names",
            "rival": "another network of the same stage: both fine-tuned, or neither",
            "span": "range of the fractions that both have",
            "difference": "the model's gain minus the rival's",
            **TESTED_ON_SET,
            **FEWEST_SEEDS,
        },
    ),
    "slopes": Table(
        "Change per decade of data, least squares through each model's means at all its fractions",
        {
            **MEASURED_ON,
            "model": "",
            "span": "range of fractions, for example `0.01-1`",
            "counted": "what the amount of data is counted in: `distinct_patches`, `images` or `fraction`",
            "fractions": "number of fractions",
            "decades": "number of decades from the smallest to the largest fraction",
            "slope": "change of the measure per decade",
            "slope_low": "lower end of the slope's 95 % interval",
            "slope_high": "upper end of the slope's 95 % interval",
            "gain": "slope × decades: the change over the span",
            "low": "lower end of the gain's 95 % interval",
            "high": "upper end of the gain's 95 % interval",
            "mean": "mean of the measure over the fractions",
            "p": "two-sided p-value",
            "p_holm": "p-value corrected for the number of models",
            **FEWEST_SEEDS,
        },
    ),
    "crossovers": Table(
        "Where each subject overtakes each other network, unpaired",
        {
            **ON,
            **WINDOWS,
            "model": "a subject of the claims: an IPT, or a model that `report.subjects` names",
            "other": "another network of the same stage: both fine-tuned, or neither",
            "status": "`overtakes`, `already at the smallest`, `none in the range`, or `unresolved`: the interval reaches both "
            "ends",
            "fraction": "fraction from which on the model is ahead; empty unless `overtakes`",
            "low": "the smallest fraction at which the two do not differ significantly",
            "high": "the largest such fraction",
            **FEWEST_SEEDS,
            "smallest": "smallest fraction that both have",
            "largest": "largest fraction that both have",
            "fractions": "fractions used, for example `20% 60% 100%`",
            "best_rival": "whether `other` is the best of these at the largest fraction",
            "tested": "whether there are enough seeds for an interval",
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
            **TESTED_ON_SET,
            "seeds": "number of seeds in the cell with the fewest; number of pairs of seeds where `test` is `paired`",
            "test": TEST,
        },
    ),
    "contrastive": Table(
        "PSNR-Y with the contrastive loss minus without, paired by seed and image",
        {
            **ON,
            **WINDOWS,
            "without": "model trained without the loss",
            "with": "model trained with the loss",
            "weight": "the loss's weight λ",
            "fraction": "",
            "level": "what the row holds: `image`: one image and seed; `seed`: mean over images; `mean`: mean over seeds",
            "over": "what the interval of `mean` is over: `seeds`, or with one seed `images`",
            "seed": "",
            "image": "",
            "gain": "PSNR-Y with the loss minus without",
            **INTERVAL,
            "count": "number of seeds or images",
            "p": "two-sided p-value of the paired t test over seeds",
            "p_holm": "p-value corrected for all pairs and fractions",
        },
    ),
    "gradient_shares_by_seed": Table(
        "How much of a run's gradient norm is λ · contrastive's, mean over its log", {**GRADIENT_SHARE, "seed": ""}
    ),
    "gradient_shares": Table("Means of `gradient_shares_by_seed` over seeds", {**GRADIENT_SHARE, **COUNTED_SEEDS}),
    "ablations": Table(
        "PSNR-Y of models that differ in one factor alone, minus that of the baseline of their group, at the largest fraction "
        "that both have",
        {
            **ON,
            "factor": "config key in which the models differ",
            "value": "value of the factor",
            "model": "",
            "baseline": "baseline of the group",
            "fraction": "",
            "effect": "PSNR-Y minus the baseline's; 0 for the baseline",
            **INTERVAL,
            "p": "two-sided p-value",
            "p_holm": "p-value corrected for all effects on the same set",
            "test": TEST,
            "over": "what the interval is over: `seeds`, or, if one of the two has one seed, `images`",
            "count": "number of seeds in the cell with the fewest, of pairs of seeds, or of images",
        },
    ),
    "data": Table(
        "Each model's gain from more data with `centre` windows, whether data limited it, and a saturating power law: "
        "PSNR = limit − loss · (n / largest n)^(−exponent)",
        {
            **ON,
            "model": "",
            "smallest": "smallest fraction",
            "largest": "largest fraction",
            "gain": "PSNR-Y at the largest minus at the smallest fraction",
            **TESTED,
            **FEWEST_SEEDS,
            "crops_smallest": "crops seen per image at the smallest fraction",
            "gap_smallest": "`gap` of runs.csv at the smallest fraction",
            "crops_largest": "crops seen per image at the largest fraction",
            "gap_largest": "`gap` of runs.csv at the largest fraction",
            "limiting": "answer of the claim `data_limited`",
            "limit": "limit of the power law: PSNR at unlimited data",
            "limit_low": "lower end of the fit's interval",
            "limit_high": "upper end of the fit's interval",
            "loss": "how far the largest data set stays below the limit",
            "exponent": "exponent of the power law",
            "exponent_low": "lower end of the fit's interval",
            "exponent_high": "upper end of the fit's interval",
            "r2": "share of the points' variance that the curve explains",
            "points": "number of points, one per seed and fraction",
            "refused": "why there is no power law",
        },
    ),
    "gaps": Table(
        "Loss on held-out images, and on a run's own images",
        {
            "model": "",
            "fraction": "",
            "seeds": "number of seeds that have both losses",
            "images": "number of training images",
            "crops_per_image": "how often a run took a crop from each of its images",
            "training_l1": "L1 on the run's own crops, 0-255 scale",
            "validation_l1": "L1 on held-out crops, 0-255 scale",
            "gap": "held-out minus training L1, for crops as hard as the training ones",
            "gap_low": "lower end of the 95 % interval over seeds",
            "gap_high": "upper end of the 95 % interval over seeds",
        },
    ),
    "costs": Table(
        "What each model and method cost, means over its runs, and its PSNR-Y at its largest fraction",
        {
            "model": "",
            "variant": "",
            "training_data": "training data of external methods, as stated",
            "parameters": "number of parameters",
            "macs_per_output_pixel_<task>": "multiply-adds per output pixel",
            "steps": "number of training steps",
            "patches": "number of patches seen in training",
            "patches_<task>": "number of patches of the task seen in training",
            "train_hours": "training hours per run",
            "runs": "number of runs that are scored",
            "psnr_y <dataset> <task>": "PSNR-Y at the largest fraction",
        },
    ),
    "quality_cost": Table(
        "PSNR-Y of each model at its largest fraction, and its costs",
        {
            **ON,
            "model": "",
            "fraction": "the model's largest fraction",
            "seeds": "number of seeds",
            "psnr_y": "",
            **INTERVAL,
            "parameters": "number of parameters",
            "train_hours": "training hours per run",
            "macs_per_output_pixel": "multiply-adds per output pixel, of this task",
        },
    ),
    "published": Table(
        "Published PSNR-Y and ours of the same kind of network",
        {
            **ON,
            "method": "",
            "published": "published PSNR in dB",
            "source": "",
            "channel": "",
            "gray": "how the paper scores gray files",
            "our_gray": "how gray files are scored here",
            "model": "our network of the same kind; empty if there is none",
            "fraction": "our largest fraction",
            "seeds": "number of seeds",
            "ours": "our PSNR-Y in dB",
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
            "l1": "training loss, 0-255 scale",
            "validation_psnr": "held-out PSNR in dB",
            "seeds": "number of seeds that reached the step",
        },
    ),
}
