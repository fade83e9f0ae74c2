"""A progress bar that also reads well in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger(__name__)


class Bar(Protocol):
    """What a progress bar does."""

    def update(self, n: int = 1) -> object:
        """Count `n` more as done."""

    def set_postfix_str(self, s: str) -> object:
        """Show a note behind the bar."""


class _Lines:
    """One log line at each tenth of the work, at most one in twenty seconds."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, max(total, 1), unit
        self.done, self.tenths, self.at = 0, 0, time.monotonic()
        self.note = ""

    def update(self, n: int = 1) -> None:
        self.done += n
        tenth = 10 * self.done // self.total
        if tenth > self.tenths and time.monotonic() - self.at > 20:
            self.tenths, self.at = tenth, time.monotonic()
            log.info(
                "%s: %d of %d %s %s",
                self.what,
                self.done,
                self.total,
                self.unit,
                self.note,
            )

    def set_postfix_str(self, s: str) -> None:
        self.note = s


@contextmanager
def progress(what: str, total: int, unit: str = "images") -> Iterator[Bar]:
    """A live bar on a terminal; elsewhere a line in the log now and then.

    Parameters
    ----------
    what : words before the bar.
    total : count of `unit` expected; bytes for unit `B`.
    """
    if not sys.stderr.isatty():
        yield _Lines(what, total, unit)
        return
    from tqdm import tqdm

    scale = unit == "B"
    with tqdm(
        total=total,
        desc=what,
        unit=unit if scale else f" {unit}",
        unit_scale=scale,
        mininterval=0.2,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield bar
