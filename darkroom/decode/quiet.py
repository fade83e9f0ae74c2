"""What C libraries print to stderr (libjpeg, libpng, libtiff): caught, since libjpeg reports damage nowhere else."""

from __future__ import annotations

import os
import tempfile
import threading


class _Quiet:
    """Catch what is written to file descriptor 2 within the `with`.

    Uses are counted, so nested and concurrent ones leave the descriptor as it was; one `with`
    around a block of images spares each of them the system calls. The text belongs for certain
    to one image only where one thread decodes at a time, as in worker processes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._saved = -1
        self._sink = -1
        self._owner = 0

    def __enter__(self) -> _Quiet:
        with self._lock:
            if self._depth == 0:
                if self._owner != os.getpid():  # a fork shares the file's position
                    with tempfile.TemporaryFile() as file:
                        self._sink = os.dup(file.fileno())
                    self._owner = os.getpid()
                self._saved = _dup(2)
                os.dup2(self._sink, 2)
            self._depth += 1
        return self

    def text(self) -> str:
        """What was written since it was last empty."""
        size = os.fstat(self._sink).st_size
        return os.pread(self._sink, min(size, 10_000), 0).decode("utf-8", "replace") if size else ""

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                if os.fstat(self._sink).st_size:
                    os.ftruncate(self._sink, 0)
                    os.lseek(self._sink, 0, os.SEEK_SET)
                if self._saved >= 0:
                    os.dup2(self._saved, 2)
                    os.close(self._saved)


def _dup(number: int) -> int:
    try:
        return os.dup(number)
    except OSError:  # stderr is closed
        return -1


quiet = _Quiet()
