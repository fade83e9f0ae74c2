from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from darkroom.evaluate.thresholds import best_threshold, two_class_rates
from tests.unit.test_metrics import fake


def quality(truth: Any, score: Any, threshold: float, how: str) -> float:
    called = score >= np.float32(threshold)
    if how == "f1":
        return float(sk.f1_score(truth, called))
    scored = sk.accuracy_score if how == "accuracy" else sk.balanced_accuracy_score
    return float(scored(truth, called))


@pytest.mark.parametrize("how", ["accuracy", "balanced_accuracy", "f1"])
@pytest.mark.parametrize("step", [0, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_no_threshold_serves_better(how: str, step: float, seed: int) -> None:
    truth, _, p = fake(80, 2, seed=seed, skill=0.7, step=step)
    truth = truth * (np.arange(80) % 3 > 0)  # uneven classes
    found = best_threshold(truth == 1, p[:, 1], how)
    assert 0 < found < 1
    best = quality(truth, p[:, 1], found, how)
    tried = np.unique(np.r_[1e-6, p[:, 1], p[:, 1] + 1e-6, 0.5])
    values = np.array([quality(truth, p[:, 1], t, how) for t in tried])
    assert best >= values.max() - 1e-12
    nearest = np.abs(tried[values >= best - 1e-12] - 0.5).min()
    assert abs(found - 0.5) <= nearest + np.diff(np.r_[0, np.unique(p[:, 1]), 1]).max()
    if values[tried == 0.5] >= best - 1e-12:
        assert found == 0.5


@pytest.mark.parametrize(
    ("positive", "score", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.25),  # the middle of the gap
        ([0, 0, 1, 1], [0.1, 0.45, 0.55, 0.9], 0.5),
        ([0, 1, 0, 1], [0.61, 0.71, 0.81, 0.91], 0.66),  # of two gaps the nearer to 0.5
        ([0, 1], [0.0, 1.0], 0.5),
        ([1, 0], [0.3, 0.3], 0.5),  # all or none: as good as each other
        ([0, 1], [0.7312345, 0.7312346], 0.73123455),
    ],
)
def test_a_threshold_lies_well(positive: list[int], score: list[float], expected: float) -> None:
    found = best_threshold(np.array(positive) == 1, np.float32(score), "accuracy")
    assert found == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"sensitivity": 1.0}, 0.25),
        ({"sensitivity": 0.5}, 0.75),
        ({"specificity": 0.5}, 0.25),
        ({"specificity": 0.6}, 0.75),  # as sensitive as 0.65, and more specific
    ],
)
def test_an_operating_point_lies_well(how: dict[str, float], expected: float) -> None:
    score = [0.1, 0.2, 0.3, 0.6, 0.7, 0.8]
    positive = [False, False, True, False, False, True]
    assert best_threshold(positive, score, how) == expected


def test_what_no_threshold_reaches() -> None:
    """A negative row of probability 1 is called at any threshold."""
    assert np.isnan(best_threshold([True, False], [0.5, 1.0], {"specificity": 1.0}))


def test_a_threshold_between_neighbours_of_float32_tells_them_apart() -> None:
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    found = best_threshold([False, True], [low, high], "f1")
    assert low < np.float32(found) <= high


def test_rates_of_two_classes() -> None:
    rates = two_class_rates([0, 0, 0, 1, 1], [0, 1, 0, 1, 1])
    assert rates == {
        "sensitivity": 1,
        "specificity": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
        "npv": 1,
    }
    assert np.isnan(two_class_rates([0], [0])["precision"])
