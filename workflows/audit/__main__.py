"""`python -m workflows.audit <command>`: verify an experiment's files, compare two experiments, publish one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from workflows.command_line import exit_status, from_zero

WITHIN = 0.3  # dB between two trainings of one network on other hardware

# Each command imports what it needs, so that --help is there at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status is 1 where something changed or differs."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    verify = commands.add_parser("verify", help="check files from images to tables; exit status 1 if something changed")
    verify.add_argument("experiment_dir", type=Path, help="results/<name>")
    verify.set_defaults(run=_verify)

    compare = commands.add_parser("compare-experiments", help="paired differences between two experiments")
    compare.add_argument("first", type=Path, help="results/<name>")
    compare.add_argument("second", type=Path, help="results/<name>")
    compare.add_argument("--out", type=Path, help="also write the differences as .csv")
    compare.add_argument(
        "--within",
        type=from_zero,
        nargs="?",
        const=WITHIN,
        metavar="DB",
        help="exit status 1 if a network's mean over a set differs by more, or a score exists in only one experiment "
        f"(default {WITHIN:g})",
    )
    compare.set_defaults(run=_compare)

    publish = commands.add_parser("publish", help="copy the files for a paper's supplement or a repository")
    publish.add_argument("experiment_dir", type=Path, help="results/<name>")
    publish.add_argument("out", type=Path, help="for example results/reference/<name>; an older copy is replaced")
    publish.add_argument(
        "--summary", action="store_true", help="only the config, tables and figures, without scores and logs"
    )
    publish.set_defaults(run=_publish)
    return parser


def _verify(options: argparse.Namespace) -> int:
    from workflows.audit.verify import ABSENT, CHANGED, LEFT_OVER, OK, verify

    count = dict.fromkeys((OK, CHANGED, ABSENT, LEFT_OVER), 0)
    for finding in verify(options.experiment_dir):
        count[finding.state] += 1
        if finding.state != OK:
            print(f"{finding.state}: {finding.what}" + (f": {finding.why}" if finding.why else ""))
    print(", ".join(f"{number} {state}" for state, number in count.items()))
    return int(count[CHANGED] > 0)


def _compare(options: argparse.Namespace) -> int:
    from workflows.audit.compare_experiments import agreement, differences, to_markdown
    from workflows.files import write_csv

    compared = differences(options.first, options.second)
    print(to_markdown(compared, options.first, options.second))
    if options.out:
        write_csv(compared, options.out)
    if options.within is None:
        return 0
    agrees, sentence = agreement(options.first, options.second, options.within)
    print(sentence)
    return int(not agrees)


def _publish(options: argparse.Namespace) -> None:
    from workflows.audit.publish import publish

    out = options.out.resolve()  # before the current folder is replaced, if it is that
    files = publish(options.experiment_dir, out, options.summary)
    size = sum((out / file).stat().st_size for file in files)
    print(f"{options.out}: {len(files)} files, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    sys.exit(main())
