"""Capture of what libjpeg, libpng and libtiff print to stderr: libjpeg reports damage only there."""

from __future__ import annotations

import os
import tempfile
import threading


class _Quiet:
    """Capture everything written to file descriptor 2 within the `with`.

    Nested and concurrent uses are counted, so the descriptor is restored in the end; one `with`
    around a block of images saves the system calls for each image. The text is certain to belong
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
                if self._owner != os.getpid():  # forked processes would share the file's position
                    with tempfile.TemporaryFile() as file:
                        self._sink = os.dup(file.fileno())
                    self._owner = os.getpid()
                self._saved = _dup(2)
                os.dup2(self._sink, 2)
            self._depth += 1
        return self

    def text(self) -> str:
        """The text captured since the outermost `with` began."""
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
