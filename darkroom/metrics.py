"""Metrics of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

OVERALL = (
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_weighted",
    "roc_auc",
    "log_loss",
    "brier",
)
BY_CLASS = ("precision", "recall", "f1", "roc_auc")

# Probabilities are float32: the smallest distance from 1 that float32 can represent.
EPSILON = float(np.finfo(np.float32).eps)


def confusion(truth: ArrayLike, predicted: ArrayLike, k: int) -> NDArray[np.int64]:
    """(k, k) int64 counts: entry [i, j] is the number of rows of class i predicted as j."""
    pair = np.asarray(truth, dtype=np.int64) * k + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pair, minlength=k * k).reshape(k, k)


def scores(
    truth: ArrayLike, predicted: ArrayLike, probabilities: ArrayLike
) -> tuple[dict[str, float], dict[str, Floats]]:
    """All metrics of N rows.

    Averages over classes include only classes with rows; those of rates are NaN where all rows
    are of one class, of which nothing can be told apart. Recall, F1 and ROC AUC of a class
    without rows are NaN; the precision of a class that is never predicted is 0. `roc_auc` by
    class is the area of one class against the rest, with ties counted half (Hanley & McNeil
    1982; Fawcett 2006, Pattern Recognition Letters 27:861); overall it is the mean over classes
    or, with two classes, the area of the second. `log_loss` and `brier` are means over rows, see
    `log_losses` and `brier_scores`.

    Parameters
    ----------
    truth : (N,) integers, true classes 0 … K-1.
    predicted : (N,) integers, predicted classes 0 … K-1.
    probabilities : (N, K) floats, rows summing to 1.

    Returns
    -------
    overall : a float for each of `OVERALL`.
    by_class : (K,) float64 for each of `BY_CLASS`.
    """
    t, p = np.asarray(truth, dtype=np.int64), np.asarray(probabilities)
    k = p.shape[1]
    counts = confusion(t, predicted, k)
    areas = np.array([area(t == c, rest_odds(p, c)) for c in range(k)])
    overall, by_class = rates(counts)
    overall["roc_auc"] = float(areas[1] if k == 2 else mean(areas))
    overall["log_loss"] = float(mean(log_losses(t, p)))
    overall["brier"] = float(mean(brier_scores(t, p)))
    return overall, {**by_class, "roc_auc": areas}


def rates(counts: NDArray[Any]) -> tuple[dict[str, float], dict[str, Floats]]:
    """The metrics that follow from a (K, K) confusion; see `scores`."""
    right = np.diag(counts).astype(np.float64)
    support, predictions = counts.sum(axis=1), counts.sum(axis=0)
    there = support > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / support
        precision = np.where(predictions > 0, right / predictions, 0.0)
        f1 = np.where(there, 2 * right / (support + predictions), np.nan)
        accuracy = right.sum() / support.sum()
        weighted = np.where(there, f1 * support, 0).sum() / support.sum()
    several = 1.0 if there.sum() > 1 else np.nan
    overall = {
        "accuracy": float(accuracy),
        "balanced_accuracy": float(mean(recall) * several),
        "precision_macro": float(mean(np.where(there, precision, np.nan)) * several),
        "recall_macro": float(mean(recall) * several),
        "f1_macro": float(mean(f1) * several),
        "f1_weighted": float(weighted * several),
    }
    return overall, {"precision": precision, "recall": recall, "f1": f1}


def log_losses(truth: NDArray[np.int64], probabilities: NDArray[Any]) -> Floats:
    """(N,) −ln p of the true class, with p clipped 1.2e-7 away from 0 and 1."""
    p = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(p, EPSILON, 1 - EPSILON)))


def brier_scores(truth: NDArray[np.int64], probabilities: NDArray[Any]) -> Floats:
    """(N,) squared distance from the certain truth, 0 … 2 (Brier 1950, Monthly Weather Review 78:1)."""
    p = probabilities.astype(np.float64)
    own = p[np.arange(len(truth)), truth]
    return np.asarray((p**2).sum(axis=1) - own**2 + (1 - own) ** 2)


def calibration_error(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = 10) -> float:
    """How far probabilities are from the share that is right, over bins of equal width.

    The expected calibration error (Naeini, Cooper & Hauskrecht 2015, AAAI).

    Parameters
    ----------
    confidence : (N,) probability of the predicted class. right : (N,) bool. bins : number.
    """
    at = np.clip((np.asarray(confidence, float) * bins).astype(int), 0, bins - 1)
    gap = np.bincount(at, np.asarray(confidence, float) - right, bins)
    return float(abs(gap).sum() / max(len(at), 1))


def rest_odds(probabilities: NDArray[Any], c: int) -> Floats:
    """(N,) odds of a class against the rest.

    They order as its probability does, but do not tie where float32 rounds that to 1.
    """
    p = probabilities.astype(np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(p[:, c] / np.delete(p, c, axis=1).sum(axis=1))


def area(positive: NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve; NaN where all rows or none are positive."""
    if not positive.any() or positive.all():
        return float("nan")
    return float(placements(positive, score)[positive].mean())


def placements(positive: NDArray[np.bool_], score: Floats) -> Floats:
    """Of a positive row the share of negatives below it, of a negative that of positives above.

    Ties count half. Their means over either kind are the area under the ROC curve, and their
    variances its variance (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837; by ranks as
    in Sun & Xu 2014, IEEE Signal Processing Letters 21:1389).

    Parameters
    ----------
    positive : (N,) bool, at least one of each kind.
    score : (N,) higher for positives.
    """
    others = ranks(score)
    others[positive] -= ranks(score[positive])
    others[~positive] -= ranks(score[~positive])
    negatives, positives = (~positive).sum(), positive.sum()
    return np.asarray(np.where(positive, others / negatives, 1 - others / positives))


def ranks(values: Floats) -> Floats:
    """The rank of each value, from 1; equal ones share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def mean(values: Floats) -> np.float64:
    """Mean without NaN; NaN where all are NaN."""
    known = values[~np.isnan(values)]
    return np.float64(known.mean() if len(known) else np.nan)
