"""Paired differences and what chance may explain of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.evaluate.comparisons import Difference, difference, sign_test, verdicts

SEVERAL = ([0.9, 0.9, 0.9], [0.87, 0.87, 0.87])


def compared(first: Any, second: Any, seeds: Any = SEVERAL, **columns: Any) -> Difference:
    n = len(first)
    rows = {"class": np.arange(n) % 2, "group": np.arange(n), "fold": "holdout"} | columns
    a, b = (pd.Series(np.asarray(v, float)) for v in (first, second))
    found = difference(a, b, pd.DataFrame(rows), seeds)
    assert found is not None
    return found


def test_paired_difference_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(4000) < 0.9, rng.random(4000) < 0.8
    d = compared(first, second)
    assert d.mean == pytest.approx(first.mean() - second.mean(), abs=1e-9)
    expected = 1.96 * math.sqrt((0.9 * 0.1 + 0.8 * 0.2) / 4000)
    assert (d.high - d.low) / 2 == pytest.approx(expected, rel=0.05)
    assert verdicts([d]) == ["better"]
    same = compared(first, first)
    assert verdicts([same]) == ["alike"] and same.discordant == 0
    assert difference(pd.Series([1.0]), pd.Series([1.0], index=[9]), pd.DataFrame(), None) is None


def test_balanced_accuracy_is_compared() -> None:
    """Better on the rare class by as many rows as worse on the frequent one."""
    label = np.repeat([0, 1], [1800, 200])
    first, second = np.ones(2000), np.ones(2000)
    first[:50], second[-50:] = 0, 0
    d = compared(first, second, **{"class": label})
    assert d.mean == pytest.approx(0.5 * 50 / 200 - 0.5 * 50 / 1800)
    assert verdicts([d]) == ["better"]


def test_groups_widen_the_difference() -> None:
    first = np.repeat([1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0], 25)
    second = np.repeat([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0], 25)
    alone = compared(first, second)
    grouped = compared(first, second, group=np.repeat(np.arange(8), 25))
    assert grouped.high - grouped.low > 4 * (alone.high - alone.low)
    few = compared(first, second, group=np.repeat([0, 1, 2, 3], 50))
    assert math.isnan(few.low) and verdicts([few]) == ["unknown"]


def test_random_starts_that_differ_widen_the_difference() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(4000) < 0.9, rng.random(4000) < 0.87
    alike = compared(first, second)
    apart = compared(first, second, ([0.8, 0.9, 1.0], [0.87, 0.87, 0.87]))
    common = compared(first, second, None)
    assert (alike.low, alike.high) == pytest.approx((common.low, common.high))
    assert verdicts([common]) == ["better"] and verdicts([apart]) == ["alike"]
    # Three starts: two degrees of freedom, Student's 4.30 in place of 1.96.
    assert (apart.high - apart.low) / 2 == pytest.approx(4.30 * 0.1 / math.sqrt(3), rel=0.05)


def test_recipes_of_one_random_start_get_no_verdict() -> None:
    first, second = np.ones(1000), np.arange(1000) % 4 > 0
    assert verdicts([compared(first, second, ([1.0], [0.75]))]) == ["unknown"]
    assert verdicts([compared(first, second, ([1.0, 1.0], [0.75]))]) == ["unknown"]
    assert verdicts([compared(first, second, ([], []))]) == [
        "better"
    ]  # nothing of chance in either


def test_four_images_all_one_way_are_no_difference() -> None:
    first, second = np.ones(400), np.ones(400)
    second[:4] = 0
    d = compared(first, second)
    assert d.p == pytest.approx(0.125) and verdicts([d]) == ["alike"]
    assert d.low <= 0 < d.high
    second[:8] = 0
    assert verdicts([compared(first, second)]) == ["better"]


def test_folds_that_differ_widen_the_difference() -> None:
    first = np.ones(1000)
    second = np.concatenate([np.arange(200) % 20 >= a for a in (0, 1, 2, 6, 8)])
    fold = np.repeat(np.arange(5), 200)
    one, five = compared(first, second, None), compared(first, second, None, fold=fold)
    assert five.high - five.low > 3 * (one.high - one.low)


def test_several_verdicts_hold_together() -> None:
    """Holm: the smallest p by a third of 0.05, the next by a half, and none after a failure."""

    def of(p: float) -> Difference:
        return Difference(-0.1, -0.2, 0.0, p, 100, 50, True)

    assert verdicts([of(0.016), of(0.024), of(0.049)]) == ["worse", "worse", "worse"]
    assert verdicts([of(0.017), of(0.018), None, of(0.019)]) == ["alike", "alike", None, "alike"]
    assert verdicts([of(0.03), of(0.001)]) == ["worse", "worse"]
    assert verdicts([of(0.03)]) == ["worse"]


def test_the_sign_test_is_scipy_s() -> None:
    from scipy import stats

    for of in (1, 2, 7, 24):
        for ups in range(of + 1):
            theirs = stats.binomtest(ups, of)
            ends = theirs.proportion_ci(0.95)
            found = sign_test(ups, of)
            assert found == pytest.approx((theirs.pvalue, ends.low, ends.high), abs=1e-12)
