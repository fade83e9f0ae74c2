"""An SVM of many classes: fitted pair by pair, evaluated by matrix products.

scikit-learn's SVC fits an SVM to each pair of classes, one after the other on one core,
and computes decision values row by row. Here the pairs of several fits share the cores, and
decision values are matrix products. The fit equals SVC's to the last bit, the decision values
to 1e-12, in a fraction of the time. The result is a plain SVC.

Private names of scikit-learn are used where no public one exists: to assemble a fitted SVC
from its parts (`_Problem.assembled`) and to read its `gamma` (`_kernel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight

# With fewer rows, scikit-learn's checks of each pair take longer than its fit.
PAIRWISE_ROWS, PAIRWISE_CLASSES = 5000, 100
KERNELS = ("linear", "poly", "rbf", "sigmoid")
BLOCK = 1 << 23  # kernel values in memory at once: 64 MB per thread


def fit(
    svm: Any,
    x: np.ndarray,
    y: np.ndarray,
    subsets: Sequence[np.ndarray | None],
    *,
    threads: int = 1,
) -> list[Any]:
    """Fit an SVM to each of several sets of rows.

    Parameters
    ----------
    svm : scikit-learn SVC, not fitted.
    x : (N, D) float32.
    y : (N,) class codes.
    subsets : positions of the rows of each fit, ascending; None for all.
    threads : pairs fitted at the same time; the result does not depend on them.

    Returns
    -------
    Fitted SVCs, each equal to `svm.fit(x[subset], y[subset])`.
    """
    whole = np.arange(len(x))
    sets = [whole if subset is None else subset for subset in subsets]
    classes = len(np.unique(y))
    if len(x) < PAIRWISE_ROWS or not 2 < classes <= PAIRWISE_CLASSES:
        plain: list[Any] = Parallel(n_jobs=threads, backend="threading")(
            delayed(clone(svm).fit)(x if len(at) == len(x) else x[at], y[at]) for at in sets
        )
        return plain
    problems = [_Problem.of(svm, x, y, at) for at in sets]
    work = [(p, pair) for p in problems for pair in combinations(range(len(p.rows)), 2)]
    work.sort(key=lambda w: -sum(len(w[0].rows[k]) for k in w[1]))  # the longest first
    solutions = Parallel(n_jobs=threads, backend="threading")(
        delayed(_solve)(p.of_pair(svm, *pair), x, *(p.rows[k] for k in pair)) for p, pair in work
    )
    for (problem, pair), solution in zip(work, solutions, strict=True):
        problem.solutions[pair] = solution
    return [problem.assembled(svm, x) for problem in problems]


@dataclass(frozen=True)
class _Solution:
    """The SVM of two classes, with libsvm's signs: positive for the first class."""

    support: np.ndarray  # positions in the rows of the first class, then of the second
    coefficients: np.ndarray
    intercept: float
    iterations: int
    converged: bool


def _solve(svm: Any, x: np.ndarray, first: np.ndarray, second: np.ndarray) -> _Solution:
    """Fit the SVM of one pair of classes, given the positions of their rows."""
    y = np.repeat([0, 1], [len(first), len(second)])
    fitted = svm.fit(x[np.concatenate([first, second])], y)
    return _Solution(
        fitted.support_,
        -fitted.dual_coef_[0],
        -float(fitted.intercept_[0]),
        int(fitted.n_iter_[0]),
        fitted.fit_status_ == 0,
    )


@dataclass
class _Problem:
    """One fit of all classes, pair by pair."""

    classes: np.ndarray
    rows: list[np.ndarray]  # positions in x of each class's rows
    gamma: float
    weights: np.ndarray  # one per class
    shape: tuple[int, int]
    solutions: dict[tuple[int, int], _Solution]

    @classmethod
    def of(cls, svm: Any, x: np.ndarray, y: np.ndarray, at: np.ndarray) -> _Problem:
        """The problem of the rows at given positions."""
        label = y[at]
        classes = np.unique(label)
        gamma = svm.gamma
        if gamma == "scale":
            variance = np.asarray(x[at], dtype=np.float64).var()
            gamma = 1 / (x.shape[1] * variance) if variance else 1.0
        elif gamma == "auto":
            gamma = 1 / x.shape[1]
        return cls(
            classes=classes,
            rows=[at[label == k] for k in classes],
            gamma=gamma,
            weights=compute_class_weight(svm.class_weight, classes=classes, y=label),
            shape=(len(at), x.shape[1]),
            solutions={},
        )

    def of_pair(self, svm: Any, i: int, j: int) -> Any:
        """The SVM of a pair of classes, not yet fitted."""
        weights = {0: self.weights[i], 1: self.weights[j]}
        return clone(svm).set_params(gamma=self.gamma, class_weight=weights)

    def assembled(self, svm: Any, x: np.ndarray) -> Any:
        """An SVC with the attributes that its own `fit` would set, in the same order and signs."""
        is_support = np.zeros(len(x), dtype=bool)
        for (i, j), pair in self.solutions.items():
            is_support[np.concatenate([self.rows[i], self.rows[j]])[pair.support]] = True
        support = np.concatenate(groups := [rows[is_support[rows]] for rows in self.rows])
        column = np.zeros(len(x), dtype=np.intp)
        column[support] = np.arange(len(support))
        coefficients = np.zeros((len(self.rows) - 1, len(support)))
        for (i, j), pair in self.solutions.items():
            at = column[np.concatenate([self.rows[i], self.rows[j]])[pair.support]]
            of_first = pair.support < len(self.rows[i])
            coefficients[j - 1, at[of_first]] = pair.coefficients[of_first]
            coefficients[i, at[~of_first]] = pair.coefficients[~of_first]
        ordered = [self.solutions[pair] for pair in combinations(range(len(self.rows)), 2)]
        intercept = np.array([pair.intercept for pair in ordered])
        sign = _sign(len(self.rows))
        position = np.full(len(x), -1)
        position[np.sort(np.concatenate(self.rows))] = np.arange(self.shape[0])
        fitted = clone(svm)
        iterations = np.array([pair.iterations for pair in ordered], dtype=np.int32)
        vars(fitted).update(
            _sparse=False,
            _effective_probability=False,
            n_features_in_=self.shape[1],
            class_weight_=self.weights,
            classes_=self.classes,
            _gamma=self.gamma,
            support_=position[support].astype(np.int32),
            support_vectors_=x[support].astype(np.float64),
            _n_support=np.array([len(group) for group in groups], dtype=np.int32),
            dual_coef_=sign * coefficients,
            intercept_=sign * intercept,
            _probA=np.empty(0),
            _probB=np.empty(0),
            fit_status_=0 if all(pair.converged for pair in ordered) else 1,
            _num_iter=iterations,
            shape_fit_=self.shape,
            _intercept_=intercept,
            _dual_coef_=coefficients,
            n_iter_=iterations,
        )
        return fitted


def _sign(classes: int) -> int:
    """For two classes SVC negates libsvm's coefficients and intercept."""
    return -1 if classes == 2 else 1


# ---------------------------------------------------------------- decision function


def decision_function(svm: Any, x: np.ndarray) -> np.ndarray:
    """Decision values equal to those of `svm.decision_function`; an SVC's by matrix products.

    Parameters
    ----------
    svm : fitted SVC (with decision_function_shape 'ovr') or LinearSVC.
    x : (N, D) features.

    Returns
    -------
    (N,) for two classes, else (N, K), float64.
    """
    if not isinstance(svm, SVC) or svm.kernel not in KERNELS:
        own: np.ndarray = svm.decision_function(x)
        return own
    pairs, classes = pair_values(svm, x), len(svm.classes_)
    if classes == 2:
        return -pairs[:, 0]
    # as in SVC: votes, with ties resolved by the sum of the pairs' values, scaled below 1/3
    votes, sums = np.zeros((2, len(x), classes))
    for p, (i, j) in enumerate(combinations(range(classes), 2)):
        sums[:, i] += pairs[:, p]
        sums[:, j] -= pairs[:, p]
        votes[:, i] += pairs[:, p] >= 0
        votes[:, j] += pairs[:, p] < 0
    values: np.ndarray = votes + sums / (3 * (np.abs(sums) + 1))
    return values


def pair_values(svm: Any, x: np.ndarray) -> np.ndarray:
    """(N, pairs) decision values of an SVC, positive for the first class of a pair."""
    counts = svm.n_support_
    stop = np.cumsum(counts)
    groups = [slice(b - n, b) for b, n in zip(stop, counts, strict=True)]
    pairs = list(combinations(range(len(counts)), 2))
    sign = _sign(len(counts))
    coefficients, intercept = sign * svm.dual_coef_, sign * svm.intercept_
    vectors = svm.support_vectors_
    squares = np.einsum("ij,ij->i", vectors, vectors)
    out = np.empty((len(x), len(pairs)))
    step = max(16, min(1024, BLOCK // max(len(vectors), 1)))
    for start in range(0, len(x), step):
        rows = np.asarray(x[start : start + step], dtype=np.float64)
        kernel = _kernel(svm, rows, vectors, squares)
        # sums[k][:, r]: contribution of class k's vectors to its SVM against its r-th opponent
        sums = [kernel[:, group] @ coefficients[:, group].T for group in groups]
        for p, (i, j) in enumerate(pairs):
            out[start : start + step, p] = sums[i][:, j - 1] + sums[j][:, i] + intercept[p]
    return out


def _kernel(svm: Any, rows: np.ndarray, vectors: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """(rows, vectors) kernel values, by libsvm's definition."""
    values: np.ndarray = rows @ vectors.T
    if svm.kernel == "rbf":
        values *= -2
        values += np.einsum("ij,ij->i", rows, rows)[:, None]
        values += squares
        np.maximum(values, 0, out=values)
        values *= -svm._gamma
        np.exp(values, out=values)
    elif svm.kernel != "linear":
        values *= svm._gamma
        values += svm.coef0
        if svm.kernel == "poly":
            values **= svm.degree
        else:
            np.tanh(values, out=values)
    return values
