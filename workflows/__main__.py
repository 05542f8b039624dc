"""Every command of the suite behind one name: `ipt-bench` lists them, `ipt-bench audit …` is `python -m workflows.audit …`."""

import runpy
import sys
from collections.abc import Sequence

from ipt_models.suggestions import nearest
from workflows.command_line import BAD_INPUT, fail

# In the order in which data flows; the two model packages first.
COMMANDS = {
    "ipt_models": ("ipt_models", "the IPT network: list sizes, share a checkpoint, convert the authors'"),
    "baselines": ("baselines", "the other networks: list them with parameters and multiply-adds"),
    "data": ("workflows.data", "generate synthetic images, list training images, choose fractions"),
    "training": ("workflows.training", "train one run of an experiment"),
    "evaluation": ("workflows.evaluation", "score a checkpoint, a reference or a folder of restored images"),
    "analysis": ("workflows.analysis", "compute tables from scores"),
    "reporting": ("workflows.reporting", "render tables, figures and the page"),
    "partial_report": ("workflows.partial_report", "report an unfinished experiment"),
    "audit": ("workflows.audit", "verify an experiment, compare two, publish one"),
    "planning": ("workflows.planning", "estimate what an experiment costs"),
    "pieces": ("workflows.planning.pieces", "run a grid without Snakemake, in pieces of a few minutes"),
    "launch": ("workflows.launch", "start a job on the GPUs that it claims"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """List the commands, or run one with the arguments that follow its name."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
        end = "`ipt-bench COMMAND --help` explains one; whole experiments run with Snakemake."
        # One write, so that `ipt-bench | head` ends without a traceback.
        print("\n".join(["usage: ipt-bench COMMAND [ARGUMENTS]", "", *lines, "", end, ""]), end="")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        return fail(f"unknown command {name!r}{nearest(name, COMMANDS)}; known are {', '.join(COMMANDS)}", BAD_INPUT)
    module, _ = COMMANDS[name]
    sys.argv = [f"ipt-bench {name}", *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
