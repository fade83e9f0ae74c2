"""Cores and memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from darkroom.machine import hardware
from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor.request import Request


def look(request: Request) -> Iterator[Finding]:
    """How many cores and how much memory a run may use."""
    have = hardware.limits()
    total = os.cpu_count() or 1
    of = f" of {total}" if have.cores < total else ""
    free = _available()
    text = f"{have.cores:g} cores{of}"
    if have.memory is not None:
        text += f", {gib(have.memory)} of memory"
    if free is not None:
        text += f", {gib(min(free, have.memory or free))} of it free now"
    yield Finding("ok", text)
    if have.cores < hardware.cores():
        yield Finding(
            "note",
            f"only {have.cores:g} of {total} cores are yours here (a cgroup's quota): "
            f"--cores {max(1, int(have.cores))} instead of --cores all",
        )


def _available() -> int | None:
    for line in hardware.lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def gib(size: float) -> str:
    """Bytes in words."""
    return f"{size / 2**30:.1f} GiB"
