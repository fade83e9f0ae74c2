"""Commands of Slurm that hold their queue in the current folder: a file for each job in `queue/`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

COMMANDS = {
    "squeue": """#!/bin/sh
for file in queue/*; do [ -f "$file" ] && echo "${file#queue/}|$(cat "$file")"; done
exit 0
""",
    "scancel": """#!/bin/sh
for number; do rm "queue/$number"; done
""",
}


def install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the commands into a folder's `bin`, and that before all others; its queue is empty."""
    for name, text in COMMANDS.items():
        command = root / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (root / "queue").mkdir()
