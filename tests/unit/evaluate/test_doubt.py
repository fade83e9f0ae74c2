"""Calibration, sets of classes and abstention, each with its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from darkroom.evaluate import doubt
from darkroom.evaluate.doubt import Doubt
from darkroom.metrics import calibration_error


def drawn(n: int, too_sure: float, seed: int = 0, groups: int | None = None) -> Doubt:
    """Rows whose confidence is right, and then stretched to be too sure of itself."""
    random = np.random.default_rng(seed)
    right_share = random.uniform(0.4, 1, n)
    right = random.random(n) < right_share
    sure = 1 - (1 - right_share) / too_sure
    group = np.arange(n) if groups is None else np.arange(n) % groups
    return Doubt(group, sure, right, right | (random.random(n) < 0.7), 1.0 + (sure < 0.6), 0.2)


def test_the_measures_count() -> None:
    p = np.float32([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6]])
    truth = np.array([0, 1, 1, 2])
    found = doubt.measured([Doubt.of(truth, p.argmax(axis=1), p, np.arange(4), 0.2)])
    assert list(found) == list(doubt.COLUMNS)
    assert found["set_coverage"] == 0.75 and found["set_size"] == (2 + 2 + 1 + 3) / 4
    assert found["set_coverage_low"] < 0.75 < found["set_coverage_high"]
    # by confidence: wrong at 0.9, right at 0.7 and 0.6, wrong at 0.5
    assert found["aurc"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert np.isnan(found["aurc_low"])  # of four rows


def test_the_calibration_error_is_the_mean_gap() -> None:
    sure = np.repeat([0.9, 0.6], 10)
    right = np.r_[np.arange(10) < 7, np.arange(10) < 6]
    assert calibration_error(sure, right) == pytest.approx((0.2 + 0.0) / 2)


def test_right_probabilities_may_have_no_error_and_sure_ones_have_theirs() -> None:
    held = []
    for seed in range(40):
        fine = doubt.measured([drawn(500, 1.0, seed)])
        held.append(fine["calibration_error_low"] == 0)
        sure = doubt.measured([drawn(500, 2.0, seed)])
        low, high = sure["calibration_error_low"], sure["calibration_error_high"]
        assert 0.01 < low < sure["calibration_error"] <= high < 0.3
        held.append(low <= 0.15 <= high)  # half of the mean of 1 - confidence, 0.3
    assert np.mean(held) > 0.85


def test_three_starts_that_are_right_in_all_rows_may_be_so_by_luck() -> None:
    """With 0.985 as the probability 200 rows are all right once in twenty times."""

    def low(n: int) -> float:
        rows, right = np.arange(n), np.ones(n, bool)
        run = Doubt(rows, np.full(n, 0.985), right, right, np.ones(n), 0.2)
        found = doubt.measured([run] * 3, range(3))
        assert found["calibration_error"] == pytest.approx(0.015)
        return found["calibration_error_low"]

    assert low(200) == 0 < low(600)
    assert np.isnan(low(199))


def test_groups_and_seeds_widen_the_interval_of_the_error() -> None:
    one = drawn(2000, 2.0)

    def width(*runs: Doubt) -> float:
        found = doubt.measured(runs, range(len(runs)))
        return found["calibration_error_high"] - found["calibration_error_low"]

    twice = [
        replace(
            one,
            **{f: np.tile(getattr(one, f), 2) for f in ("confidence", "right", "held", "size")},
            group=g,
        )
        for g in (np.arange(4000), np.tile(np.arange(2000), 2))
    ]
    assert width(twice[1]) == pytest.approx(width(one), rel=0.05)
    assert width(twice[0]) == pytest.approx(width(one) / 2**0.5, rel=0.1)
    assert width(one, one) == pytest.approx(width(one), rel=0.05)
    sure = replace(one, confidence=np.minimum(one.confidence + 0.1, 1))
    assert width(one, sure) > 2 * width(one)
    hardly = replace(one, right=np.arange(2000) != 5)  # seeds that differ reach below 0: none does
    found = doubt.measured([replace(one, right=np.ones(2000, bool)), hardly], [0, 1])
    assert found["aurc_low"] == 0 < found["aurc"]


def test_the_area_of_risk_has_the_spread_that_new_rows_give() -> None:
    """The mean interval is as wide as 3.92 deviations over test sets, also where confidences tie."""
    for digits in (9, 1):
        found = []
        for seed in range(200):
            run = drawn(400, 1.0, seed)
            run = replace(run, confidence=run.confidence.round(digits))
            m = doubt.measured([run])
            found.append((m["aurc"], m["aurc_high"] - m["aurc_low"]))
        value, width = np.array(found).T
        assert width.mean() == pytest.approx(3.92 * value.std(), rel=0.15)


def test_the_most_confident_are_right_more_often() -> None:
    runs = [drawn(1000, 1.0, seed) for seed in (0, 1)]
    points = doubt.most_confident(runs, [0, 1], [0, 0])
    assert [p["coverage"] for p in points] == pytest.approx(np.arange(20, 0, -1) / 20)
    assert points[0]["images"] == 2000 and points[10]["images"] == 1000
    assert points[0]["accuracy"] == pytest.approx(np.mean([r.right.mean() for r in runs]))
    # uniform from 0.4 to 1: half of the rows are above 0.7, right in 0.85
    assert points[10]["confidence"] == pytest.approx(0.7, abs=0.03)
    assert points[10]["accuracy_low"] < 0.85 < points[10]["accuracy_high"]
    assert all(p["accuracy_low"] <= p["accuracy"] <= p["accuracy_high"] for p in points)
