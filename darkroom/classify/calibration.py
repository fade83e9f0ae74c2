"""Probabilities of an SVM, learned from decision values of held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV

from darkroom.classify import coupling, svm_pairs
from darkroom.classify.estimators import Recipe
from darkroom.classify.kinds import CALIBRATION_FOLDS
from darkroom.classify.rows import TrainingRows, stratified_folds, stratified_sample

CALIBRATION_ROWS = 5000
COUPLED_CLASSES = 50  # a row's coupling takes a matrix of their square


class DecisionValues(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose decision values are its input, so that only the calibration is learned."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> DecisionValues:
        """Remember the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Never called; scikit-learn accepts no classifier without it."""
        raise NotImplementedError

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Return the input: (N,) for two classes, else (N, K)."""
        return x[:, 0] if x.shape[1] == 1 else x


def calibrated(
    recipe: Recipe, rows: TrainingRows, threads: int, notes: list[str]
) -> tuple[Any, np.ndarray | None, bool]:
    """Fit an SVM to all rows, and learn its probabilities from held-out rows of folds.

    It works as CalibratedClassifierCV(svm, ensemble=False), with three differences: the fits
    on the folds and on all rows share the cores; folds keep groups whole, and a variant with its
    parent, but only decision values of originals are used (at most 5,000: one or two parameters
    are learned, and a kernel SVM predicts slowly); a class too small for held-out rows
    contributes rows that the SVM was fitted to.

    Two classes: Platt's sigmoid. Up to `COUPLED_CLASSES` of an SVM with a kernel: a sigmoid for
    each pair, coupled; their votes alone lose what the values tell (log loss of ten classes in a
    trial 0.40, coupled 0.30, the best that is possible 0.25). Else one temperature (Guo et al.,
    arXiv:1706.04599) of the values by class; where no held-out row is misclassified, the best
    would be 0, so the sigmoid of each class is used, whose targets are never 0 or 1. Three folds:
    five changed the log loss by less than 0.003.

    Parameters
    ----------
    recipe : recipe of the SVM.
    rows : training rows, after the recipe's `steps`.
    threads : cores to use; the result does not depend on them.
    notes : list that sentences for the report are appended to.

    Returns
    -------
    A fitted CalibratedClassifierCV and None, or the SVC and the sigmoids of `coupling.sigmoids`;
    and whether every class had rows to hold out.
    """
    x, y = rows.x, rows.y
    folds, small = calibration_folds(rows, recipe.seed)
    # all rows first: the longest fit
    svm, *fold_svms = recipe.fit_subsets(x, y, [None, *(train for train, _ in folds)], threads)
    couples = recipe.kind == "svm" and 2 < len(rows.classes) <= COUPLED_CLASSES
    evaluate = svm_pairs.pair_values if couples else svm_pairs.decision_function
    values = np.concatenate(
        Parallel(n_jobs=threads, backend="threading")(
            delayed(evaluate)(fold_svm, x[held])
            for fold_svm, (_, held) in zip(fold_svms, folds, strict=True)
        )
    )
    truth = y[np.concatenate([held for _, held in folds])]
    separated = values.ndim == 2 and bool((values.argmax(axis=1) == truth).all())
    method = "sigmoid" if values.ndim == 1 or separated else "temperature"
    how = "Platt’s sigmoid" if method == "sigmoid" else "temperature scaling"
    if couples:
        how = "Platt’s sigmoid of each two classes, coupled,"
    notes.append(
        f"probabilities by {how} of the decision values of {len(truth)} training rows held out in "
        f"{len(folds)} folds"
    )
    if small:
        notes.append(
            f"too few training rows of {', '.join(rows.classes[k] for k in small)} "
            "to hold any out: their probabilities are learned from rows that the classifier was "
            "fitted to, so they are overconfident"
        )
    if couples:
        return svm, coupling.sigmoids(values, truth, len(rows.classes)), not small
    every = np.arange(len(truth))
    fitted = CalibratedClassifierCV(
        DecisionValues(), method=method, ensemble=False, cv=[(every, every)]
    ).fit(values.reshape(len(truth), -1), truth)
    fitted.calibrated_classifiers_[0].estimator = svm
    fitted.n_features_in_ = svm.n_features_in_
    fitted.estimator, fitted.cv = clone(svm), CALIBRATION_FOLDS
    return fitted, None, not small


def calibration_folds(
    rows: TrainingRows, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[int]]:
    """Folds for the calibration: each trains on every class and holds out originals only.

    Where all groups of a class fall into one fold, that fold trains on them too.

    Parameters
    ----------
    rows : training rows.
    seed : seed of the folds and of the sample of `CALIBRATION_ROWS`.

    Returns
    -------
    For each fold the positions of its training rows and of its held-out rows; the classes
    that cannot be held out.
    """
    y, everything = rows.y, np.arange(len(rows.y))
    originals = np.flatnonzero(rows.original)
    if len(originals) > CALIBRATION_ROWS:
        n = max(CALIBRATION_ROWS, len(np.unique(y[originals])))
        originals = originals[stratified_sample(y[originals], n, seed)]
    folds = stratified_folds(y, rows.group, CALIBRATION_FOLDS, seed)
    out: list[tuple[np.ndarray, np.ndarray]] = []
    small: set[int] = set()
    for train, test in folds or [(everything[:0], everything)]:
        missing = np.setdiff1d(y, y[train])
        small |= {int(k) for k in missing}
        train = np.union1d(train, everything[np.isin(y, missing)])
        held = np.intersect1d(test, originals)
        if len(held):
            out.append((train, held))
    return out, sorted(small)
