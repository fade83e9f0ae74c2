"""What a run shows of Snakemake's own words: how many jobs are done, and whatever goes wrong.

Each job says itself what it found. VERBOSE=1 shows all; Snakemake's log in .snakemake/log has all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from darkroom.machine.stage import verbose
from darkroom.machine.units import rough_duration

EVENTS = (
    "run_info",
    "workflow_started",
    "job_info",
    "job_started",
    "job_finished",
    "group_info",
    "shellcmd",
)
OPENINGS = (
    "Assuming unrestricted",
    "Building DAG",
    "Complete log",
    "Conda environments",
    "Elapsed time",
    "Execute ",
    "Provided cores",
    "Rules claiming",
    "Select jobs",
    "Using shell",
)
STOPPED = "stopped; run the same command to go on"
APART = 5  # seconds between two lines of progress


class Terminal(logging.Filter):
    """Leaves out what only tells that Snakemake is at work, until something fails.

    Parameters
    ----------
    say : called with each line of progress.
    clock : gives seconds.
    """

    def __init__(
        self, say: Callable[[str], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.say, self.clock = say, clock
        self.began = self.printed = clock()
        self.failed = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether Snakemake prints a record."""
        event = str(getattr(record, "event", ""))
        if event == "progress":
            self._progress(getattr(record, "done", 0), getattr(record, "total", 0))
            return False
        self.failed |= record.levelno >= logging.ERROR
        if self.failed or record.levelno > logging.INFO:
            return True
        return event not in EVENTS and not str(record.msg).startswith(OPENINGS)

    def _progress(self, done: int, total: int) -> None:
        now = self.clock()
        if done < total and now - self.printed < APART:
            return
        self.printed = now
        left = (now - self.began) * (total - done) / max(done, 1)
        known = total / 4 <= done < total  # the first jobs tell little of the others
        about = f", about {rough_duration(left)} left" if known else ""
        self.say(f"{done} of {total} jobs done{about}")


def quieten(say: Callable[[str], Any]) -> None:
    """Let this run show what a person needs; not where VERBOSE is set."""
    if not verbose():
        for handler in logging.getLogger("snakemake.logging").handlers:
            if handler.name == "DefaultStreamHandler":
                handler.addFilter(Terminal(say))
