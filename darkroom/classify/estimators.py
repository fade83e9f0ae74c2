"""scikit-learn estimators from a classifier's settings, and their fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from darkroom.classify import svm_pairs
from darkroom.classify.kinds import DEFAULTS, ClassifierSettings
from darkroom.errors import UserError, nearest

ESTIMATORS = {
    "svm": SVC,
    "linear_svm": LinearSVC,
    "random_forest": RandomForestClassifier,
    "logistic_regression": LogisticRegression,
    "knn": KNeighborsClassifier,
}


@contextmanager
def in_words(where: str) -> Iterator[None]:
    """Turn what scikit-learn says of an impossible setting into one sentence.

    Rows, classes and numbers are checked before, so its complaints are about settings.

    Parameters
    ----------
    where : the classifier's place in the configuration.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        first = str(error).strip().split("\n")[0]
        raise UserError(f"{where}: scikit-learn does not take this: {first}") from error


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a fit but the rows.

    Attributes
    ----------
    kind : of the classifier.
    scale : whether features are standardised.
    pca : components to keep, as in the settings.
    settings : of the scikit-learn estimator, with codes of classes in `class_weight`.
    seed : of all that is random.
    where : the classifier's place in the configuration, for messages.
    """

    kind: str
    scale: bool
    pca: int | float | None
    settings: dict[str, Any]
    seed: int
    where: str

    @classmethod
    def of(cls, classifier: ClassifierSettings, classes: Sequence[str], name: str) -> Recipe:
        """The recipe of a classifier.

        Parameters
        ----------
        classifier : its settings.
        classes : names of the classes with training rows; their codes are 0, 1, ….
        name : of the classifier in the configuration.

        Raises
        ------
        UserError
            `class_weight` names no such class.
        """
        settings = classifier["settings"]
        weights = settings.get("class_weight")
        if isinstance(weights, dict):
            for label in weights:
                if label not in classes:
                    raise UserError(
                        f"classifiers.{name}: class_weight names {label!r}, which is no "
                        f"class with training rows{nearest(label, classes)}"
                    )
            codes = {code: weights[label] for code, label in enumerate(classes) if label in weights}
            settings = {**settings, "class_weight": codes}
        kind, scale = classifier["kind"], classifier["scale"]
        return cls(
            kind=kind,
            scale=kind != "random_forest" if scale is None else scale,
            pca=classifier["pca"],
            settings=settings,
            seed=classifier["seed"],
            where=f"classifiers.{name}",
        )

    def steps(self, rows: int, features: int) -> list[tuple[str, Any]]:
        """The transformers before the estimator, by name, not yet fitted.

        Parameters
        ----------
        rows : training rows.
        features : of each row.
        """
        steps: list[tuple[str, Any]] = []
        if self.scale:
            steps.append(("scale", StandardScaler()))
        if self.pca is not None:
            if self.pca > min(rows, features):
                raise UserError(
                    f"pca is {self.pca}, but there are only {features} features of {rows} rows to "
                    "learn components from: lower it"
                )
            steps.append(("pca", PCA(self.pca, random_state=self.seed)))
        return steps

    def estimator(self, threads: int = 1) -> Any:
        """The scikit-learn estimator, not yet fitted.

        Parameters
        ----------
        threads : of a random forest.
        """
        given: dict[str, Any] = {**DEFAULTS.get(self.kind, {}), **self.settings}
        if self.kind != "knn":
            given["random_state"] = self.seed
        if self.kind == "random_forest":
            given["n_jobs"] = threads
        return ESTIMATORS[self.kind](**given)

    def fit(self, x: np.ndarray, y: np.ndarray, threads: int) -> Any:
        """The estimator fitted to prepared rows.

        Parameters
        ----------
        x : (M, D) features after `steps`.
        y : (M,) class codes.
        threads : of a random forest; they change no bit of it.
        """
        with in_words(self.where):
            fitted = self.estimator(threads).fit(x, y)
        if self.kind == "random_forest":
            fitted.n_jobs = None  # the number of this machine's cores is no part of the model
        return fitted

    def fit_subsets(
        self, x: np.ndarray, y: np.ndarray, subsets: Sequence[np.ndarray | None], threads: int
    ) -> list[Any]:
        """The SVM fitted to each of several sets of prepared rows.

        Parameters
        ----------
        x : (M, D) features after `steps`.
        y : (M,) class codes.
        subsets : positions of the rows of each fit; None for all.
        threads : fits at the same time; they change no bit of the result.
        """
        with in_words(self.where):
            if self.kind == "svm":
                return svm_pairs.fit(self.estimator(), x, y, subsets, threads=threads)
            fitted: list[Any] = Parallel(n_jobs=threads, backend="threading")(
                delayed(self.estimator().fit)(*((x, y) if s is None else (x[s], y[s])))
                for s in subsets
            )
            return fitted
