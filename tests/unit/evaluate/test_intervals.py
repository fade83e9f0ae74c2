from __future__ import annotations

import numpy as np
import pytest

from darkroom import metrics
from darkroom.evaluate import intervals
from tests.unit.test_metrics import fake


def test_a_resample_draws_as_many_groups_as_there_are() -> None:
    (weights,) = intervals.Resamples(50, 400, 3)
    assert weights.shape == (50, 400) and weights.dtype == np.float32
    assert (weights.sum(axis=0) == 50).all()
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.05)  # multinomial


def test_pieces_are_the_whole() -> None:
    whole = np.concatenate(list(intervals.Resamples(30, 100, 3)), axis=1)
    pieces = intervals.Resamples(30, 100, 3, megabytes=30 * 4 * 7 / 1e6)
    parts = list(pieces)
    assert max(part.shape[1] for part in parts) <= 7
    assert (np.concatenate(parts, axis=1) == whole).all()
    assert (np.concatenate(list(pieces), axis=1) == whole).all()
    assert not (np.concatenate(list(intervals.Resamples(30, 100, 4)), axis=1) == whole).all()


def test_interval() -> None:
    samples = np.stack([np.arange(1001.0), np.full(1001, np.nan)])
    samples[0, :100] = np.nan
    low, high = intervals.interval(samples)
    assert (low[0], high[0]) == pytest.approx((100 + 22.5, 1000 - 22.5))
    assert np.isnan([low[1], high[1]]).all()
    assert np.isnan(intervals.interval(np.zeros((2, 0)))).all()


@pytest.mark.parametrize("size", [1, 10])
def test_interval_covers_the_truth_and_groups_widen_it(size: int) -> None:
    """Accuracy 0.8 on 80 groups of `size` rows, all right or all wrong together."""
    rng = np.random.default_rng(0)
    groups, runs = 80, 300
    (weights,) = intervals.Resamples(groups, 300, 0)
    group = np.repeat(np.arange(groups), size)
    p = np.full((len(group), 2), 0.5, dtype=np.float32)
    covered, width = 0, 0.0
    for _ in range(runs):
        truth = rng.integers(0, 2, groups)
        called = np.where(rng.random(groups) < 0.8, truth, 1 - truth)
        overall, _ = metrics.scores(truth[group], called[group], p, weights, group)
        low, high = intervals.interval(overall["accuracy"])
        covered += bool(low <= 0.8 <= high)
        width += float(high - low) / runs
    assert 0.90 <= covered / runs <= 0.98
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / groups), rel=0.1)


def test_auc_interval_agrees_with_its_known_deviation() -> None:
    """Hanley & McNeil (1982), eq. 2, for exponential scores."""
    truth, called, p = fake(400, 2, skill=0.8)
    (weights,) = intervals.Resamples(400, 500, 0)
    overall, _ = metrics.scores(truth, called, p, weights)
    a = metrics.scores(truth, called, p)[0]["roc_auc"][0]
    q1, q2, n = a / (2 - a), 2 * a**2 / (1 + a), 200
    expected = np.sqrt((a * (1 - a) + (n - 1) * (q1 - a**2) + (n - 1) * (q2 - a**2)) / n**2)
    assert overall["roc_auc"].std() == pytest.approx(expected, rel=0.15)


def test_a_perfect_score_keeps_an_interval() -> None:
    one, zero, nan = np.array(1.0), np.array(0.0), np.array(np.nan)
    low, high = intervals.exact_at_the_ends(one, one, one, 100)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 100)), 1)
    low, high = intervals.exact_at_the_ends(zero, zero, zero, 100)
    assert (low, high) == (0, pytest.approx(1 - 0.025 ** (1 / 100)))
    assert [float(b) for b in intervals.exact_at_the_ends(np.array(0.5), zero, one, 9)] == [0, 1]
    assert np.isnan(intervals.exact_at_the_ends(one, nan, nan, 9)).all()
