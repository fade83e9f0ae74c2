"""Metrics of predictions.

One implementation computes point estimates and intervals: each metric is computed for many
weightings of the rows at once, and a point estimate has all weights 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]

OVERALL = (
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_weighted",
    "roc_auc",
    "log_loss",
)
BY_CLASS = ("precision", "recall", "f1", "roc_auc")

# Probabilities are float32: the smallest distance from 1 that float32 can represent.
EPSILON = float(np.finfo(np.float32).eps)


def confusion(truth: ArrayLike, predicted: ArrayLike, k: int) -> NDArray[np.int64]:
    """(k, k) int64 counts: entry [i, j] is the number of rows of class i predicted as j."""
    pair = np.asarray(truth, dtype=np.int64) * k + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pair, minlength=k * k).reshape(k, k)


def scores(
    truth: ArrayLike,
    predicted: ArrayLike,
    probabilities: ArrayLike,
    weights: Floats | None = None,
    group: ArrayLike | None = None,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """All metrics of N rows, for each of B weightings.

    Averages over classes include only classes with rows of positive weight. Recall and ROC
    AUC of a class without rows are NaN; the precision of a class that is never predicted is 0.
    `roc_auc` by class is the area of one class against the rest, with ties counted half
    (Hanley & McNeil 1982; Fawcett 2006, Pattern Recognition Letters 27:861); overall it is
    the mean over classes or, with two classes, the area of the second. `log_loss` is the mean
    of −ln p of the true class, with p clipped 1.2e-7 away from 0 and 1.

    Parameters
    ----------
    truth : (N,) integers, true classes 0 … K-1.
    predicted : (N,) integers, predicted classes 0 … K-1.
    probabilities : (N, K) floats, rows summing to 1.
    weights : (G, B) weight of each group; None: one column of ones.
    group : (N,) integers, 0 … G-1; None: each row is a group.

    Returns
    -------
    overall : (B,) float64 for each of `OVERALL`.
    by_class : (K, B) float64 for each of `BY_CLASS`.
    """
    from scipy.sparse import csr_matrix

    t = np.asarray(truth, dtype=np.int64)
    chosen = np.asarray(predicted, dtype=np.int64)
    p = np.asarray(probabilities)
    n, k = p.shape
    g = np.arange(n) if group is None else np.asarray(group, dtype=np.int64)
    w = np.ones((int(g.max()) + 1 if n else 0, 1)) if weights is None else weights
    one = np.ones(n, dtype=w.dtype)

    def by_class(of: NDArray[np.int64], rows: NDArray[np.bool_] | slice) -> NDArray[np.float64]:
        """(K, B) weight of some rows by class."""
        table = csr_matrix((one[rows], (of[rows], g[rows])), shape=(k, len(w)))
        return np.asarray(table @ w, dtype=np.float64)

    support = by_class(t, slice(None))
    predictions = by_class(chosen, slice(None))
    right = by_class(t, t == chosen)
    total = support.sum(axis=0)

    loss = -np.log(np.clip(p[np.arange(n), t].astype(np.float64), EPSILON, 1 - EPSILON))
    loss_by_group = np.bincount(g, weights=loss, minlength=len(w))
    area = _areas(t, p, g, w, support, total)

    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / support
        precision = np.where(predictions > 0, right / predictions, 0.0)
        f1 = 2 * right / (support + predictions)
        there = support > 0
        f1_there = np.where(there, f1, np.nan)
        overall = {
            "accuracy": right.sum(axis=0) / total,
            "balanced_accuracy": mean(recall),
            "precision_macro": mean(np.where(there, precision, np.nan)),
            "recall_macro": mean(recall),
            "f1_macro": mean(f1_there),
            "f1_weighted": np.where(there, f1 * support, 0).sum(axis=0) / total,
            "roc_auc": area[1] if k == 2 else mean(area),
            "log_loss": loss_by_group.astype(w.dtype) @ w / total,
        }
    classes = {"precision": precision, "recall": recall, "f1": f1_there, "roc_auc": area}
    return {m: np.asarray(v, dtype=np.float64) for m, v in overall.items()}, classes


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis, without NaN; NaN where all are NaN."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=0) / known.sum(axis=0))


def _areas(
    t: NDArray[np.int64],
    p: Floats,
    g: NDArray[np.int64],
    w: Floats,
    support: NDArray[np.float64],
    total: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(K, B) area under the ROC curve of each class against the rest.

    The area is the weight of correctly ordered pairs (one row of the class, one of the rest).
    The class's distinct scores are levels. A sparse matrix sums the weights of the rest
    between levels (ties count half to either side), and a cumulative sum gives the weight
    below each level, so no weighting needs a sort.
    """
    from scipy.sparse import csr_matrix

    k = p.shape[1]
    area = np.full((k, w.shape[1]), np.nan)
    for c in range(k):
        mine = t == c
        if not mine.any() or mine.all():
            continue
        levels, at = np.unique(p[mine, c], return_inverse=True)
        size = (len(levels), len(w))
        score, other = p[~mine, c], g[~mine]
        left = np.searchsorted(levels, score, side="left")
        right = np.searchsorted(levels, score, side="right")
        half = np.full(len(score), 0.5, dtype=w.dtype)
        below = csr_matrix(
            (
                np.concatenate([half[left < size[0]], half[right < size[0]]]),
                (
                    np.concatenate([left[left < size[0]], right[right < size[0]]]),
                    np.concatenate([other[left < size[0]], other[right < size[0]]]),
                ),
            ),
            shape=size,
        )
        own = csr_matrix((np.ones(len(at), dtype=w.dtype), (at, g[mine])), shape=size) @ w
        before = below @ w
        np.cumsum(before, axis=0, out=before)
        pairs = np.einsum("lb,lb->b", own, before, dtype=np.float64, casting="same_kind")
        with np.errstate(invalid="ignore", divide="ignore"):
            area[c] = pairs / (support[c] * (total - support[c]))
    return area
