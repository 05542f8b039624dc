"""`python -m baselines list`: what each network costs, how far it sees, and what its paper says it costs."""

import argparse
from collections.abc import Sequence

from baselines.variants import PUBLISHED, VARIANTS
from ipt_models.tasks import parse_task
from ipt_models.variants import VARIANTS as IPT_VARIANTS


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(prog="python -m baselines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="a table of the networks for one task")
    listing.add_argument("names", nargs="*", metavar="NETWORK", help="which; all by default")
    listing.add_argument("--task", default="sr2", help="sr2 (default), sr3, sr4, dn30, dr, …")
    arguments = parser.parse_args()
    networks = [*VARIANTS, *IPT_VARIANTS]
    if unknown := [name for name in arguments.names if name not in networks]:
        parser.error(f"unknown network {unknown[0]!r}: known are {', '.join(networks)}")
    try:
        parse_task(arguments.task)
    except ValueError as error:
        parser.error(str(error))
    print_table(arguments.names or networks, arguments.task)


def print_table(names: Sequence[str], task: str) -> None:
    """One row a network; networks that do not do the task say why."""
    from baselines.cost import build_shape, count_macs, count_parameters

    print(f"task {task}; multiply-adds for a 48x48 input; receptive field in input pixels")
    print(f"{'network':<14} {'parameters':>12} {'multiply-adds':>14} {'field':>9}  published parameters")
    for name in names:
        try:
            model = build_shape(name, task)
        except ValueError as error:
            print(f"{name:<14} {error}")
            continue
        parameters = count_parameters(model)
        macs = f"{count_macs(model, task) / 1e9:,.3f} G" if parameters else "-"
        side = getattr(model, "receptive_field", None) or model.patch_size
        published = PUBLISHED.get((name, task), "")
        print(f"{name:<14} {parameters:>12,} {macs:>14} {f'{side}x{side}':>9}  {published}".rstrip())


if __name__ == "__main__":
    main()
