"""What a command of this machine says, where it is there and answers."""

from __future__ import annotations

import shutil
import subprocess


def said(*command: str, timeout: float = 20) -> str | None:
    """Standard output of a command, or None where it is missing, fails or hangs.

    Parameters
    ----------
    command : its words.
    timeout : seconds.
    """
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
