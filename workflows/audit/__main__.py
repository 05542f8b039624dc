"""`python -m workflows.audit <command>`: check an experiment, compare two, publish one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Each command imports what it needs, so that --help is there at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0, 1 where `verify` or `--within` finds a difference, or 2 with a message on bad input."""
    options = _parser().parse_args(arguments)
    from workflows.analysis.records import ReportError

    try:
        return options.run(options) or 0
    except (ReportError, OSError) as error:
        print(f"workflows.audit {options.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    verify = commands.add_parser(
        "verify", help="check an experiment from data to table; exit status 1 if something changed"
    )
    verify.add_argument("experiment_dir", type=Path, help="results/<name>")
    verify.set_defaults(run=_verify)

    compare = commands.add_parser("compare-experiments", help="paired differences between two experiments")
    compare.add_argument("first", type=Path, help="results/<name>")
    compare.add_argument("second", type=Path, help="results/<name>")
    compare.add_argument("--out", type=Path, help="also write the differences as .csv")
    compare.add_argument(
        "--within", type=float, metavar="DB", help="exit status 1 where an image differs by more, or has no partner"
    )
    compare.set_defaults(run=_compare)

    publish = commands.add_parser("publish", help="copy what of an experiment is worth keeping in a repository")
    publish.add_argument("experiment_dir", type=Path, help="results/<name>")
    publish.add_argument("out", type=Path, help="for example results/reference/<name>")
    publish.set_defaults(run=_publish)
    return parser


def _verify(options: argparse.Namespace) -> int:
    from workflows.audit.verify import ABSENT, CHANGED, OK, verify

    count = dict.fromkeys((OK, CHANGED, ABSENT), 0)
    for finding in verify(options.experiment_dir):
        count[finding.state] += 1
        if finding.state != OK:
            print(f"{finding.state}: {finding.what}" + (f": {finding.why}" if finding.why else ""))
    print(", ".join(f"{number} {state}" for state, number in count.items()))
    return int(count[CHANGED] > 0)


def _compare(options: argparse.Namespace) -> int:
    from workflows.audit.compare_experiments import agreement, blocks, compare
    from workflows.files import write_csv
    from workflows.reporting.markup import to_markdown

    print(to_markdown(blocks(options.first, options.second), "The two experiments have no score in common."))
    if options.out:
        write_csv(compare(options.first, options.second), options.out)
    if options.within is None:
        return 0
    agrees, message = agreement(options.first, options.second, options.within)
    print(message)
    return int(not agrees)


def _publish(options: argparse.Namespace) -> None:
    from workflows.audit.publish import excerpt

    files = excerpt(options.experiment_dir, options.out)
    size = sum((options.out / file).stat().st_size for file in files)
    print(f"{options.out}: {len(files)} files, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    sys.exit(main())
