"""Arguments that several commands share. Imports no torch."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from baselines.own import source_file
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


def add_own_network(group: argparse._ActionsContainer) -> None:
    """The arguments that name the user's class that a checkpoint's weights are for."""
    group.add_argument(
        "--network",
        metavar="CLASS",
        help="for weights of a class of yours: path/to/net.py:Class or package.module:Class; for weights that were trained here, "
        "if the class has changed or moved since",
    )
    group.add_argument(
        "--kwargs",
        type=_mapping,
        metavar="YAML",
        help="its arguments, such as '{num_feat: 32}' (default: those recorded with the weights, if any)",
    )


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise argparse.ArgumentTypeError(f"{text!r} is not YAML such as '{{num_feat: 32}}'")
    return value


def check_own_network(args: argparse.Namespace) -> None:
    """Refuse `--network` and `--kwargs` where they mean nothing."""
    if args.kwargs is not None and args.network is None:
        raise ValueError("--kwargs are the arguments of a class of yours, which --network names")
    if args.network is not None:
        if args.model is None:
            raise ValueError("--network names the class of the weights in --model, which is missing")
        source_file(args.network)


def check_names(names: Sequence[str] | None, jobs: Sequence[Job]) -> None:
    known = {sample.image for job in jobs for sample in job.samples}
    if unknown := [name for name in names or () if name not in known]:
        raise SetError(f"--images: no {', '.join(unknown)} in the sets; there are {', '.join(sorted(known))}")
