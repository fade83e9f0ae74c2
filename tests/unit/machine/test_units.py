"""Numbers with their units, for people."""

from __future__ import annotations

import pytest

from darkroom.machine import units


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.42, "0.4 s"),
        (42.4, "42 s"),
        (61, "1 min 01 s"),
        (3725, "1 h 02 min"),
        (59.7, "1 min 00 s"),
        (119.8, "2 min 00 s"),
        (9.97, "10 s"),
        (3599.9, "1 h 00 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert units.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3.4, "3 s"),
        (89, "89 s"),
        (91, "2 minutes"),
        (5400, "2 hours"),
        (40 * 3600, "40 hours"),
        (2e5, "2 days"),
    ],
)
def test_estimates(seconds: float, words: str) -> None:
    assert units.rough_duration(seconds) == words


def test_counts() -> None:
    assert units.plural(1, "image") == "1 image" and units.plural(2000, "image") == "2,000 images"
    assert units.plural(2, "file has", "files have") == "2 files have"
