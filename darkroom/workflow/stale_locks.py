"""A run that was killed leaves a lock and perhaps a job behind; neither may stop the next run.

Snakemake's own lock is a file, which outlives a killed process. Beside it stands one
that does not: `flock` on `.snakemake/darkroom.lock`, held by each run while it lives.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_held: list[IO[str]] = []  # open for as long as this process lives


def clear_stale_lock(folder: Path, say: Callable[[str], Any] = print) -> bool:
    """Remove Snakemake's lock when the run that set it is dead; whether there was one.

    The lock stays where a living run holds it, where the last run was on another machine
    (a shared file system may not carry `flock` across), and where there is no `flock`.

    Parameters
    ----------
    folder : the working directory of the run.
    say : called with a sentence where the file system refuses `flock` and a lock is there.
    """
    locks = folder / ".snakemake" / "locks"
    try:
        import fcntl

        path = folder / ".snakemake" / "darkroom.lock"
        path.parent.mkdir(exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # a run lives: Snakemake says so
        return False
    except (ImportError, OSError) as error:
        if any(locks.glob("*.lock")):
            said = getattr(error, "strerror", None) or error
            say(
                f"{locks}: a run is going on here or was cut off; which of the two is not known, as "
                f"this file system gives no locks ({said}); if none is going on: snakemake --unlock"
            )
        return False
    _held.append(file)
    file.seek(0)
    last, here = file.read().strip(), socket.gethostname()
    stale = list(locks.glob("*.lock"))
    if stale and last not in ("", here):  # its name stays too: the next try is refused as well
        return False
    if last != here:
        with contextlib.suppress(OSError):  # a full disk: the run itself will say so
            file.truncate(0)
            file.write(here)
            file.flush()
    for lock in stale:
        lock.unlink(missing_ok=True)
    return bool(stale)


def alone(folder: Path) -> bool:
    """Whether this run has its folder to itself; to be asked before Snakemake sets its own lock.

    Not where a run lives, here or, as far as a lock tells, on another machine.
    """
    return bool(_held) and not any((folder / ".snakemake" / "locks").glob("*.lock"))


def end_leftover_jobs(folder: Path) -> list[str]:
    """Cancel the jobs that a killed run has left with Slurm, and wait until they are gone.

    This run will submit the same jobs again; two of one job would write the same files. Only
    for a run that has the folder to itself, and only jobs that Snakemake submitted in it.

    Parameters
    ----------
    folder : the working directory of the run.

    Returns
    -------
    Their numbers in Slurm.
    """
    if shutil.which("squeue") is None or shutil.which("scancel") is None:
        return []
    # A job is marked there from its submission to its end. Whose number it has in Slurm is not
    # to be had there: the job's own Snakemake marks it anew, without a number.
    marks = (folder / ".snakemake" / "incomplete").rglob("*")
    if not any(mark.is_file() for mark in marks):
        return []
    left = _submitted(folder)
    if left:
        subprocess.run(["scancel", *left], capture_output=True, check=False)
    deadline = time.monotonic() + 120
    while left and set(left) & set(_submitted(folder)) and time.monotonic() < deadline:
        time.sleep(1)
    return left


def _submitted(folder: Path) -> list[str]:
    """Numbers of this person's jobs in Slurm's queue that Snakemake submitted in a folder."""
    command = ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%F|%Z|%k"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return []
    found = []
    for line in answer.stdout.splitlines():
        number, _, rest = line.strip().partition("|")
        if rest.startswith((f"{folder.absolute()}|rule_", f"{folder.absolute()}|group_")):
            found.append(number)
    return list(dict.fromkeys(found))
