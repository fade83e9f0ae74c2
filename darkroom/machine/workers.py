"""Worker processes for work that falls into blocks: each fills its part of a mapped file.

Processes, not threads: a small image takes some 30 µs to decode, of which half is
Python's, so threads wait for each other. Workers are forked and inherit what the work
reads; nothing comes back but word that a block is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import multiprocessing
import signal
import tempfile
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from darkroom.errors import UserError
from darkroom.machine.progress import progress

log = logging.getLogger(__name__)

Work = Callable[[int, int], None]

LIMIT = 300.0
"""Seconds of computing that an image may take in a worker; of waiting for a disk there may be more."""


LARGE = 100_000_000
"""Bytes of pixels from which workers decode in turn."""

_turns: Any = None  # in a worker: the file of its pool that `in_turn` locks


def block_size(n: int, item_bytes: int, threads: int) -> int:
    """Items in a block: at most 256 or 8 MB, and some blocks for each worker."""
    fair = -(-n // (16 * threads))
    return max(1, min(256, (8 << 20) // max(item_bytes, 1), fair))


def in_blocks(work: Work, n: int, *, block: int, threads: int, what: str) -> None:
    """Call `work(start, stop)` on blocks that together cover 0 … n, in worker processes.

    Parameters
    ----------
    work : fills entries [start, stop); must not depend on the order of blocks.
    n : number of items.
    block : items a call.
    threads : processes; 1 runs it here.
    what : words before the progress bar.

    Raises
    ------
    UserError, OSError
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
            with Pool(work, threads) as pool:
                for start, stop, _ in pool.each(blocks):
                    bar.update(stop - start)


class Pool:
    """Worker processes that stay for several rounds of blocks; all are started at once.

    A process that is forked beside the threads of a large library may never wake, so the pool
    is made before such a library is imported.

    Parameters
    ----------
    work : called in the workers on a block; what it returns comes back and should be small.
    threads : processes.
    crashed : gives the answer for a block of one item whose worker died, from its start and how
        the worker died; the items of a larger block are then tried one by one. Without it, a
        dead worker ends the round.
    """

    def __init__(
        self,
        work: Callable[[int, int], Any],
        threads: int,
        crashed: Callable[[int, str], Any] | None = None,
    ) -> None:
        self.work, self.crashed = work, crashed
        self.idle: list[Connection] = []
        self.workers: dict[Connection, BaseProcess] = {}
        self.doing: dict[Connection, tuple[int, int]] = {}
        self.turns = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the pool
        for _ in range(threads):
            self._start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for connection, process in self.workers.items():
            connection.close()  # a waiting worker ends by it
            if self.doing:
                process.terminate()
        for process in self.workers.values():
            process.join()
        self.turns.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process: BaseProcess = context.Process(
            target=_serve,
            args=(self.work, theirs, [ours, *self.workers], self.turns),
            daemon=True,
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads: those of the linear algebra
            # library and of the progress bar, which no worker needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        self.workers[ours] = process
        self.idle.append(ours)

    def each(self, blocks: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, Any]]:
        """Blocks as they are done, in no order: start, stop, what `work` returned.

        Raises
        ------
        UserError
            Raised by `work`, or a worker was killed (mostly: memory ran out).
        OSError
            Raised by `work`, with the worker's traceback as a note.
        RuntimeError
            Any other error of `work`, with its traceback.
        """
        todo = deque(blocks)
        while todo or self.doing:
            while todo and self.idle:
                ready = self.idle.pop()
                self.doing[ready] = todo.popleft()
                with contextlib.suppress(OSError):  # of one that just died: seen below
                    ready.send(self.doing[ready])
            for done in wait(list(self.doing)):
                assert isinstance(done, Connection)
                start, stop = self.doing[done]
                try:
                    answer = done.recv()
                except (EOFError, OSError):
                    process = self.workers.pop(done)
                    del self.doing[done]
                    done.close()
                    process.join()
                    how = ending(process.exitcode or 0)
                    if self.crashed is None:
                        raise _killed(how, start, stop) from None
                    self._start()
                    if stop - start > 1:
                        todo.extendleft((i, i + 1) for i in range(start, stop))
                    else:
                        yield start, stop, self.crashed(start, how)
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                del self.doing[done]
                self.idle.append(done)
                yield start, stop, answer


def limit(items: int) -> None:
    """Let the system end this process when it computes longer than so many images may; 0: never.

    It ends within a decoder's own loop too, where no handler of ours would be called. Called
    anew before each block.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, LIMIT * items)


def next_item() -> None:
    """Give the next image of a block the time of one image; without effect outside a worker."""
    if signal.getitimer(signal.ITIMER_PROF)[0]:
        signal.setitimer(signal.ITIMER_PROF, LIMIT)


@contextlib.contextmanager
def in_turn(size: int) -> Iterator[None]:
    """Let one worker of a pool at a time hold something large, so memory does not grow with them.

    The turn of a worker that dies is free again. Without effect outside a worker.

    Parameters
    ----------
    size : bytes; what is smaller than `LARGE` waits for nobody.
    """
    if size < LARGE or _turns is None:
        yield
        return
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.lockf(_turns, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.lockf(_turns, fcntl.LOCK_UN)


def ending(code: int) -> str:
    """How a worker ended, by its exit code: `signal SIGKILL`, `status 3`."""
    if code == -signal.SIGPROF:
        return f"the limit of {LIMIT:g} s of computing for an image: it hangs"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"


def _killed(how: str, start: int, stop: int) -> UserError:
    if "hangs" in how:
        why = "find the image (run again with --cores 1 to see where it stays) and take it out"
    elif how == "signal SIGBUS":
        why = "a file that it maps was cut, or the disk is full; free some and run again"
    else:
        why = "most often memory ran out; run again with fewer cores or more memory"
    return UserError(f"a worker process ended by {how} between images {start} and {stop}: {why}")


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


def _serve(
    work: Callable[[int, int], Any],
    connection: Connection,
    others: list[Connection],
    turns: Any = None,
) -> None:
    """A worker: one block after another until the parent closes its end, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    global _turns
    _turns = turns
    for other in others:  # else a dead parent's ends would stay open here
        other.close()
    while True:
        try:
            start, stop = connection.recv()
        except (EOFError, OSError):
            return
        answer: Any
        limit(stop - start)
        try:
            answer = work(start, stop)
        except UserError as error:
            answer = error
        except OSError as error:  # with its number and file, which say what the disk refused
            error.add_note(f"items {start} to {stop}:\n{traceback.format_exc()}")
            answer = error
        except Exception:
            answer = RuntimeError(f"images {start} to {stop}:\n{traceback.format_exc()}")
        limit(0)
        try:
            connection.send(answer)
        except OSError:
            return
