from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from darkroom import metrics


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
        "brier": ((p - np.eye(k)[truth]) ** 2).sum(axis=1).mean(),
    }
    for name, value in expected.items():
        assert overall[name] == pytest.approx(value, rel=1e-6), name
    each = sk.precision_recall_fscore_support(truth, called)
    for name, values in zip(("precision", "recall", "f1"), each[:3], strict=True):
        assert by_class[name] == pytest.approx(values), name
    areas = [sk.roc_auc_score(truth == c, p[:, c]) for c in range(k)]
    assert by_class["roc_auc"] == pytest.approx(areas)
    assert (metrics.confusion(truth, called, k) == sk.confusion_matrix(truth, called)).all()


def test_a_class_without_rows_is_undefined_and_crashes_nothing() -> None:
    truth, called, p = fake(200, 4)
    here = truth != 3
    overall, by_class = metrics.scores(truth[here], called[here], p[here])
    assert np.isnan(by_class["recall"][3]) and np.isnan(by_class["roc_auc"][3])
    assert np.isnan(by_class["f1"][3])
    assert by_class["precision"][3] == 0  # it was predicted, always wrongly
    assert overall["balanced_accuracy"] == pytest.approx(by_class["recall"][:3].mean())
    assert overall["precision_macro"] == pytest.approx(by_class["precision"][:3].mean())
    assert overall["roc_auc"] == pytest.approx(by_class["roc_auc"][:3].mean())


def test_of_one_class_alone_nothing_is_told_apart() -> None:
    p = np.array([[0.7, 0.3], [0.2, 0.8]], dtype=np.float32)
    overall, by_class = metrics.scores([0, 0], [0, 1], p)
    assert overall["accuracy"] == by_class["recall"][0] == 0.5
    for name in ("balanced_accuracy", "f1_macro", "f1_weighted", "precision_macro", "roc_auc"):
        assert np.isnan(overall[name]), name


def test_probabilities_that_float32_rounds_to_one_still_order() -> None:
    rest = np.float32([1e-9, 1e-12, 1e-10, 1e-14])
    p = np.stack([rest, 1 - rest], axis=1)
    assert (p[:, 1] == 1).all()
    overall, _ = metrics.scores([0, 1, 0, 1], [1, 1, 1, 1], p)
    assert overall["roc_auc"] == 1


def test_a_class_never_predicted_has_precision_zero() -> None:
    p = np.array([[0.7, 0.3], [0.8, 0.2]], dtype=np.float32)
    overall, by_class = metrics.scores([0, 1], [0, 0], p)
    assert by_class["precision"].tolist() == [0.5, 0]
    assert overall["f1_macro"] == pytest.approx(1 / 3)


def test_log_loss_of_certain_mistakes_is_finite() -> None:
    p = np.array([[1, 0], [1, 0]], dtype=np.float32)
    overall, _ = metrics.scores([0, 1], [0, 0], p)
    assert overall["log_loss"] == pytest.approx(-np.log(metrics.EPSILON) / 2)


def test_ranks_are_scipy_s() -> None:
    from scipy.stats import rankdata

    for values in ([0.5], [0.2, 0.2, 0.1], [3.0, 1.0, 2.0, 2.0, 3.0, 3.0]):
        assert np.array_equal(metrics.ranks(np.array(values)), rankdata(values))
