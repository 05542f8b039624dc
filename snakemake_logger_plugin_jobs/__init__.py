"""Snakemake's terminal output: one line for each job that ends, one progress line, and errors with their cause last.

Snakemake finds a logger plugin by the name of its module, and `profiles/default` selects this one. No published plugin prints
a job's result: `rich` draws one bar per rule. Snakemake's own log in `.snakemake/log` has everything else. With `--dry-run`,
`--verbose` or `--printshellcmds` Snakemake's own format is printed.
"""

import argparse
import contextlib
import re
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from logging import WARNING, LogRecord
from pathlib import Path
from typing import ClassVar

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from tqdm import tqdm

# Messages that Snakemake prints on every call and for every job. All others are printed.
ROUTINE = re.compile(
    r"Assuming unrestricted shared|Building DAG|Using shell|host:|Conda environments: ignored|Select jobs|Execute \d+ jobs"
    r"|Job stats|Complete log|Exiting because a job|At least one job did not complete|WorkflowError:\s*At least one job"
)
# A rule's command that failed: the line that begins with FAILED, and the end, tell it in fewer words.
COMMAND_FAILED = re.compile(r"RuleException:\s*CalledProcessError")
KILLED = re.compile(
    r"died with <Signals\.SIGKILL|returned non-zero exit status 137"
)  # of the job, or of its shell's command
NO_CONFIG = re.compile("Config file is not valid JSON or YAML|Config file must be given as JSON or YAML")
TRACEBACK = re.compile(r'^\s*File ".*", line \d+.*$\n?', re.MULTILINE)
SHOWN_LINES = 20  # of a failed job's log
SPARE_BYTES = 2**20  # a disk with less free space counts as full


@dataclass
class Job:
    """One job between its start and its end."""

    name: str
    logs: list[Path]
    started: float = field(default_factory=time.monotonic)
    killed: str = ""

    def ended(self) -> str:
        """Why it was killed, or else the last line of its log."""
        return self.killed or self.says()

    def says(self) -> str:
        """The last line of its log, without the run's name at its start."""
        line = next(iter(reversed(_lines(self.logs))), "")
        return line.removeprefix(f"{self.name.split()[-1]}: ").lstrip()


def _lines(logs: list[Path]) -> list[str]:
    """The lines of a log as a terminal shows them: of a progress bar only the last state."""
    text = ""
    for log in logs:
        with contextlib.suppress(OSError):
            text += log.read_text(encoding="utf-8", errors="replace") + "\n"
    return [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n") if line.strip()]


def _config_errors() -> str:
    """Why the config files of this call cannot be read."""
    from workflows.config import messages, reading

    parser, errors = argparse.ArgumentParser(add_help=False), []
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    for path in parser.parse_known_args()[0].configfile:
        try:
            reading.load(path)
        except messages.ConfigError as error:
            errors.append(str(error))
    return "\n".join(errors)


class LogHandler(LogHandlerBase):
    """Prints to stderr. Snakemake calls `emit` from one thread; a second one refreshes the progress line."""

    writes_to_stream, writes_to_file, needs_rulegraph = True, False, False
    has_filter = has_formatter = False  # Snakemake's own handler, for `--quiet` and for its own format

    def __post_init__(self) -> None:
        self.running: dict[int, Job] = {}
        self.failures: list[tuple[Job, str]] = []
        self.killed: list[str] = []  # commands, as Snakemake words them
        self.ended = self.total = 0
        self.bar: tqdm | None = None
        self.closed = threading.Event()
        settings = self.common_settings
        self.plain = settings.dryrun or settings.verbose or settings.printshellcmds

    def emit(self, record: LogRecord) -> None:
        """Print the message of `record`."""
        try:
            event = getattr(record, "event", None)
            if NO_CONFIG.search(record.getMessage()) and (errors := _config_errors()):
                self._write(errors)  # Snakemake names neither the file nor the line
            elif self.plain:
                self._write(self.format(record))
            elif event in self.EVENTS:
                self.EVENTS[event](self, record)
            elif event == LogEvent.ERROR or record.levelno >= WARNING or event is None:
                text = TRACEBACK.sub("", self.format(record)).strip()
                if COMMAND_FAILED.match(text):
                    self.killed += [text] * bool(KILLED.search(text))
                elif text and text != "None" and not ROUTINE.match(text):
                    self._write(text)
        except Exception:
            self.handleError(record)

    def _begin(self, record: LogRecord) -> None:
        """The run's jobs are known."""
        counts = {name: number for name, number in record.stats.items() if name not in ("total", "all")}
        self.total = record.stats.get("total", 0)
        listed = ", ".join(f"{number} {name}" for name, number in counts.items())
        self._write(f"{self.total} jobs: {listed}" if listed else "0 jobs")
        if self.bar is None and sys.stderr.isatty():
            shown = {"file": sys.stderr, "leave": False, "dynamic_ncols": True}
            self.bar = tqdm(total=self.total, bar_format="{n}/{total} jobs, {elapsed}{postfix}", **shown)
            threading.Thread(target=self._refresh, args=[self.bar], daemon=True).start()

    def _start(self, record: LogRecord) -> None:
        words = [record.rule_name, *map(str, record.wildcards.values())]
        self.running[record.jobid] = Job(record.rule_msg or " ".join(words), [Path(log) for log in record.log])

    def _finish(self, record: LogRecord) -> None:
        job = self.running.pop(record.job_id, None)
        self.ended += 1
        if self.bar is not None:
            self.bar.update()
        if job is not None:  # Snakemake has retried it
            self.failures = [failure for failure in self.failures if failure[0].name != job.name]
        if job is not None and job.logs:
            said, seconds = job.says(), time.monotonic() - job.started
            count = f"[{self.ended:>{len(str(self.total))}}/{self.total}]"
            self._write(f"{count} {job.name}, {seconds:.0f} s" + f": {said}" * bool(said))

    def _fail(self, record: LogRecord) -> None:
        job = self.running.pop(record.jobid, None) or Job(record.rule_name, [Path(log) for log in record.log])
        of_job = [text for text in self.killed if any(str(log) in text for log in job.logs)]
        if of_job:
            self.killed = [text for text in self.killed if text not in of_job]
            job.killed = "killed (SIGKILL), perhaps because memory ran out"
        self.failures.append((job, self.format(record)))
        said = job.ended()
        self._write(f"FAILED: {job.name}, {time.monotonic() - job.started:.0f} s" + f": {said}" * bool(said))
        if job.logs:
            self._write(f"  log: {', '.join(map(str, job.logs))}")

    # Jobs that end count as progress; commands and resources are only in Snakemake's log.
    EVENTS: ClassVar = {
        LogEvent.RUN_INFO: _begin,
        LogEvent.JOB_INFO: _start,
        LogEvent.JOB_FINISHED: _finish,
        LogEvent.JOB_ERROR: _fail,
    }

    def _refresh(self, bar: tqdm) -> None:
        """Once a second, show the running jobs' progress from the last lines of their logs."""
        while not self.closed.wait(1):
            states = [
                f"{job.name}{': ' * bool(said)}{said}" for job in list(self.running.values()) for said in [job.says()]
            ]
            bar.set_postfix_str("; ".join(states))

    def _write(self, text: str) -> None:
        tqdm.write(text, file=sys.stdout if self.common_settings.stdout else sys.stderr)

    def close(self) -> None:
        """End the progress line, and print why jobs failed; Snakemake calls this more than once."""
        self.closed.set()
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        for job, text in self.failures:
            lines = _lines(job.logs)[-SHOWN_LINES:] or ([] if job.killed else text.splitlines())
            lines += [job.killed] * bool(job.killed)
            # Then the cause may be missing from the log.
            full = [log for log in job.logs if log.parent.exists() and shutil.disk_usage(log.parent).free < SPARE_BYTES]
            lines += [f"No space is left on the disk of {log}" for log in full]
            self._write("\n".join([f"\n{job.name} failed:", *(f"  {line}" for line in lines)]))
        self.failures.clear()
        super().close()
