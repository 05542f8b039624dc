"""Arguments that several commands share. Imports no torch."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from workflows.config.benchmark_sets import SETS, SetError
from workflows.config.choices import Bicubic, Gray, Noise
from workflows.evaluation.sets import Job

PRECISIONS = {"32": "32-true", "32-true": "32-true", "bf16": "bf16-mixed", "bf16-mixed": "bf16-mixed"}


def scope_parser() -> argparse.ArgumentParser:
    """The arguments that say what is scored, by which protocol."""
    parser = argparse.ArgumentParser(add_help=False)
    scope = parser.add_argument_group("what is scored")
    scope.add_argument(
        "--sets",
        nargs="+",
        required=True,
        metavar="SET",
        help=f"{', '.join(SETS)}; Set14@3 (its first three images); Set14@matlab (gray files scored as MATLAB does); "
        "NAME=FOLDER; NAME=TARGETS,INPUTS; folders are below --data-root, or else below the working directory",
    )
    scope.add_argument("--tasks", nargs="+", required=True, metavar="TASK", help="sr2, sr3, sr4, dn30, dn50, dr, …")
    scope.add_argument("--data-root", type=Path, metavar="DIR", help="folder that holds the sets")
    rules = parser.add_argument_group("protocol")
    rules.add_argument("--gray", choices=get_args(Gray), default="rgb", help="how gray files are scored (default: rgb)")
    rules.add_argument(
        "--bicubic", choices=get_args(Bicubic), default="uint8", help="MATLAB's rounding, or one rounding at the end"
    )
    rules.add_argument(
        "--noise", choices=get_args(Noise), default="clipped", help="whether noisy inputs are clipped to 0-255"
    )
    return parser


def check_names(names: Sequence[str] | None, jobs: Sequence[Job]) -> None:
    known = {sample.image for job in jobs for sample in job.samples}
    if unknown := [name for name in names or () if name not in known]:
        raise SetError(f"--images: no {', '.join(unknown)} in the sets; there are {', '.join(sorted(known))}")
