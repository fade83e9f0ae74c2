"""A job's own process: it ends with the Snakemake that started it, and HDF5 locks no file in it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

PARENT = "DARKROOM_PARENT"


def lock_no_arrays() -> None:
    """Let HDF5 lock no file, in this process (if it is not loaded yet) and those that it starts.

    Keras opens weights by itself, with locks, which many network file systems refuse. Nothing
    here needs them: a file that has its name is whole and no longer written.
    """
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")


def die_with_parent(every: float = 0.5) -> None:
    """End this job when the Snakemake that started it is gone.

    Otherwise a training would go on unseen beside the next run's, on the same files.
    Snakemake's process is named by the environment; one on another machine or in
    another process namespace is not seen, and then not watched.

    Parameters
    ----------
    every : seconds between two looks.
    """
    named = os.environ.get(PARENT, "")
    if not named.isdigit() or not _alive(int(named)):
        return

    def watch() -> None:
        while _alive(int(named)):
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="die_with_parent").start()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"
