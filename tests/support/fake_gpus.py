"""Pretended GPUs: an nvidia-smi that lists them. What asks it cannot tell it from the real one."""

from __future__ import annotations

import uuid
from pathlib import Path

SCRIPT = """#!/bin/sh
case "$*" in
  -L) cat <<'END'
{listing}
END
  ;;
  *uuid,memory.total*) cat <<'END'
{memory}
END
  ;;
  *driver_version*) echo 570.86.10 ;;
  *) exit 1 ;;
esac
"""


def uuids(count: int) -> list[str]:
    """Fresh names, so that tests at the same time have GPUs of their own."""
    return [f"GPU-{uuid.uuid4()}" for _ in range(count)]


def install(folder: Path, names: list[str], *, parts: dict[int, list[str]] | None = None) -> Path:
    """Write an nvidia-smi into a folder that is to stand first in PATH.

    Parameters
    ----------
    names : UUIDs of the GPUs, of 40,960 MB each.
    parts : MIG's UUIDs of a GPU, by its number.
    """
    lines = []
    for n, name in enumerate(names):
        lines.append(f"GPU {n}: NVIDIA Pretended-{n} (UUID: {name})")
        for m, part in enumerate((parts or {}).get(n, [])):
            lines.append(f"  MIG 1g.5gb      Device  {m}: (UUID: {part})")
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nvidia-smi"
    memory = "\n".join(f"{name}, 40960" for name in names)
    program.write_text(SCRIPT.format(listing="\n".join(lines), memory=memory))
    program.chmod(0o755)
    return folder
