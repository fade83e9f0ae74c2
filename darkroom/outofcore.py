"""Classifiers on more features than memory holds: in passes over the mapped file, or on a sample.

`linear_svm` and `logistic_regression` are smooth and convex: the sum over all rows, and its
gradient, are added up block by block, and L-BFGS goes by them (Liu and Nocedal 1989,
doi:10.1007/BF01589116) to the solution that scikit-learn finds in memory. Scaling and PCA are
learned from sums over all rows too. What compares rows with each other (a kernel machine,
neighbours) or orders them (a forest) has no such sum: it learns from a stratified sample that
fits. Which of them it was is told in the log, the model's file and the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from darkroom.shards import forget

BLOCK_BYTES = (
    4 << 20
)  # of features read at once by a thread; fixed, so that no sum depends on the threads
FORGET_BYTES = 16 << 20  # read before mapped pages are given back
PASSES = 300  # at most, unless `max_iter` is set

Work = Callable[[slice, np.ndarray], Any]


# ---------------------------------------------------------------- which way


def megabytes(rows: int, values: int) -> float:
    """Of so many rows of features in float32, in 10^6 bytes."""
    return 4e-6 * rows * values


def in_passes(kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether a classifier can be fitted to all rows without holding them.

    Parameters
    ----------
    kind, settings : as in the configuration.
    """

    def plain(key: str, *values: Any) -> bool:
        return key not in settings or settings[key] in values

    if kind == "linear_svm":
        return plain("penalty", "l2") and plain("loss", "squared_hinge") and plain(
            "multi_class", "ovr"
        )  # fmt: skip
    return (
        kind == "logistic_regression"
        and plain("penalty", "l2")
        and plain("l1_ratio", None, 0, 0.0)
        and settings.get("solver") != "liblinear"  # which holds the offset down as well
    )


def rows_held(values: int, memory_mb: int) -> int:
    """How many rows of features the budget holds."""
    return max(1, int(memory_mb / megabytes(1, values)))


def too_many(rows: int, values: int, memory_mb: int) -> str:
    """The reason, for a sentence."""
    return (
        f"the {rows:,} training rows of {values} values take {megabytes(rows, values):,.0f} MB, "
        f"more than memory_mb ({memory_mb:,})"
    )


def warning(
    kind: str, rows: int, values: int, memory_mb: int, settings: Mapping[str, Any]
) -> str | None:
    """What will be done with rows that are not held; None where they are."""
    if megabytes(rows, values) <= memory_mb:
        return None
    reason = too_many(rows, values, memory_mb)
    if in_passes(kind, settings):
        return f"{reason}: it is fitted in passes over the file"
    return f"{reason}: it is fitted to a sample of {rows_held(values, memory_mb):,} of them"


# ---------------------------------------------------------------- rows that are not held


class Blocks:
    """Rows of a mapped file as an estimator reads them: some at a time, prepared.

    Parameters
    ----------
    array : (M, D) float32, mapped. at : (n,) places of the rows in it, ascending.
    steps : fitted transformers that each row passes through. width : of what comes out.
    """

    def __init__(
        self, array: np.ndarray, at: np.ndarray, steps: Sequence[Any] = (), width: int | None = None
    ) -> None:
        self.array, self.at, self.steps = array, at, list(steps)
        self.shape = (len(at), width or array.shape[1])
        self.size = max(1, BLOCK_BYTES // (4 * array.shape[1]))

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, index: Any) -> np.ndarray:
        """(k, width) float32; the caller's own."""
        x = np.asarray(self.array[self.at[index]], dtype=np.float32)
        for step in self.steps:
            x = step.transform(x)
        return x

    def each(self, work: Work, threads: int = 1) -> Iterator[Any]:
        """What `work(place, rows)` gives of each block, in their order."""
        from joblib import Parallel, delayed
        from threadpoolctl import ThreadpoolController

        threadpools = ThreadpoolController()

        def one(start: int) -> Any:
            place = slice(start, min(start + self.size, len(self)))
            with threadpools.limit(limits=1):  # as in `classifiers.Fitted.probabilities`
                return work(place, self[place])

        starts = range(0, len(self), self.size)
        often = max(1, FORGET_BYTES // BLOCK_BYTES)
        found = Parallel(n_jobs=threads, backend="threading", return_as="generator")(
            delayed(one)(start) for start in starts
        )
        for number, result in enumerate(found, start=1):
            yield result
            if number % often == 0:
                forget(self.array)
        forget(self.array)

    def finite(self, threads: int = 1) -> bool:
        """Whether every value is a number."""
        return all(list(self.each(lambda _, x: bool(np.isfinite(x).all()), threads)))


def prepared(
    steps: Iterable[tuple[str, Any]], rows: Blocks, memory_mb: int, threads: int
) -> Blocks | np.ndarray:
    """Fit the steps before the estimator by sums over all rows.

    Parameters
    ----------
    steps : names and scikit-learn's StandardScaler or PCA, in their order; they are fitted.
    memory_mb : rows that few components leave this small are held.

    Returns
    -------
    The rows as the steps make them.
    """
    for name, step in steps:
        if name == "scale":
            for x in rows.each(lambda _, x: x):
                step.partial_fit(x)
        else:
            _components(step, rows, threads)
        width = step.n_components_ if name == "pca" else rows.shape[1]
        rows = Blocks(rows.array, rows.at, [*rows.steps, step], width)
    n, width = rows.shape
    if megabytes(n, width) > memory_mb:
        return rows
    held = np.empty((n, width), np.float32)

    def put(place: slice, x: np.ndarray) -> None:
        held[place] = x

    for _ in rows.each(put, threads):
        pass
    return held


def _components(pca: Any, rows: Blocks, threads: int) -> None:
    """Principal components by the covariance of all rows: what scikit-learn's PCA finds."""
    n, d = rows.shape

    def sums(_: slice, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        exact = x.astype(np.float64)
        return exact.sum(axis=0), exact.T @ exact

    first, second = np.zeros(d), np.zeros((d, d))
    for one, two in rows.each(sums, threads):
        first += one
        second += two
    mean = first / n
    variance, vectors = np.linalg.eigh((second - n * np.outer(mean, mean)) / (n - 1))
    variance, vectors = np.maximum(variance[::-1], 0), vectors[:, ::-1].T
    share = variance / variance.sum()
    asked = pca.n_components
    kept = asked
    if 0 < asked < 1:
        kept = int(np.searchsorted(np.cumsum(share), asked, side="right")) + 1
    kept = min(kept, d)
    signs = np.sign(vectors[np.arange(d), np.abs(vectors).argmax(axis=1)])  # as scikit-learn
    vectors = vectors * signs[:, None]
    pca.mean_ = mean.astype(np.float32)
    pca.components_ = np.ascontiguousarray(vectors[:kept], dtype=np.float32)
    pca.explained_variance_ = variance[:kept].astype(np.float32)
    pca.explained_variance_ratio_ = share[:kept].astype(np.float32)
    pca.singular_values_ = np.sqrt(variance[:kept] * (n - 1)).astype(np.float32)
    pca.noise_variance_ = float(variance[kept:].mean()) if kept < d else 0.0
    pca.n_components_, pca.n_samples_, pca.n_features_in_ = kept, n, d


# ---------------------------------------------------------------- linear models


def fit(
    kind: str,
    estimator: Any,
    rows: Blocks,
    y: np.ndarray,
    subsets: Sequence[np.ndarray | None],
    threads: int,
    passes: int | None = None,
) -> list[Any]:
    """Fit a linear estimator to all rows, or to several sets of them in the same passes.

    `linear_svm`: ½‖w‖² + C Σ max(0, 1 - y f)², a class against the rest, the offset held down
    like a weight (as liblinear does). `logistic_regression`: ½‖w‖² + C Σ of the cross-entropy
    of all classes, the offset free.

    Parameters
    ----------
    estimator : LinearSVC or LogisticRegression, not yet fitted; its settings count.
    y : (n,) 0 … k - 1. subsets : places of the rows of each fit; None: all of them.
    threads : blocks at the same time; they change no bit of the result.
    passes : at most, `PASSES` where it is not given; the `max_iter` of what is returned.

    Returns
    -------
    A fitted estimator for each of the subsets.
    """
    from scipy.optimize import minimize
    from sklearn.base import clone

    svm = kind == "linear_svm"
    d, k = rows.shape[1], int(y.max()) + 1
    vectors = 1 if k == 2 else k
    offset = float(estimator.intercept_scaling if svm else 1) if estimator.fit_intercept else 0.0
    inside = [_inside(s, len(y)) for s in subsets]
    weight = [_class_weights(estimator.class_weight, y, s) for s in subsets]
    # The mean loss, and what holds the weights down beside it: steps of the same size for any n.
    scale = np.array([1 / (len(y) if s is None else len(s)) for s in subsets])
    hold = scale / estimator.C
    penal = np.ones(d + 1)
    penal[d] = 1.0 if svm else 0.0
    loss = _squared_hinge if svm else _cross_entropy
    shape = (len(subsets), vectors, d + 1)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(shape)

        def part(place: slice, x: np.ndarray) -> tuple[float, np.ndarray]:
            wide = np.empty((len(x), d + 1))
            wide[:, :d], wide[:, d] = x, offset
            total, slope = 0.0, np.empty(shape)
            for s, rows_of in enumerate(inside):
                counts = scale[s] * (rows_of[place] if rows_of is not None else np.ones(len(x)))
                own, by_score = loss(wide @ w[s].T, y[place], counts, weight[s])
                total += own
                slope[s] = by_score.T @ wide
            return total, slope

        held = hold[:, None, None] * penal * w
        total, slope = 0.5 * float((held * w).sum()), held
        for own, more in rows.each(part, threads):
            total += own
            slope = slope + more
        if not offset:
            slope[..., d] = 0
        return total, slope.ravel()

    most = passes or PASSES
    found = minimize(
        value,
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": most,
            "maxls": 50,
            "gtol": estimator.tol,
            "ftol": 64 * np.finfo(float).eps,
        },
    )
    fitted = []
    for w in found.x.reshape(shape):
        one = clone(estimator).set_params(max_iter=most)
        one.coef_, one.intercept_ = np.ascontiguousarray(w[:, :d]), w[:, d] * offset
        one.classes_, one.n_features_in_ = np.arange(k), d
        one.n_iter_ = int(found.nit) if svm else np.array([found.nit], np.int32)
        fitted.append(one)
    return fitted


def _inside(subset: np.ndarray | None, n: int) -> np.ndarray | None:
    """Which of n rows a subset has."""
    if subset is None:
        return None
    inside = np.zeros(n, bool)
    inside[subset] = True
    return inside


def _class_weights(asked: Any, y: np.ndarray, subset: np.ndarray | None) -> np.ndarray:
    """(k,) weight of each class among the rows of a subset."""
    from sklearn.utils.class_weight import compute_class_weight

    own = y if subset is None else y[subset]
    classes = np.unique(own)
    weight = np.ones(int(y.max()) + 1)
    weight[classes] = compute_class_weight(asked, classes=classes, y=own)
    return weight


def _squared_hinge(
    score: np.ndarray, y: np.ndarray, count: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Sum of the losses, and its slope by each score; (b, k) or, of two classes, (b, 1).

    Of more than two classes a weight counts where its class stands against the rest, as in
    liblinear; count : (b,), of each row.
    """
    side = np.full(score.shape, -1.0)
    if score.shape[1] == 1:
        side[y == 1] = 1
        counts = (count * weight[y])[:, None]
    else:
        every = np.arange(len(y))
        side[every, y] = 1
        counts = np.repeat(count[:, None], score.shape[1], axis=1)
        counts[every, y] *= weight[y]
    short = np.maximum(0, 1 - side * score)
    return float((counts * short**2).sum()), -2 * counts * side * short


def _cross_entropy(
    score: np.ndarray, y: np.ndarray, count: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """As `_squared_hinge`; of two classes the score is the second's."""
    counts = count * weight[y]
    if score.shape[1] == 1:
        f = score[:, 0]
        total = counts @ (np.logaddexp(0, f) - f * y)
        slope = counts * (0.5 * (1 + np.tanh(f / 2)) - y)
        return float(total), slope[:, None]
    top = score.max(axis=1, keepdims=True)
    raised = np.exp(score - top)
    sums = raised.sum(axis=1, keepdims=True)
    every = np.arange(len(y))
    total = counts @ (np.log(sums[:, 0]) + top[:, 0] - score[every, y])
    slope = raised / sums
    slope[every, y] -= 1
    return float(total), slope * counts[:, None]
