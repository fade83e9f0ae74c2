"""scikit-learn-intelex, where it is installed: the solvers of oneDAL in place of scikit-learn's.

Two are used, and what they make is turned into scikit-learn's own objects, so a model is
saved, loaded and run without the package.

A kernel machine has one best solution, which both solvers approach to the same tolerance:
predictions are equal. Only the solution is taken, decided by `darkroom.machines`: the
package's own decision values (2026.2) were wrong in two of 45 pairs of one data set. Its
solver computes kernel values in blocks. That pays where many rows become support vectors
and loses where few do, so a sample is fitted first (`SAMPLE`, `SHARE`).

A forest has no one solution: oneDAL's draws other random numbers and cuts at 256 bins of
each feature, so it is another forest, as one of another seed is. It is grown on request only.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

PACKAGE = "scikit-learn-intelex"
KINDS = ("svm", "random_forest")
ROWS = 10_000  # fewer are fitted before its processes have started
SAMPLE = 5000
SHARE = 0.5  # of a sample's rows that are support vectors, from which on it pays
ROUNDS = 300  # of oneDAL, of which some six are usual; then libsvm fits the pair


@cache
def version() -> str | None:
    """Its version where it is installed and starts, else None; imports it."""
    try:
        importlib.import_module("sklearnex.svm")
        importlib.import_module("sklearnex.ensemble")
        return importlib.metadata.version(PACKAGE)
    except Exception:  # not there, or made for another scikit-learn
        return None


def takes(kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether oneDAL's solver knows these settings of an estimator.

    Parameters
    ----------
    kind : of the classifier. settings : of the scikit-learn estimator.
    """
    given = dict(settings)
    if kind == "svm":
        # other kernels have several best solutions, or oneDAL is stuck on them
        return bool(given.get("kernel", "rbf") == "rbf" and given.get("max_iter", -1) == -1)
    return bool(
        kind == "random_forest"
        and given.get("criterion", "gini") == "gini"
        and not given.get("ccp_alpha")
        and not given.get("monotonic_cst")
        and given.get("class_weight") is None
        and not given.get("oob_score")
    )


def machine(
    machine: Any, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, int] | None:
    """A kernel machine of two classes, 0 and 1, by oneDAL on one thread.

    One, as its sums depend on the number of threads.

    Parameters
    ----------
    machine : SVC, not fitted, whose settings `takes`. x : (N, D) float32. y : (N,).

    Returns
    -------
    Places of the support vectors, their coefficients, intercept (libsvm's signs: positive
    for 0), iterations. None where it did not reach the tolerance.
    """
    _one_thread()
    found = importlib.import_module("sklearnex.svm").SVC(
        **{**machine.get_params(), "max_iter": ROUNDS}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on threads, which are set above
        found.fit(np.ascontiguousarray(x, dtype=np.float32), y)
    rounds = int(np.max(found.n_iter_))
    if rounds >= ROUNDS or not hasattr(found, "_onedal_estimator"):
        return None
    coefficients = -np.asarray(found.dual_coef_, dtype=np.float64)[0]
    return np.asarray(found.support_), coefficients, -float(found.intercept_[0]), rounds


def _one_thread() -> None:
    importlib.import_module("daal4py").daalinit(1)


def forest(template: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """A random forest grown by oneDAL, as scikit-learn's RandomForestClassifier.

    Parameters
    ----------
    template : RandomForestClassifier, not fitted, whose settings `takes`; its `n_jobs` are
        the threads, which change no bit of it. x : (N, D) float32. y : (N,).

    Raises
    ------
    ValueError
        The settings were not taken after all.
    """
    from sklearn.base import clone

    grown = importlib.import_module("sklearnex.ensemble").RandomForestClassifier(
        **template.get_params()
    )
    grown.fit(x, y)
    if not hasattr(grown, "_onedal_estimator"):
        raise ValueError(f"{PACKAGE} does not grow a forest of these settings")
    plain = clone(template)
    plain.estimators_ = list(grown.estimators_)
    plain.estimator_ = clone(grown.estimators_[0])
    for name in ("classes_", "n_classes_", "n_outputs_", "n_features_in_"):
        setattr(plain, name, getattr(grown, name))
    return plain
