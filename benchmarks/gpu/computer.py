"""The parent's side of the worker process: start it, request checks, stop it in time. Imports no torch."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.registry import failed

WORKER = (sys.executable, "-m", "benchmarks.gpu.worker")


class WorkerError(RuntimeError):
    """The process ended or was stopped; the message gives the reason."""


class Computer:
    """Runs checks in a process that is restarted if a check ends it.

    Args:
        device: `cuda` or `cpu`.
        log: file for the process's output.
        command: the command to start.
    """

    def __init__(self, device: str, log: Path, command: Sequence[str] = WORKER) -> None:
        self._command, self._log_path = [*command, device], log
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "Computer":
        log = self._log = open(self._log_path, "a", encoding="utf-8")
        log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()

    def start(self) -> dict[str, Any]:
        """Start the process; returns its facts.

        Raises:
            WorkerError: if it cannot start.
        """
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._said: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout, self._said), daemon=True).start()
        message = next(self._messages(time.time() + 600))
        if "error" in message:
            raise WorkerError(message["error"])
        return message["facts"]

    def run(self, name: str, until: float, show: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        """Run a check and return its lines; if the process ended too early, the last line says so.

        Args:
            name: of the check.
            until: time at which it is stopped.
            show: called with each line when it arrives.
        """
        lines: list[dict[str, Any]] = []
        try:
            if self._process is None:
                self.start()
            print(name, file=self._process.stdin, flush=True)
            for message in self._messages(until):
                if "finished" in message:
                    break
                lines.append(message["line"])
                show(lines[-1])
        except (WorkerError, BrokenPipeError) as error:
            lines.append(failed("the check itself", str(error)).as_dict())
            show(lines[-1])
            self.stop()
        return lines

    def stop(self) -> None:
        """End the process and its child processes."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _messages(self, until: float) -> Iterator[dict[str, Any]]:
        while True:
            try:
                line = self._said.get(timeout=max(0.0, until - time.time()))
            except queue.Empty:
                raise WorkerError("it took too long and was stopped") from None
            if line is None:
                status = self._process.wait()
                raise WorkerError(f"the process ended with status {status}; see {self._log_path}")
            yield json.loads(line)

    @staticmethod
    def _read(stream: Any, said: "queue.Queue[str | None]") -> None:
        for line in stream:
            said.put(line)
        said.put(None)
