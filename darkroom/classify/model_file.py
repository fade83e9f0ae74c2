"""A fitted classifier and its file: skops, a zip of arrays and a schema with no pickle in it.

`graph_file` has what lies beside these in the zip, to predict without scikit-learn.
"""

from __future__ import annotations

import copy
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.utils
from joblib import Parallel, delayed
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import ThreadpoolController

from darkroom import __version__, temperature
from darkroom.classify import graph_file, svm_pairs
from darkroom.classify.calibration import DecisionValues
from darkroom.classify.coupling import coupled
from darkroom.classify.rows import MappedRows
from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.unlikeness import Known

log = logging.getLogger(__name__)

LEAST = 1e-3  # probability at which logarithms are bounded: a forest's vote in hundreds
CHUNK = 1024  # rows per prediction; fixed, so that results do not depend on the threads

# Types allowed in a model file besides those that skops trusts (NumPy arrays, plain values): our
# estimators and their private parts. None of them runs code from the file.
TRUSTED = [
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.decomposition._pca.PCA",
    "sklearn.svm._classes.SVC",
    "sklearn.svm._classes.LinearSVC",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.neighbors._classification.KNeighborsClassifier",
    "sklearn.calibration.CalibratedClassifierCV",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.tree._tree.Tree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
]


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier, the content of `model.skops`.

    Attributes
    ----------
    pipeline : scikit-learn Pipeline of scaling and PCA, where used, and the estimator. Its
        classes 0, 1, … are the entries of `known`.
    known : indices into `classes` of the classes it was trained on.
    classes : K class names in order.
    pairs : (pairs, 2) sigmoids of an SVM of several classes, see `coupling`; else None.
    temperature : of its probabilities; 1: as the estimator gives them.
    learned_from : to tell how unlike a picture is; None: no validation rows set its limit.
    about : `features`, `layer` and `made` (as in `features_file.Features`), `classifier` (its
        settings), `dataset`, `fold`, `notes`, `versions`.
    """

    pipeline: Any
    known: list[int]
    classes: list[str]
    about: dict[str, Any]
    pairs: np.ndarray | None = None
    temperature: float = 1.0
    learned_from: Known | None = None

    def probabilities(self, features: np.ndarray | MappedRows) -> np.ndarray:
        """Probability of each class, at the temperature.

        Parameters
        ----------
        features : (N, D) float32; may be mapped: it is read in chunks.

        Returns
        -------
        (N, K) float64; 0 for a class without training rows.
        """
        return self.tempered(self.plain(features))

    def tempered(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities that `plain` gave, at the temperature."""
        if self.temperature == 1:
            return probabilities
        out = np.zeros_like(probabilities)
        out[:, self.known] = temperature.applied(self.logs(probabilities), self.temperature)
        return out

    def logs(self, probabilities: np.ndarray) -> np.ndarray:
        """(N, known classes) logarithms, bounded where a share of votes is 0."""
        return np.asarray(np.log(np.maximum(probabilities[:, self.known], LEAST)))

    def plain(self, features: np.ndarray | MappedRows, threads: int = 1) -> np.ndarray:
        """Probabilities as the estimator gives them; features and result as those of `probabilities`.

        Parameters
        ----------
        threads : chunks predicted at the same time; the result does not depend on them.
        """
        threadpools = ThreadpoolController()
        predict_proba = _predict_proba(self.pipeline, self.pairs)

        def predict(start: int) -> np.ndarray:
            # OpenMP's limit applies to the calling thread, so it is set here
            with threadpools.limit(limits=1):
                return predict_proba(np.asarray(features[start : start + CHUNK], dtype=np.float32))

        out = np.zeros((len(features), len(self.classes)))
        starts = range(0, len(features), CHUNK)
        with threadpools.limit(limits=1):
            parts = Parallel(n_jobs=threads, backend="threading", return_as="generator")(
                delayed(predict)(start) for start in starts
            )
            for start, part in zip(starts, parts, strict=True):
                out[start : start + CHUNK, self.known] = part
        out /= out.sum(axis=1, keepdims=True)  # some estimators sum in float32
        return out

    def save(self, path: str, graph: bytes | None = None) -> None:
        """Write the file atomically.

        Its bytes differ from run to run (dates within the zip); its content does not.

        Parameters
        ----------
        path : `model.skops`.
        graph : the classifier as `onnx_graph.alone` gives it; None: it has no such form.

        Raises
        ------
        UserError
            The model has parts that `load` would refuse.
        """
        io = _writer()
        content = {
            "pipeline": self.pipeline,
            "known": self.known,
            "classes": self.classes,
            "about": self.about,
            "pairs": self.pairs,
            "temperature": self.temperature,
        }
        with disk.whole(path) as part:
            io.dump(content, part, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
            strange = set(io.get_untrusted_types(file=part)) - set(TRUSTED)
            if strange:
                raise UserError(
                    f"{path}: these settings make a model with parts that may be unsafe "
                    f"to load ({', '.join(sorted(strange))}): change metric or algorithm"
                )
            graph_file.write(part, self.classes, self.about, self.learned_from, graph)


def _writer() -> Any:
    """skops without its second of start: to list the estimators it trusts, it imports all of scikit-learn.

    This list stays empty in the process, for `TRUSTED` has ours.
    """
    every = sklearn.utils.all_estimators
    sklearn.utils.all_estimators = list
    try:
        import skops.io
    finally:
        sklearn.utils.all_estimators = every
    return skops.io


def load(path: str) -> Fitted:
    """Read a classifier that `Fitted.save` wrote.

    Only types in `TRUSTED` and those that skops trusts are created, so no code in the file is
    run. A manipulated file may still give wrong predictions or crash the process: use models
    from trusted sources only.

    Parameters
    ----------
    path : `model.skops`.

    Raises
    ------
    UserError
        The file is missing, is no such model, holds another type, or unpacks to far more than
        its size.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such model; run the workflow to make it")
    try:
        graph_file.check_unpacked(path)
        content = skops.io.load(path, trusted=TRUSTED)
        with zipfile.ZipFile(path) as file:
            known = graph_file.learned_from(file)
        fitted = Fitted(
            content["pipeline"],
            [int(k) for k in content["known"]],
            list(content["classes"]),
            dict(content["about"]),
            content["pairs"],
            float(content["temperature"]),
            known,
        )
        made = fitted.about["versions"].get("scikit-learn")
    except UserError:
        raise
    except UntrustedTypesFoundException as error:
        raise UserError(
            f"{path} is refused: it holds types that no classifier of this workflow has: {error}"
        ) from error
    except Exception as error:
        raise UserError(
            f"{path} is no model of this workflow, or is damaged ({type(error).__name__}: "
            f"{error}): delete it and run again"
        ) from error
    if made != sklearn.__version__:
        log.warning(
            "%s was made with scikit-learn %s and is read with %s: predictions may differ",
            path,
            made,
            sklearn.__version__,
        )
    return fitted


def versions() -> dict[str, str]:
    """Versions of the packages that write a model file, for its `about`."""
    return {
        "darkroom": __version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "skops": version("skops"),
    }


def _predict_proba(pipeline: Any, pairs: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
    """The pipeline's `predict_proba`, in float64 wherever the classifier's graph is.

    An SVM's uses our much faster decision function.
    """
    *steps, (_, last) = pipeline.steps

    def prepared(x: np.ndarray) -> np.ndarray:
        for name, step in steps:
            x = step.transform(x) if name == "scale" else _components(x, step)
        return x

    if pairs is not None:
        return lambda x: coupled(
            svm_pairs.pair_values(last, prepared(x)), pairs, len(last.classes_)
        )
    if isinstance(last, LogisticRegression):
        return lambda x: _logistic(last, np.asarray(prepared(x), np.float64))
    calibrated = getattr(last, "calibrated_classifiers_", None)
    if not calibrated:
        return lambda x: np.asarray(last.predict_proba(prepared(x)))
    svm = calibrated[0].estimator
    calibration = copy.copy(calibrated[0])
    calibration.estimator = DecisionValues()
    calibration.estimator.classes_ = svm.classes_

    def predict(x: np.ndarray) -> np.ndarray:
        values = svm_pairs.decision_function(svm, np.asarray(prepared(x), np.float64))
        probabilities: np.ndarray = calibration.predict_proba(values.reshape(len(x), -1))
        return probabilities

    return predict


def _components(x: np.ndarray, pca: Any) -> np.ndarray:
    """(N, components) float64, as a PCA without whitening gives them."""
    turn = pca.components_.T.astype(np.float64)
    found: np.ndarray = x.astype(np.float64) @ turn - pca.mean_ @ turn
    return found


def _logistic(estimator: LogisticRegression, x: np.ndarray) -> np.ndarray:
    """Its `predict_proba`: the softmax of the linear values, or the sigmoid of the only one."""
    values = x @ estimator.coef_.T.astype(np.float64) + estimator.intercept_
    if values.shape[1] > 1:
        return temperature.applied(values, 1.0)
    second = expit(values)
    return np.concatenate([1 - second, second], axis=1)
