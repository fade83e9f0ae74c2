"""Numbers with their units, for people."""

from __future__ import annotations

from typing import Any


def plural(n: Any, one: str, many: str | None = None) -> str:
    """A count with its word: `1 image`, `2,000 images`; `many` where it is not `one` with an s."""
    return f"{int(n):,} {one if n == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """A duration with the digits that matter: `1.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rough_duration(seconds: float) -> str:
    """An estimated duration, in its largest unit: `40 s`, `3 hours`, `2 days`."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size or (unit != "days" and seconds >= 1.5 * size):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
