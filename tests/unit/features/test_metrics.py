from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from darkroom.features import metrics


def fake(
    n: int, k: int, seed: int = 0, skill: float = 1.0, step: float = 0
) -> tuple[Any, Any, Any]:
    """Truth, predictions and float32 probabilities; a `step` rounds them, for ties."""
    rng = np.random.default_rng(seed)
    truth = rng.permuted(np.arange(n) % k)
    z = rng.normal(size=(n, k))
    z[np.arange(n), truth] += skill
    if step:
        z = np.round(z / step) * step
    p = np.exp(z)
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    return truth, p.argmax(axis=1), p


@pytest.mark.parametrize(("n", "k", "step"), [(400, 2, 0), (400, 2, 1), (600, 7, 0), (600, 7, 1)])
def test_every_point_agrees_with_scikit_learn(n: int, k: int, step: float) -> None:
    truth, called, p = fake(n, k, step=step)
    overall, by_class = metrics.scores(truth, called, p)
    assert tuple(overall) == metrics.OVERALL and tuple(by_class) == metrics.BY_CLASS
    macro = sk.precision_recall_fscore_support(truth, called, average="macro")
    expected = {
        "accuracy": sk.accuracy_score(truth, called),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, called),
        "precision_macro": macro[0],
        "recall_macro": macro[1],
        "f1_macro": macro[2],
        "f1_weighted": sk.f1_score(truth, called, average="weighted"),
        "roc_auc": sk.roc_auc_score(truth, p[:, 1] if k == 2 else p, multi_class="ovr"),
        "log_loss": sk.log_loss(truth, p),
    }
    for name, value in expected.items():
        assert overall[name].shape == (1,)
        assert overall[name][0] == pytest.approx(value, rel=1e-6), name
    each = sk.precision_recall_fscore_support(truth, called)
    for name, values in zip(("precision", "recall", "f1"), each[:3], strict=True):
        assert by_class[name][:, 0] == pytest.approx(values), name
    areas = [sk.roc_auc_score(truth == c, p[:, c]) for c in range(k)]
    assert by_class["roc_auc"][:, 0] == pytest.approx(areas)
    assert (metrics.confusion(truth, called, k) == sk.confusion_matrix(truth, called)).all()


def test_weights_are_repeats_of_whole_groups() -> None:
    truth, called, p = fake(300, 3, step=0.5)
    group = np.random.default_rng(1).integers(0, 40, 300)
    weights = np.random.default_rng(2).integers(0, 4, (40, 5)).astype(np.float32)
    overall, by_class = metrics.scores(truth, called, p, weights, group)
    for b in range(5):
        rows = np.repeat(np.arange(300), weights[group, b].astype(int))
        alone, alone_by_class = metrics.scores(truth[rows], called[rows], p[rows])
        for m in metrics.OVERALL:
            assert overall[m][b] == pytest.approx(alone[m][0], rel=1e-5), m
        for m in metrics.BY_CLASS:
            assert by_class[m][:, b] == pytest.approx(alone_by_class[m][:, 0], rel=1e-5), m


def test_a_class_without_rows_is_undefined_and_crashes_nothing() -> None:
    truth, called, p = fake(200, 4)
    here = truth != 3
    overall, by_class = metrics.scores(truth[here], called[here], p[here])
    assert np.isnan(by_class["recall"][3, 0]) and np.isnan(by_class["roc_auc"][3, 0])
    assert np.isnan(by_class["f1"][3, 0])
    assert by_class["precision"][3, 0] == 0  # it was predicted, always wrongly
    assert overall["balanced_accuracy"][0] == pytest.approx(by_class["recall"][:3, 0].mean())
    assert overall["precision_macro"][0] == pytest.approx(by_class["precision"][:3, 0].mean())
    assert overall["roc_auc"][0] == pytest.approx(by_class["roc_auc"][:3, 0].mean())


def test_one_class_alone_has_no_roc() -> None:
    p = np.array([[0.7, 0.3], [0.2, 0.8]], dtype=np.float32)
    overall, _ = metrics.scores([0, 0], [0, 1], p)
    assert overall["accuracy"][0] == 0.5 and np.isnan(overall["roc_auc"][0])


def test_a_class_never_predicted_has_precision_zero() -> None:
    p = np.array([[0.7, 0.3], [0.8, 0.2]], dtype=np.float32)
    overall, by_class = metrics.scores([0, 1], [0, 0], p)
    assert by_class["precision"][:, 0].tolist() == [0.5, 0]
    assert overall["f1_macro"][0] == pytest.approx(1 / 3)


def test_log_loss_of_certain_mistakes_is_finite() -> None:
    p = np.array([[1, 0], [1, 0]], dtype=np.float32)
    overall, _ = metrics.scores([0, 1], [0, 0], p)
    assert overall["log_loss"][0] == pytest.approx(-np.log(metrics.EPSILON) / 2)


# ---------------------------------------------------------------- intervals


def test_a_resample_draws_as_many_groups_as_there_are() -> None:
    (weights,) = metrics.Resamples(50, 400, 3)
    assert weights.shape == (50, 400) and weights.dtype == np.float32
    assert (weights.sum(axis=0) == 50).all()
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.05)  # multinomial


def test_pieces_are_the_whole() -> None:
    whole = np.concatenate(list(metrics.Resamples(30, 100, 3)), axis=1)
    pieces = metrics.Resamples(30, 100, 3, megabytes=30 * 4 * 7 / 1e6)
    parts = list(pieces)
    assert max(part.shape[1] for part in parts) <= 7
    assert (np.concatenate(parts, axis=1) == whole).all()
    assert (np.concatenate(list(pieces), axis=1) == whole).all()
    assert not (np.concatenate(list(metrics.Resamples(30, 100, 4)), axis=1) == whole).all()


def test_interval() -> None:
    samples = np.stack([np.arange(1001.0), np.full(1001, np.nan)])
    samples[0, :100] = np.nan
    low, high = metrics.interval(samples)
    assert (low[0], high[0]) == pytest.approx((100 + 22.5, 1000 - 22.5))
    assert np.isnan([low[1], high[1]]).all()
    assert np.isnan(metrics.interval(np.zeros((2, 0)))).all()


@pytest.mark.parametrize("size", [1, 10])
def test_interval_covers_the_truth_and_groups_widen_it(size: int) -> None:
    """Accuracy 0.8 on 80 groups of `size` rows, all right or all wrong together."""
    rng = np.random.default_rng(0)
    groups, runs = 80, 300
    (weights,) = metrics.Resamples(groups, 300, 0)
    group = np.repeat(np.arange(groups), size)
    p = np.full((len(group), 2), 0.5, dtype=np.float32)
    covered, width = 0, 0.0
    for _ in range(runs):
        truth = rng.integers(0, 2, groups)
        called = np.where(rng.random(groups) < 0.8, truth, 1 - truth)
        overall, _ = metrics.scores(truth[group], called[group], p, weights, group)
        low, high = metrics.interval(overall["accuracy"])
        covered += bool(low <= 0.8 <= high)
        width += float(high - low) / runs
    assert 0.90 <= covered / runs <= 0.98
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / groups), rel=0.1)


def test_auc_interval_agrees_with_its_known_deviation() -> None:
    """Hanley & McNeil (1982), eq. 2, for exponential scores."""
    truth, called, p = fake(400, 2, skill=0.8)
    (weights,) = metrics.Resamples(400, 500, 0)
    overall, _ = metrics.scores(truth, called, p, weights)
    a = metrics.scores(truth, called, p)[0]["roc_auc"][0]
    q1, q2, n = a / (2 - a), 2 * a**2 / (1 + a), 200
    expected = np.sqrt((a * (1 - a) + (n - 1) * (q1 - a**2) + (n - 1) * (q2 - a**2)) / n**2)
    assert overall["roc_auc"].std() == pytest.approx(expected, rel=0.15)


def test_a_perfect_score_keeps_an_interval() -> None:
    one, zero, nan = np.array(1.0), np.array(0.0), np.array(np.nan)
    low, high = metrics.widened(one, one, one, 100)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 100)), 1)
    low, high = metrics.widened(zero, zero, zero, 100)
    assert (low, high) == (0, pytest.approx(1 - 0.025 ** (1 / 100)))
    assert [float(b) for b in metrics.widened(np.array(0.5), zero, one, 9)] == [0, 1]
    assert np.isnan(metrics.widened(one, nan, nan, 9)).all()


# ---------------------------------------------------------------- thresholds


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
    found = metrics.best_threshold(truth == 1, p[:, 1], how)
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
    found = metrics.best_threshold(np.array(positive) == 1, np.float32(score), "accuracy")
    assert found == pytest.approx(expected, abs=1e-7)


def test_a_threshold_between_neighbours_of_float32_tells_them_apart() -> None:
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    found = metrics.best_threshold([False, True], [low, high], "f1")
    assert low < np.float32(found) <= high


def test_rates_of_two_classes() -> None:
    rates = metrics.two_class_rates([0, 0, 0, 1, 1], [0, 1, 0, 1, 1])
    assert rates == {
        "sensitivity": 1,
        "specificity": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
    }
    assert np.isnan(metrics.two_class_rates([0], [0])["precision"])
