"""Kernel machines of many classes: fitted pair by pair, decided by matrix products.

scikit-learn's SVC fits a machine to each pair of classes, one after the other on one core,
and decides row by row. Here the pairs of several fits share the cores, and decision values
are products of matrices: the same numbers as SVC's, to the last bit in the fit and to 1e-12
in the decision, in a fraction of the time. What
comes out is a plain SVC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

# Below, a pair is fitted in less time than scikit-learn's checks of it take.
PAIRWISE_ROWS, PAIRWISE_CLASSES = 5000, 100
KERNELS = ("linear", "poly", "rbf", "sigmoid")
BLOCK = 1 << 23  # kernel values held at once: 64 MB in each thread


def fit(
    machine: Any,
    x: np.ndarray,
    y: np.ndarray,
    subsets: Sequence[np.ndarray | None],
    *,
    threads: int = 1,
) -> list[Any]:
    """Fit a machine to each of several sets of rows.

    Parameters
    ----------
    machine : scikit-learn SVC, not fitted.
    x : (N, D) float32. y : (N,) class codes.
    subsets : places of the rows of each fit, ascending; None for all.
    threads : pairs fitted at the same time; changes no bit of the result.

    Returns
    -------
    Fitted SVCs, each what `machine.fit(x[subset], y[subset])` gives.
    """
    from joblib import Parallel, delayed
    from sklearn.base import clone

    whole = np.arange(len(x))
    places = [whole if subset is None else subset for subset in subsets]
    classes = len(np.unique(y))
    pairwise = len(x) >= PAIRWISE_ROWS and 2 < classes <= PAIRWISE_CLASSES
    if not pairwise:
        plain: list[Any] = Parallel(n_jobs=threads, backend="threading")(
            delayed(clone(machine).fit)(x if len(at) == len(x) else x[at], y[at]) for at in places
        )
        return plain
    problems = [_Problem.of(machine, x, y, at) for at in places]
    work = [(p, pair) for p in problems for pair in combinations(range(len(p.rows)), 2)]
    work.sort(key=lambda w: -sum(len(w[0].rows[k]) for k in w[1]))  # the longest first
    found = Parallel(n_jobs=threads, backend="threading")(
        delayed(_solve)(p.of_pair(machine, *pair), x, *(p.rows[k] for k in pair))
        for p, pair in work
    )
    for (problem, pair), solution in zip(work, found, strict=True):
        problem.solutions[pair] = solution
    return [problem.machine(machine, x) for problem in problems]


@dataclass(frozen=True)
class _Solution:
    """Of two classes, in libsvm's signs: positive for the first."""

    support: np.ndarray  # places in the rows of the first class, then of the second
    coefficients: np.ndarray
    intercept: float
    iterations: int
    converged: bool


def _solve(machine: Any, x: np.ndarray, first: np.ndarray, second: np.ndarray) -> _Solution:
    """The machine of one pair of classes."""
    rows = x[np.concatenate([first, second])]
    y = np.repeat([0, 1], [len(first), len(second)])
    fitted = machine.fit(rows, y)
    return _Solution(
        fitted.support_,
        fitted._dual_coef_[0],
        float(fitted._intercept_[0]),
        int(fitted.n_iter_[0]),
        fitted.fit_status_ == 0,
    )


@dataclass
class _Problem:
    """One fit of all classes, in parts."""

    classes: np.ndarray
    rows: list[np.ndarray]  # places in x of each class's rows
    gamma: float
    weights: np.ndarray  # of the classes
    shape: tuple[int, int]
    solutions: dict[tuple[int, int], _Solution]

    @classmethod
    def of(cls, machine: Any, x: np.ndarray, y: np.ndarray, at: np.ndarray) -> _Problem:
        from sklearn.utils.class_weight import compute_class_weight

        of = y[at]
        classes = np.unique(of)
        gamma = machine.gamma
        if gamma == "scale":
            variance = np.asarray(x[at], dtype=np.float64).var()
            gamma = 1 / (x.shape[1] * variance) if variance else 1.0
        elif gamma == "auto":
            gamma = 1 / x.shape[1]
        return cls(
            classes=classes,
            rows=[at[of == k] for k in classes],
            gamma=gamma,
            weights=compute_class_weight(machine.class_weight, classes=classes, y=of),
            shape=(len(at), x.shape[1]),
            solutions={},
        )

    def of_pair(self, machine: Any, i: int, j: int) -> Any:
        from sklearn.base import clone

        weights = {0: self.weights[i], 1: self.weights[j]}
        return clone(machine).set_params(gamma=self.gamma, class_weight=weights)

    def machine(self, template: Any, x: np.ndarray) -> Any:
        """An SVC with what its own `fit` would have set, in its order and signs."""
        from sklearn.base import clone

        holds = np.zeros(len(x), dtype=bool)
        for (i, j), pair in self.solutions.items():
            holds[np.concatenate([self.rows[i], self.rows[j]])[pair.support]] = True
        support = np.concatenate(groups := [rows[holds[rows]] for rows in self.rows])
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
        sign = -1 if len(self.rows) == 2 else 1  # SVC turns the signs of two classes
        place = np.full(len(x), -1)
        place[np.sort(np.concatenate(self.rows))] = np.arange(self.shape[0])
        fitted = clone(template)
        iterations = np.array([pair.iterations for pair in ordered], dtype=np.int32)
        vars(fitted).update(
            _sparse=False,
            _effective_probability=False,
            n_features_in_=self.shape[1],
            class_weight_=self.weights,
            classes_=self.classes,
            _gamma=self.gamma,
            support_=place[support].astype(np.int32),
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


# ---------------------------------------------------------------- decisions


def decides(machine: Any) -> bool:
    """Whether `decisions` can take the place of its own."""
    from sklearn.svm import SVC

    return isinstance(machine, SVC) and machine.kernel in KERNELS


def decisions(machine: Any, x: np.ndarray) -> np.ndarray:
    """What `SVC.decision_function` gives (shape 'ovr'), by matrix products.

    Parameters
    ----------
    machine : a fitted SVC with one of `KERNELS`. x : (N, D).

    Returns
    -------
    (N,) for two classes, else (N, K), float64.
    """
    from sklearn.utils.multiclass import _ovr_decision_function

    pairs = _of_pairs(machine, x)
    if len(machine.classes_) == 2:
        return -pairs[:, 0]
    values: np.ndarray = _ovr_decision_function(pairs < 0, -pairs, len(machine.classes_))
    return values


def _of_pairs(machine: Any, x: np.ndarray) -> np.ndarray:
    """(N, pairs) decision values, positive for the first of two classes."""
    counts = machine.n_support_
    stop = np.cumsum(counts)
    groups = [slice(b - n, b) for b, n in zip(stop, counts, strict=True)]
    pairs = list(combinations(range(len(counts)), 2))
    vectors = machine.support_vectors_
    squares = np.einsum("ij,ij->i", vectors, vectors)
    out = np.empty((len(x), len(pairs)))
    step = max(16, min(1024, BLOCK // max(len(vectors), 1)))
    for start in range(0, len(x), step):
        rows = np.asarray(x[start : start + step], dtype=np.float64)
        kernel = _kernel(machine, rows, vectors, squares)
        # by[k][:, r]: what k's vectors say in its machine against its r-th opponent
        by = [kernel[:, group] @ machine._dual_coef_[:, group].T for group in groups]
        for p, (i, j) in enumerate(pairs):
            out[start : start + step, p] = by[i][:, j - 1] + by[j][:, i] + machine._intercept_[p]
    return out


def _kernel(machine: Any, rows: np.ndarray, vectors: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """(rows, vectors) kernel values, as libsvm defines them."""
    values: np.ndarray = rows @ vectors.T
    if machine.kernel == "rbf":
        values *= -2
        values += np.einsum("ij,ij->i", rows, rows)[:, None]
        values += squares
        np.maximum(values, 0, out=values)
        values *= -machine._gamma
        np.exp(values, out=values)
    elif machine.kernel != "linear":
        values *= machine._gamma
        values += machine.coef0
        if machine.kernel == "poly":
            values **= machine.degree
        else:
            np.tanh(values, out=values)
    return values
