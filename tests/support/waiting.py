"""Waiting for other processes, as long as the busiest machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600  # seconds


def until(ready: Callable[[], bool]) -> None:
    """Wait until something is so; an error after `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, f"nothing came within {PATIENCE} s"
        time.sleep(0.005)
