"""Numbers in words, with the digits that matter."""

from __future__ import annotations

import math
from typing import Any


def share(part: float, whole: float) -> str:
    """A percentage with sensible digits."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "below 0.1 %"
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def signed(value: float) -> str:
    """A difference with its sign (a true minus), three digits."""
    if abs(value) < 0.0005:
        return "0.000"
    return f"{value:+.3f}".replace("-", "−")


def number(value: Any, digits: int = 3) -> str:
    """A score in words: never 1.000 for what is not quite 1, nor 0.000 for what is not quite 0."""
    value = float(value)
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    if text == f"{1:.{digits}f}" and value < 1:
        return f"> {1 - 10**-digits:.{digits}f}" if value < 1 - 1e-12 else text
    if float(text) == 0 and value > 1e-12:
        return f"< {10**-digits:.{digits}f}"
    return text


def megabytes(size: float | None) -> str:
    """Bytes in decimal units."""
    if size is None or not math.isfinite(size):
        return "–"
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size:.0f} bytes"


def count(value: float) -> str:
    """A count, or the mean of several."""
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"
