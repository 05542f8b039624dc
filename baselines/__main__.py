"""`python -m baselines list`: each network's cost, receptive field, and the figures that its paper states."""

import argparse
import sys
from collections.abc import Sequence

from baselines.own import is_own, source_file
from baselines.registry import NETWORK_OF, VARIANTS
from ipt_models.command_line import InputError, exit_status
from ipt_models.suggestions import nearest
from ipt_models.tasks import parse_task
from ipt_models.variants import VARIANTS as IPT_VARIANTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(prog="python -m baselines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="a table of the networks for one task")
    listing.add_argument("names", nargs="*", metavar="NETWORK", help="networks, yours as net.py:Class (default: all)")
    listing.add_argument("--task", default="sr2", help="sr2 (default), sr3, sr4, dn30, dr, …")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _list(options.names, options.task))


def _list(names: Sequence[str], task: str) -> None:
    networks = [*VARIANTS, *IPT_VARIANTS]
    for name in names:
        if name not in networks and not is_own(name):
            raise InputError(f"unknown network {name!r}{nearest(name, networks)}; known are {', '.join(networks)}")
    try:
        parse_task(task)
        for name in filter(is_own, names):
            source_file(name)
    except ValueError as error:
        raise InputError(error) from None
    if failures := print_table(names or networks, task):
        raise InputError("; ".join(failures))


def print_table(names: Sequence[str], task: str) -> list[str]:
    """One row per network; for a network without this task, the reason. Returns why classes of the user's have no row."""
    from baselines import build
    from baselines.cost import build_shape, count_macs, count_parameters

    published = {key: text for network in NETWORK_OF.values() for key, text in network.published.items()}
    published["ipt_base", "sr2"] = "115.5 M, 33 G multiply-adds (IPT)"

    failures = []
    lines = [f"task {task}; multiply-adds for a 48x48 input; receptive field in input pixels"]
    lines.append(f"{'network':<14} {'parameters':>12} {'multiply-adds':>14} {'field':>9}  published parameters")
    for name in names:
        try:
            model = build_shape(name, task)
            parameters = count_parameters(model)
            macs = f"{count_macs(model, task) / 1e9:,.3f} G" if parameters else "-"
        except Exception as error:  # a user's class may raise anything
            if is_own(name):
                reason = " ".join(str(error).split()) or type(error).__name__
                failures.append(reason if repr(name) in reason else f"{name!r}: {reason}")
            elif isinstance(error, ValueError):
                lines.append(f"{name:<14} {error}")
            else:
                raise
            continue
        side = getattr(
            build(name, task) if is_own(name) else model, "receptive_field", getattr(model, "patch_size", None)
        )
        field = "whole" if side is None else f"{side}x{side}"
        lines.append(f"{name:<14} {parameters:>12,} {macs:>14} {field:>9}  {published.get((name, task), '')}".rstrip())
    if len(lines) > 2 or not failures:
        print("\n".join([*lines, ""]), end="", flush=True)  # one write, so that `… | head` ends without a traceback
    return failures


if __name__ == "__main__":
    sys.exit(main())
