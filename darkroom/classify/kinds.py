"""The kinds of classifiers and their settings. Called at start-up, so it imports nothing slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from darkroom.errors import UserError, nearest


class ClassifierSettings(TypedDict):
    """Settings of a classifier.

    Attributes
    ----------
    kind : a key of `SETTINGS`.
    scale : whether features are standardised; None: for all kinds but the random forest.
    pca : components to keep: a count, or a fraction of the variance; None: no PCA.
    settings : settings of the scikit-learn estimator.
    max_rows : size of the stratified sample of training rows; None: all rows.
    memory_mb : memory for the training features (10^6 bytes); above it, a stratified sample.
    seed : random seed.
    refit : fit again to training and validation rows.
    """

    kind: str
    scale: bool | None
    pca: int | float | None
    settings: dict[str, Any]
    max_rows: int | None
    memory_mb: int
    seed: int
    refit: bool


# Settings of each estimator that a user may change: not those in OWN, which the rest of the
# configuration sets, nor those that probabilities depend on.
SETTINGS = {
    "svm": "C break_ties cache_size class_weight coef0 degree gamma kernel max_iter shrinking tol",
    "linear_svm": "C class_weight dual fit_intercept intercept_scaling loss max_iter multi_class "
    "penalty tol",
    "random_forest": "bootstrap ccp_alpha class_weight criterion max_depth max_features "
    "max_leaf_nodes max_samples min_impurity_decrease min_samples_leaf min_samples_split "
    "min_weight_fraction_leaf monotonic_cst n_estimators oob_score",
    "logistic_regression": "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter "
    "penalty solver tol",
    "knn": "algorithm leaf_size metric metric_params n_neighbors p weights",
}
OWN = {
    "random_state": "it is the classifier's `seed`",
    "n_jobs": "it is given by the workflow: --cores and `threads`",
    "probability": "every classifier gives probabilities",
    "decision_function_shape": "the probabilities need 'ovr'",
    "verbose": "the log is the workflow's",
    "warm_start": "every fit starts anew",
}
# Defaults that differ from scikit-learn's: more trees give steadier probabilities, and its
# iteration limits are too low for the features of a network.
DEFAULTS: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 300},
    "logistic_regression": {"max_iter": 2000},
    "linear_svm": {"max_iter": 5000},
}
CALIBRATED = ("svm", "linear_svm")  # kinds without probabilities of their own
CALIBRATION_FOLDS = 3


def check_settings(name: str, kind: str, settings: Mapping[str, Any]) -> None:
    """Check the names of an estimator's settings.

    Parameters
    ----------
    name : name of the classifier in the configuration.
    kind : kind of the classifier.
    settings : settings of its scikit-learn estimator.

    Raises
    ------
    UserError
        A name is unknown (with the nearest known one), or set elsewhere.
    """
    known = SETTINGS[kind].split()
    for key in settings:
        where = f"classifiers.{name}.settings: {key!r}"
        if key in OWN:
            raise UserError(f"{where} cannot be set here: {OWN[key]}")
        if key not in known:
            raise UserError(f"{where} is no setting of {kind}{nearest(key, known)}")


def trees(settings: Mapping[str, Any]) -> int:
    """Number of trees of a random forest with these settings."""
    default = DEFAULTS["random_forest"]["n_estimators"]
    n = settings.get("n_estimators", default)
    return int(n if isinstance(n, int) else default)
