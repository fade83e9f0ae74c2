"""Probabilities of an SVM, learned from decision values of rows that it was not fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV

from darkroom.classify import svm_pairs
from darkroom.classify.estimators import Recipe
from darkroom.classify.kinds import CALIBRATION_FOLDS
from darkroom.classify.rows import TrainingRows, stratified_folds, stratified_sample

CALIBRATION_ROWS = 5000


class DecisionValues(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose decision values are its input: only what follows them is learned."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> DecisionValues:
        """Remember the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Needed for scikit-learn to take it as a classifier, never called."""
        raise NotImplementedError

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """The input: (N,) for two classes, else (N, K)."""
        return x[:, 0] if x.shape[1] == 1 else x


def calibrated(recipe: Recipe, rows: TrainingRows, threads: int, notes: list[str]) -> Any:
    """Fit an SVM to all rows, and learn probabilities from rows held out of fits on folds.

    It is what CalibratedClassifierCV(svm, ensemble=False) does, with three differences: the
    fits on the folds and on all rows share the cores; folds keep groups whole, with a variant
    where its parent is, but decision values are taken of originals only (of at most 5,000:
    one or two numbers are to be learned, and a kernel SVM is slow to predict); a class too
    small to hold rows out takes part with rows that were learned.

    Two classes: Platt's sigmoid. More: one temperature (Guo et al., arXiv:1706.04599),
    which keeps the SVM's own decision and had the better log loss in trials (digits
    pixels, RBF: 0.22 against 0.32; fifty overlapping classes: accuracy 0.74 as the SVM
    itself, the sigmoids 0.69). But the sigmoid, whose targets are never 0 or 1, where no
    held-out row is misclassified and the best temperature is 0. Three folds, as five
    changed the log loss by less than 0.003.

    Parameters
    ----------
    recipe : of the SVM.
    rows : to learn from, after the recipe's `steps`.
    threads : cores to use; they change no bit of the result.
    notes : sentences for the report are added.

    Returns
    -------
    A fitted CalibratedClassifierCV.
    """
    x, y = rows.x, rows.y
    folds, small = calibration_folds(rows, recipe.seed)
    # all rows and the folds at once; the longest first
    svm, *of_folds = recipe.fit_subsets(x, y, [None, *(train for train, _ in folds)], threads)
    values = np.concatenate(
        Parallel(n_jobs=threads, backend="threading")(
            delayed(svm_pairs.decision_function)(of_fold, x[held])
            for of_fold, (_, held) in zip(of_folds, folds, strict=True)
        )
    )
    truth = y[np.concatenate([held for _, held in folds])]
    separated = values.ndim == 2 and bool((values.argmax(axis=1) == truth).all())
    method = "sigmoid" if values.ndim == 1 or separated else "temperature"
    notes.append(
        f"probabilities by {'Platt’s sigmoid' if method == 'sigmoid' else 'temperature scaling'}"
        f" of the decision values of {len(truth)} training rows held out in "
        f"{len(folds)} folds"
    )
    if small:
        notes.append(
            f"too few training rows of {', '.join(rows.classes[k] for k in small)} "
            "to hold any out: probabilities of them rest on rows that were learned, so they are "
            "too sure"
        )
    every = np.arange(len(truth))
    fitted = CalibratedClassifierCV(
        DecisionValues(), method=method, ensemble=False, cv=[(every, every)]
    ).fit(values.reshape(len(truth), -1), truth)
    fitted.calibrated_classifiers_[0].estimator = svm
    fitted.n_features_in_ = svm.n_features_in_
    fitted.estimator, fitted.cv = clone(svm), CALIBRATION_FOLDS
    return fitted


def calibration_folds(
    rows: TrainingRows, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[int]]:
    """Folds to learn probabilities from: each trains on every class and holds originals out.

    Where all groups of a class fall into one fold, that class's rows are learned in this fold
    too.

    Parameters
    ----------
    rows : to learn from.
    seed : of the folds and of the sample of `CALIBRATION_ROWS`.

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
