"""What is worse beyond chance is found, and what is not is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from darkroom.evaluate.slices import LEAST, Slice, slices


def looked(seed: int, dark: float = 0.0, n: int = 600) -> list[Slice]:
    """Slices of images whose third class is hard and bright; `dark` of the dark are missed."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 3, n)
    brightness = random.random(n) + label / 4
    right = random.random(n) < np.array([0.95, 0.9, 0.6])[label]
    right &= ~((brightness < 0.5) & (random.random(n) < dark))
    group, properties = np.arange(n), {"brightness": brightness, "size": random.random(n)}
    return slices(right.astype(float), label, group, [str(i) for i in range(n)], properties)


def test_a_hard_class_makes_no_slice_worse() -> None:
    alarms = sum(any(one.worse for one in looked(seed)) for seed in range(40))
    assert alarms <= 3


def test_a_planted_slice_is_the_worst() -> None:
    for seed in range(5):
        first, *rest = looked(seed, dark=0.4)
        assert first.worse and first.by == "brightness" and first.name.startswith("up to")
        assert not any(one.worse for one in rest if one.by == "size")


def test_how_much_less_and_how_surely() -> None:
    """Of one class and images that are groups: the difference of two shares, and nearly chi²."""
    right = np.repeat([1.0, 0.0, 1.0, 0.0], [40, 20, 110, 10])
    value = np.repeat([0.0, 1.0, 2.0], 60)
    found = slices(right, np.zeros(180, int), np.arange(180), ["g"] * 180, {"size": value})
    first = found[0]
    assert (first.images, first.accuracy) == (60, pytest.approx(40 / 60))
    assert first.less == pytest.approx(110 / 120 - 40 / 60)
    exact = chi2_contingency([[40, 20], [110, 10]], correction=False).pvalue
    assert exact < first.p < 0.001
    assert first.low < first.accuracy < first.high


def test_a_large_group_is_a_slice_and_few_groups_are_none() -> None:
    group = np.r_[np.zeros(50, int), np.arange(1, 201)]
    right = np.ones(250)
    right[:25] = 0
    names = ["clinic", *map(str, range(1, 201))]
    found = slices(right, np.arange(250) % 2, group, names, {})
    assert [(one.by, one.name, one.images, one.worse) for one in found] == [
        ("group", "clinic", 50, True)
    ]
    few = np.arange(250) % (LEAST - 1)
    value = np.arange(250.0)
    assert not [
        one
        for one in slices(right, np.arange(250) % 2, few, names, {"size": value})
        if one.by == "size"
    ]
