"""Worker processes for work that falls into blocks: each fills its part of a mapped file.

Processes, not threads: a small image takes some 30 µs to decode, of which half is
Python's, so threads wait for each other. Workers are forked and inherit what the work
reads; nothing comes back but word that a block is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import signal
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from darkroom.errors import UserError
from darkroom.progress import Bar, progress

log = logging.getLogger(__name__)

Work = Callable[[int, int], None]


def block_size(n: int, item_bytes: int, threads: int) -> int:
    """Items in a block: at most 256 or 8 MB, and some blocks for each worker."""
    fair = -(-n // (16 * threads))
    return max(1, min(256, (8 << 20) // max(item_bytes, 1), fair))


def in_blocks(work: Work, n: int, *, block: int, threads: int, what: str) -> None:
    """Call `work(start, stop)` on blocks that together cover 0 … n, in worker processes.

    Parameters
    ----------
    work : fills entries [start, stop); must not depend on the order of blocks.
    n : number of items. block : items a call. threads : processes; 1 runs it here.
    what : words before the progress bar.

    Raises
    ------
    UserError
        Raised by `work`, or a worker was killed (mostly: memory ran out).
    RuntimeError
        Any other error of `work`, with its traceback.
    """
    blocks = [(start, min(start + block, n)) for start in range(0, n, block)]
    threads = min(threads, len(blocks))
    _keep_freed_memory()
    with progress(what, n) as bar:
        if threads <= 1:
            for start, stop in blocks:
                work(start, stop)
                bar.update(stop - start)
        else:
            _share(work, blocks, threads, bar)


def _share(work: Work, blocks: list[tuple[int, int]], threads: int, bar: Bar) -> None:
    context = multiprocessing.get_context("fork")
    workers: dict[Connection, BaseProcess] = {}
    doing: dict[Connection, tuple[int, int]] = {}
    todo = iter(blocks)
    try:
        for _ in range(threads):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=_serve, args=(work, theirs, [ours, *workers]), daemon=True
            )
            with warnings.catch_warnings():
                # Python 3.12 warns of a fork beside threads: those of the linear algebra
                # library and of the progress bar, which no worker needs.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            workers[ours] = process
            doing[ours] = next(todo)
            ours.send(doing[ours])
        while doing:
            for ready in wait(list(doing)):
                assert isinstance(ready, Connection)
                start, stop = doing.pop(ready)
                try:
                    error = ready.recv()
                except EOFError:
                    raise _killed(workers[ready], start, stop) from None
                if error is not None:
                    raise error
                bar.update(stop - start)
                following = next(todo, None)
                if following is not None:
                    doing[ready] = following
                    ready.send(following)
    finally:
        for connection, process in workers.items():
            connection.close()  # a waiting worker ends by it
            if doing:
                process.terminate()
        for process in workers.values():
            process.join()


def _killed(process: BaseProcess, start: int, stop: int) -> UserError:
    process.join()
    code = process.exitcode or 0
    why = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
    return UserError(
        f"a worker process ended by {why} between images {start} and {stop}: most often "
        "memory ran out; run again with fewer cores or more memory"
    )


def _keep_freed_memory() -> None:
    """Let the C library keep what an image leaves for the next one (Linux, glibc).

    By its own rule it returns it to the system each time; fetching it again, zeroed page
    by page, is a tenth of the time of a photograph. It keeps 64 MB at most, and forked
    workers take over the setting.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-1, 64 << 20)  # M_TRIM_THRESHOLD
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest value


def _serve(work: Work, connection: Connection, others: list[Connection]) -> None:
    """A worker: one block after another until the parent closes its end, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:  # else a dead parent's ends would stay open here
        other.close()
    while True:
        try:
            start, stop = connection.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            work(start, stop)
        except UserError as error:
            answer = error
        except Exception:
            answer = RuntimeError(f"images {start} to {stop}:\n{traceback.format_exc()}")
        try:
            connection.send(answer)
        except OSError:
            return
