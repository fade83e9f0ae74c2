"""Numbers in words."""

from __future__ import annotations

import math

from darkroom.report import words


def test_numbers_in_words() -> None:
    assert words.number(0.9996) == "> 0.999"
    assert words.number(1.0) == "1.000"
    assert words.number(0.0004) == "< 0.001"
    assert words.number(0.0) == "0.000"
    assert words.number(0.12345) == "0.123"
    assert words.number(math.nan) == "–"
    assert words.share(1, 10_000) == "below 0.1 %"
    assert words.share(1, 3) == "33 %"
    assert words.share(0, 0) == words.share(0, 9) == "0 %"
    assert words.signed(-0.0321) == "−0.032"
    assert words.signed(0.0001) == "0.000"


def test_sizes() -> None:
    assert words.megabytes(1234567) == "1.2 MB"
    assert words.megabytes(99) == "99 bytes"
    assert words.megabytes(None) == "–"
