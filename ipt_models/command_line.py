"""How a command ends: with its own exit status; with 2 and one line `error: …` on bad input; with 130 after Ctrl-C."""

import contextlib
import sys
from collections.abc import Callable

BAD_INPUT = 2
INTERRUPTED = 130


class InputError(ValueError):
    """A problem with what the user gave, in one readable message."""


def exit_status(
    command: Callable[[], int | None], bad_input: tuple[type[Exception], ...] = (InputError, OSError)
) -> int:
    """Run a command; its exit status.

    Args:
        command: returns its status; None means 0.
        bad_input: the errors that are the user's to mend; others keep their traceback.
    """
    try:
        return command() or 0
    except bad_input as error:
        return fail(error, BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def fail(message: object, status: int = 1) -> int:
    """Say why a command ends; returns its exit status."""
    # Under Snakemake stderr is a log file, perhaps on the disk that is full; stdout is not.
    for stream in (sys.stderr, sys.stdout):
        with contextlib.suppress(OSError):
            print(f"error: {message}", file=stream, flush=True)
            break
    return status
