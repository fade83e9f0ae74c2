"""How good predictions are, and how far the test set's size lets one say so.

One implementation serves points and intervals: every metric is computed for many
weightings of the rows at once, and a point is the weighting with all ones.

Intervals are 95 % percentile bootstrap intervals (Efron & Tibshirani 1993, An
Introduction to the Bootstrap, ch. 13; groups drawn whole as in Davison & Hinkley 1997,
sec. 3.8). A resample draws as many groups as there are, with replacement; a row without
group is a group by itself. The drawing is not stratified by class: groups may hold
several classes, and for a test set that is itself stratified the interval errs to the
wide side. A metric that a resample leaves undefined (a rare class not drawn) does not
count in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
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
LEVEL = 0.95

# Probabilities are stored as float32: the least surprise that it can tell from none.
EPSILON = float(np.finfo(np.float32).eps)


def confusion(truth: ArrayLike, predicted: ArrayLike, k: int) -> NDArray[np.int64]:
    """(k, k) counts: entry [i, j] is the number of rows of class i that were called j."""
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

    Averages over classes are over those with rows of positive weight. The recall and the
    ROC AUC of a class without rows are not defined (NaN); the precision of a class that
    is never predicted is 0. `roc_auc` is the area of one class against the rest, equal
    scores counting half (Hanley & McNeil 1982; Fawcett 2006, Pattern Recognition Letters
    27:861), its mean over classes, or with two classes that of the second. `log_loss`
    is the mean of −ln p of the true class, with p kept 1.2e-7 away from 0 and 1.

    Parameters
    ----------
    truth, predicted : (N,) integers, 0 … K-1.
    probabilities : (N, K) floats, rows summing to 1.
    weights : (G, B) weight of each group; None: one column of ones.
    group : (N,) integers, 0 … G-1; None: each row is a group.

    Returns
    -------
    overall : each of `OVERALL`, (B,) float64.
    by_class : each of `BY_CLASS`, (K, B) float64.
    """
    from scipy.sparse import csr_matrix

    t = np.asarray(truth, dtype=np.int64)
    called = np.asarray(predicted, dtype=np.int64)
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
    calls = by_class(called, slice(None))
    right = by_class(t, t == called)
    total = support.sum(axis=0)

    loss = -np.log(np.clip(p[np.arange(n), t].astype(np.float64), EPSILON, 1 - EPSILON))
    loss_by_group = np.bincount(g, weights=loss, minlength=len(w))
    area = _areas(t, p, g, w, support, total)

    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / support
        precision = np.where(calls > 0, right / calls, 0.0)
        f1 = 2 * right / (support + calls)
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
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
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

    The area is the weight of the pairs (of the class, not of it) that are in the right
    order. With the class' distinct scores as levels, a sparse matrix sums the weights of
    the others between two levels (half of those at a level to either side), and a
    running sum over levels gives what lies below each: no sort in any resample.
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


# ---------------------------------------------------------------- thresholds


def best_threshold(positive: ArrayLike, score: ArrayLike, how: str) -> float:
    """The threshold on a score, from which on a row is called positive, that serves best.

    All thresholds between two neighbouring scores call the same rows, so the middle between
    them stands for each gap, or 0.5 where the gap holds it; of gaps that serve equally well
    the one whose threshold is nearest to 0.5 is taken (of two as near, the lower), and the
    middle is rounded to as few digits as the gap allows. Scores are compared as float32.

    Parameters
    ----------
    positive : (N,) bool, at least one of each kind. score : (N,) in 0..1.
    how : what is made as large as can be: `accuracy`, `balanced_accuracy` (the mean of
        sensitivity and specificity, Youden 1950, Cancer 3:32) or `f1` (of the positives).

    Returns
    -------
    float, between 0 and 1.
    """
    truth = np.asarray(positive, dtype=bool)
    level, at = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
    # by gap g, which ends at level[g] (the last one at 1): what lies at or above its end
    hits = _from_the_end(np.bincount(at, weights=truth, minlength=len(level)))
    false = _from_the_end(np.bincount(at, weights=~truth, minlength=len(level)))
    p, n = hits[0], false[0]
    value = {
        "accuracy": (hits + n - false) / (p + n),
        "balanced_accuracy": (hits / p + (n - false) / n) / 2,
        "f1": 2 * hits / (p + hits + false),
    }[how]
    low, high = np.r_[0.0, level], np.r_[level, 1.0]
    # no threshold lies below 0, none beyond 1, and float32 has none between 1 - 1e-7 and 1
    inside = np.append(high[:-1] > low[:-1], low[-1] < 1 - 1e-6)
    held = (low < 0.5) & (high >= 0.5)
    middle = np.where(held, 0.5, (low + high) / 2)
    best = inside & (value >= value[inside].max() - 1e-12)
    gap = int(np.flatnonzero(best)[np.abs(middle[best] - 0.5).argmin()])
    for digits in range(1, 17):
        told = round(float(middle[gap]), digits)
        near = abs(told - middle[gap]) <= (high[gap] - low[gap]) / 4
        if near and low[gap] < np.float32(told) < 1 and np.float32(told) <= high[gap]:
            return told
    return float(high[gap])


def _from_the_end(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Sums of entries from each one to the last, and 0 after it."""
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0]]).astype(np.float64)


def two_class_rates(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Sensitivity, specificity and precision of the second of two classes.

    Parameters
    ----------
    truth, predicted : (N,) of 0 and 1.

    Returns
    -------
    `sensitivity` (share of class 1 that is called so), `specificity` (share of class 0
    that is called so), `precision` (share right of what is called 1); NaN where there is
    nothing to take a share of.
    """
    (tn, fp), (fn, tp) = confusion(truth, predicted, 2).tolist()

    def share(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    return {
        "sensitivity": share(tp, tp + fn),
        "specificity": share(tn, tn + fp),
        "precision": share(tp, tp + fp),
    }


# ---------------------------------------------------------------- resampling


class Resamples:
    """Weights of G groups in B bootstrap resamples, in pieces of bounded memory.

    The same object always gives the same weights, so that two classifiers, or a network's
    seeds, are compared on the same resamples.
    """

    def __init__(
        self, groups: int, resamples: int, seed: int | list[int], megabytes: float = 256
    ) -> None:
        self.groups, self.resamples, self.seed = groups, resamples, seed
        self.piece = int(max(1, min(resamples, megabytes * 1e6 // (4 * max(groups, 1)))))
        self._kept: NDArray[np.float32] | None = None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """(G, b) float32 pieces: how often each group is in each resample."""
        if self._kept is not None:
            yield self._kept
            return
        random = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, self.piece):
            b = min(self.piece, self.resamples - start)
            weights = np.zeros((self.groups, b), dtype=np.float32)
            for i in range(b):
                drawn = random.integers(0, self.groups, self.groups)
                weights[:, i] = np.bincount(drawn, minlength=self.groups)
            if self.piece >= self.resamples:
                self._kept = weights
            yield weights


def interval(samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the middle 95 % along the last axis, NaN left out; NaN where all are."""
    if samples.shape[-1] == 0:
        nothing = np.full(samples.shape[:-1], np.nan)
        return nothing, nothing
    tail = (1 - LEVEL) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        low, high = np.nanquantile(samples, [tail, 1 - tail], axis=-1)
    return low, high


def widened(
    value: Floats, low: Floats, high: Floats, groups: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of a proportion of 0 or 1, of which a resample can never show another.

    Where every row was right, resampling gives [1, 1], however few rows there are. There
    the exact interval for that many independent trials is given instead (Clopper &
    Pearson 1934): [0.025^(1/G), 1] for G groups.

    Parameters
    ----------
    value, low, high : proportions and their bootstrap bounds. groups : trials of each.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = ((1 - LEVEL) / 2) ** (1 / np.asarray(groups, dtype=np.float64))
    known = ~np.isnan(low)
    return (
        np.where(known & (value == 1) & (low == 1), edge, low).astype(np.float64),
        np.where(known & (value == 0) & (high == 0), 1 - edge, high).astype(np.float64),
    )
