"""Paired differences and what chance may explain of them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from darkroom.evaluate.comparisons import difference


def test_paired_difference_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    first = pd.Series(rng.random(4000) < 0.9)
    second = pd.Series(rng.random(4000) < 0.8)
    d = difference(first.astype(float), second.astype(float))
    assert d is not None
    assert d.mean == pytest.approx(first.mean() - second.mean())
    expected = 1.96 * math.sqrt((0.9 * 0.1 + 0.8 * 0.2) / 4000)
    assert (d.high - d.low) / 2 == pytest.approx(expected, rel=0.05)
    assert d.distinct
    same = difference(first.astype(float), first.astype(float))
    assert same is not None
    assert not same.distinct
    assert same.discordant == 0


def test_groups_widen_the_difference() -> None:
    first = pd.Series(np.repeat([1.0, 0.0, 1.0, 1.0], 25))
    second = pd.Series(np.repeat([0.0, 0.0, 1.0, 0.0], 25))
    alone = difference(first, second)
    grouped = difference(first, second, pd.Series(np.repeat(list("abcd"), 25)))
    assert alone is not None
    assert grouped is not None
    assert grouped.high - grouped.low > 4 * (alone.high - alone.low)
    assert difference(first, pd.Series([1.0], index=[999])) is None


def test_random_starts_that_differ_widen_the_difference() -> None:
    rng = np.random.default_rng(1)
    first = pd.Series((rng.random(4000) < 0.9).astype(float))
    second = pd.Series((rng.random(4000) < 0.87).astype(float))
    alike = difference(first, second, runs=([0.9, 0.9, 0.9], [0.87, 0.87, 0.87]))
    apart = difference(first, second, runs=([0.8, 0.9, 1.0], [0.87, 0.87, 0.87]))
    single = difference(first, second, runs=([0.9], [0.87]))
    alone = difference(first, second)
    assert alone and alike and apart and single
    assert (alike.low, alike.high) == pytest.approx((alone.low, alone.high))
    assert single == alone and alone.distinct and not apart.distinct
    # Three starts: two degrees of freedom, Student's 4.30 in place of 1.96.
    assert (apart.high - apart.low) / 2 == pytest.approx(4.30 * 0.1 / math.sqrt(3), rel=0.05)
