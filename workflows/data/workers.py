"""Worker processes that cut crops ahead of training, each for its own rows of every batch.

Why not torch's DataLoader: it distributes whole batches or samples, so another process would cut an image's crops for later
batches and decode the image again. It reports a dead worker from a signal handler, which may interrupt the writing of a
checkpoint. And its workers die of the signals by which a cluster announces preemption, before the training can save. Here
workers have no state of their own, write into memory that is allocated once, leave those signals to their parent, and end
with it.
"""

import atexit
import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import suppress
from mmap import mmap
from multiprocessing.connection import Connection, wait

import cv2
import numpy as np

from workflows.data.crops import CropReader


class WorkerPool:
    """One process per reader, up to `prefetch` batches ahead of the requested one.

    Args:
        readers: process w produces the rows of reader w.
        start: number of the first batch.
        prefetch: batches that each process may prepare ahead.
    """

    def __init__(self, readers: Sequence[CropReader], start: int, prefetch: int) -> None:
        self._step = start
        self._readers = readers
        self._workers: list[tuple[multiprocessing.Process, Connection]] = []
        # Anonymous memory, shared by forking, needs no space in /dev/shm (64 MB in many containers).
        context = multiprocessing.get_context("fork")
        self._rings = [
            np.frombuffer(mmap(-1, prefetch * reader.batch_bytes), np.uint8).reshape(prefetch, -1) for reader in readers
        ]
        atexit.register(self.close)  # runs before multiprocessing's own clean-up, which would wait for the workers
        for number, (reader, ring) in enumerate(zip(readers, self._rings, strict=True)):
            ours, theirs = context.Pipe()
            # A worker sees its parent's end closed when the parent dies, unless a worker holds a copy of it.
            inherited = [pipe for _, pipe in self._workers] + [ours]
            process = context.Process(
                target=_work, args=(reader, ring, theirs, inherited, start), name=f"input worker {number}", daemon=True
            )
            process.start()
            theirs.close()
            for _ in range(prefetch):
                ours.send("free")
            self._workers.append((process, ours))

    def next(self, out: np.ndarray) -> None:
        """Put the next batch's crops into `out`, uint8 (rows, side, side, 3).

        Raises:
            OSError: naming an image that a worker could not read.
            ChildProcessError: naming a worker that died.
        """
        first = 0
        for reader, ring, (process, pipe) in zip(self._readers, self._rings, self._workers, strict=True):
            answer = self._receive(process, pipe)
            if isinstance(answer, Exception):
                raise answer
            part = out[first : first + len(reader.rows)]
            part[...] = ring[self._step % len(ring), : part.nbytes].reshape(part.shape)
            first += len(part)
            # A worker that has ended may have left batches and a message to read.
            with suppress(ConnectionError):
                pipe.send("free")
        self._step += 1

    def _receive(self, process: multiprocessing.Process, pipe: Connection) -> Exception | str:
        wait([pipe, process.sentinel])
        try:
            if pipe.poll():
                return pipe.recv()
        except (EOFError, ConnectionError):
            pass
        process.join()
        code = process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return ChildProcessError(
            f"{process.name} (process {process.pid}) {how} while it made batch {self._step}; if memory ran out, "
            "use fewer workers (data.workers), or a smaller data.buffer_images or data.cache_mb"
        )

    def close(self) -> None:
        """End the processes. May be called twice."""
        atexit.unregister(self.close)
        for process, pipe in self._workers:
            process.kill()
            process.join()
            pipe.close()
        self._workers.clear()


def _work(reader: CropReader, ring: np.ndarray, pipe: Connection, inherited: list[Connection], step: int) -> None:
    for other in inherited:
        other.close()
    cv2.setNumThreads(0)  # the cores are shared with the other workers and the training
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    try:
        while True:
            pipe.recv()
            try:
                reader.load(step, ring[step % len(ring)])
            except OSError as error:
                pipe.send(error)
                return
            pipe.send("ready")
            reader.prepare(step)
            step += 1
    except (EOFError, ConnectionError):
        return  # the parent has ended
