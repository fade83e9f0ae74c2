"""Sets of classes hold the true one as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.evaluate import sets
from darkroom.metrics import calibration_error


def drawn(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and their probabilities, which are right and then sharpened."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 2, (n, k))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) < random.random((n, 1))).sum(axis=1).clip(max=k - 1)
    p = p**3 / (p**3).sum(axis=1, keepdims=True)  # too sure
    return truth, p.astype(np.float32)


def test_new_rows_have_their_class_in_the_set_as_often_as_it_says() -> None:
    """On average over 95 %, and by no more than one row in a hundred validation rows."""
    shares = []
    for seed in range(200):
        least = sets.limit(*drawn(99, 4, seed))
        truth, p = drawn(200, 4, 1000 + seed)
        shares.append(sets.measured(truth, p, np.arange(200), least)["set_coverage"])
    assert 0.945 < np.mean(shares) < 0.965


def test_the_limit_is_a_rank_of_the_validation_rows() -> None:
    p = np.stack([np.arange(1, 40) / 40, 1 - np.arange(1, 40) / 40], axis=1)
    assert sets.limit(np.zeros(39, np.int64), p) == pytest.approx(2 / 40)  # 5 % of 40
    assert sets.limit(np.zeros(18, np.int64), p[:18]) == 0  # too few rows: every class


def test_the_measures_count() -> None:
    p = np.float32([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6]])
    found = sets.measured(np.array([0, 1, 1, 2]), p, np.arange(4), 0.2)
    assert found["set_coverage"] == 0.75 and found["set_size"] == (2 + 2 + 1 + 3) / 4
    assert found["set_coverage_low"] < 0.75 < found["set_coverage_high"]


def test_the_calibration_error_is_the_mean_gap() -> None:
    sure = np.repeat([0.9, 0.6], 10)
    right = np.r_[np.arange(10) < 7, np.arange(10) < 6]
    assert calibration_error(sure, right) == pytest.approx((0.2 + 0.0) / 2)
