"""Classifiers on feature sets: scikit-learn pipelines, calibrated, saved without pickle.

scikit-learn is imported only where something is fitted or loaded: `forecast` and
`check_settings` are called while the Snakefile is read.
"""

from __future__ import annotations

import copy
import logging
import math
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darkroom import overrides
from darkroom.classify import svm_pairs
from darkroom.errors import UserError, nearest
from darkroom.features import predictions
from darkroom.images import store
from darkroom.images.joined import forget
from darkroom.machine import disk
from darkroom.split import splits

log = logging.getLogger(__name__)

# What a person may set of each estimator. Left out: what the rest of the configuration
# sets (OWN) and what probabilities need as it is.
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
# Where scikit-learn's own default is not taken: more trees steady the probabilities, and
# its limits on iterations are too low for the features of a network.
DEFAULTS: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 300},
    "logistic_regression": {"max_iter": 2000},
    "linear_svm": {"max_iter": 5000},
}
CALIBRATED = ("svm", "linear_svm")  # have no probabilities of their own
CALIBRATION_FOLDS = 3
CALIBRATION_ROWS = 5000
FORGET_BYTES = 16 << 20  # of mapped features read before their pages are given back
CHUNK = 1024  # rows predicted at once; fixed, so that no result depends on the threads

# What a model file may hold besides the types that skops trusts by itself (scikit-learn's
# public estimators, numpy arrays, plain values): the private parts of the kinds above.
# None of them runs code from the file.
TRUSTED = [
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


# ---------------------------------------------------------------- before anything runs


@dataclass(frozen=True)
class Forecast:
    """How long a fit will take on one core (None: not known), and a warning or None."""

    seconds: float | None
    message: str | None


# Seconds of one fit of scikit-learn's SVC on one core: FACTOR · rows² · (values + OFFSET).
# Measured with the defaults on standardised features of a network's form (a 2-core machine;
# rows × values, classes: seconds where classes overlap little, so that the accuracy is 0.92 …
# more, 0.72 … most, 0.48): 4,000 × 250, 10: 0.4, 0.8, -; 8,000 × 250, 10: 1.7, 4.3, 7.5;
# 16,000 × 250, 10: 5.4, 17, 33; 32,000 × 250, 10: -, 54, -; 32,000 × 64, 10: -, 26, -;
# 8,000 × 1,000, 10: 5.5, -, 29; 20,000 × 250, 2: -, 35, 46. That is 0.8 to 4.6 · 10⁻¹⁰; the
# number of classes and libsvm's cache (200 MB or 1 GB) mattered little.
FACTOR, OFFSET = 2.5e-10, 30
SENSIBLE = 1800.0
# Work of a fit and of its calibration's, in fits on all rows, which take the square of the rows.
FITS = 1 + CALIBRATION_FOLDS * (1 - 1 / CALIBRATION_FOLDS) ** 2


def forecast(
    kind: str,
    rows: int,
    dims: int,
    max_rows: int | None = None,
    memory_mb: int | None = None,
) -> Forecast:
    """Time of a fit before it starts; what to use where a kernel SVM takes too long, and what
    is done where the features are more than may be held.

    Parameters
    ----------
    kind, max_rows, memory_mb : of the classifier, as in the configuration.
    rows : training rows, variants included. dims : values of each.

    Returns
    -------
    seconds for `svm` (calibration included; right within a factor of three), else
    None; a message where they are more than half an hour.
    """
    used, sample = min(rows, max_rows or rows), None
    if memory_mb is not None and used > (fit := rows_that_fit(dims, memory_mb)):
        reason = too_many(used, dims, memory_mb)
        used, sample = fit, f"{reason}: it is fitted to a sample of {fit:,} of them"
    if kind != "svm":
        return Forecast(None, sample)

    def seconds(n: float) -> float:
        return FACTOR * n**2 * (dims + OFFSET) * FITS

    if seconds(used) <= SENSIBLE:
        return Forecast(seconds(used), sample)
    few = math.sqrt(SENSIBLE / 3 / FACTOR / (dims + OFFSET) / FITS)
    few = max(100, _round_down(few))
    return Forecast(
        seconds(used),
        f"a kernel SVM on {used:,} rows of {dims} values takes about {_duration(seconds(used))}"
        " on one core; use kind: linear_svm or "
        f"logistic_regression, whose time grows with the rows and not with their square, or "
        f"max_rows: {few} (a sample; about {_duration(seconds(few))})",
    )


def work(
    kind: str,
    settings: Mapping[str, Any] | None = None,
    max_rows: int | None = None,
) -> float:
    """Seconds of a fit on one core, roughly, before the data are known: to share cores by.

    As if there were 50,000 rows of 250 values: with few rows, no share is wrong for long. A
    forest of 300 trees took 100 s there, logistic regression and the neighbours of 10,000
    rows 7 s.

    Parameters
    ----------
    kind, settings, max_rows : of the classifier, as in the configuration.
    """
    rows, values = min(max_rows or 50_000, 50_000), 250
    if kind == "svm":
        return forecast(kind, rows, values).seconds or 0
    if kind == "random_forest":
        given = DEFAULTS[kind] | dict(settings or {})
        trees = given["n_estimators"] if isinstance(given["n_estimators"], int) else 300
        seconds = 2.7e-8 * trees * rows * math.log2(max(rows, 2)) * math.sqrt(values)
    else:
        seconds = 1.4e-4 * rows
    return seconds * (FITS if kind in CALIBRATED else 1)


def rows_that_fit(values: int, memory_mb: int) -> int:
    """How many rows of float32 features `memory_mb` holds, at least one."""
    return max(1, int(memory_mb / (4e-6 * values)))


def too_many(rows: int, values: int, memory_mb: int) -> str:
    """Why not all rows are used, as a part of a sentence."""
    return (
        f"the {rows:,} training rows of {values} values take {4e-6 * rows * values:,.0f} MB, "
        f"more than memory_mb ({memory_mb:,})"
    )


def _round_down(value: float) -> int:
    step = 10 ** max(0, int(math.log10(max(value, 1))) - 1)
    return int(value // step * step)


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def check_settings(name: str, classifier: Mapping[str, Any]) -> None:
    """Check the names in `settings`; needs no scikit-learn.

    Parameters
    ----------
    name : of the classifier in the configuration. classifier : its settings.

    Raises
    ------
    UserError
        An unknown name, with the nearest known one, or one that is set elsewhere.
    """
    known = SETTINGS[classifier["kind"]].split()
    for key in classifier["settings"]:
        where = f"classifiers.{name}.settings: {key!r}"
        if key in OWN:
            raise UserError(f"{where} cannot be set here: {OWN[key]}")
        if key not in known:
            raise UserError(f"{where} is no setting of {classifier['kind']}{nearest(key, known)}")


# ---------------------------------------------------------------- a fitted classifier


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier, as it stands in `model.skops`.

    Attributes
    ----------
    pipeline : scikit-learn Pipeline: scaling, PCA, estimator, as far as used. Its classes
        are 0, 1, … for the entries of `known`.
    known : indices into `classes` of the classes it was trained on.
    classes : K class names in order.
    about : `features`, `layer` and `made` (as in `store.Features`), `classifier` (its
        settings), `dataset`, `fold`, `notes`, `versions`.
    """

    pipeline: Any
    known: list[int]
    classes: list[str]
    about: dict[str, Any]

    def probabilities(self, features: np.ndarray | _Rows, threads: int = 1) -> np.ndarray:
        """Probability of each class; the number of threads changes no bit of it.

        Parameters
        ----------
        features : (N, D) float32; may be mapped: it is read in chunks.
        threads : chunks predicted at the same time.

        Returns
        -------
        (N, K) float64; 0 for a class that was not trained on.
        """
        from joblib import Parallel, delayed
        from threadpoolctl import ThreadpoolController

        threadpools = ThreadpoolController()
        of_rows = _predict_proba(self.pipeline)

        def predict(start: int) -> np.ndarray:
            # OpenMP counts its threads for each calling thread, so the limit stands here
            with threadpools.limit(limits=1):
                return of_rows(np.asarray(features[start : start + CHUNK], dtype=np.float32))

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

    def save(self, path: str) -> None:
        """Write one skops file: a zip of arrays and of a schema, no pickle in it.

        It is built in memory. Its bytes differ from run to run (dates within the zip), what
        they say does not.

        Raises
        ------
        UserError
            The settings led to parts that `load` would refuse.
        """
        import skops.io

        content = {
            "pipeline": self.pipeline,
            "known": self.known,
            "classes": self.classes,
            "about": self.about,
        }
        with disk.whole(path) as part:
            skops.io.dump(content, part, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
            strange = set(skops.io.get_untrusted_types(file=part)) - set(TRUSTED)
            if strange:
                raise UserError(
                    f"{path}: these settings make a model with parts that are not known to be safe "
                    f"to load ({', '.join(sorted(strange))}): change metric or algorithm"
                )


def _predict_proba(pipeline: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The pipeline's `predict_proba`; of a kernel machine by matrix products, much sooner."""
    last = pipeline.steps[-1][1]
    calibrated = getattr(last, "calibrated_classifiers_", None)
    if not calibrated or not svm_pairs.decides(calibrated[0].estimator):
        found: Callable[[np.ndarray], np.ndarray] = pipeline.predict_proba
        return found
    of_scores = copy.copy(calibrated[0])
    of_scores.estimator = _scores_estimator()
    of_scores.estimator.classes_ = calibrated[0].estimator.classes_

    def predict(x: np.ndarray) -> np.ndarray:
        for _, step in pipeline.steps[:-1]:
            x = step.transform(x)
        scores = svm_pairs.decisions(calibrated[0].estimator, x)
        probabilities: np.ndarray = of_scores.predict_proba(scores.reshape(len(x), -1))
        return probabilities

    return predict


def load(path: str) -> Fitted:
    """Read a classifier that `fit` saved.

    Only types in `TRUSTED` and those that skops itself trusts are made: nothing in the file is
    run. That guards against code, not against false numbers: a forged tree may give any
    answer or end the process, so take models from people you trust.

    Raises
    ------
    UserError
        The file is missing, is no such model, or holds any other type.
    """
    import sklearn
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such model; run the workflow to make it")
    try:
        content = skops.io.load(path, trusted=TRUSTED)
        fitted = Fitted(
            content["pipeline"],
            [int(k) for k in content["known"]],
            list(content["classes"]),
            dict(content["about"]),
        )
    except UntrustedTypesFoundException as error:
        raise UserError(
            f"{path} is refused: it holds what no classifier of this workflow has: {error}"
        ) from error
    except Exception as error:
        raise UserError(
            f"{path} is no model of this workflow, or is damaged ({type(error).__name__}: "
            f"{error}): delete it and run again"
        ) from error
    made = fitted.about["versions"].get("scikit-learn")
    if made != sklearn.__version__:
        log.warning(
            "%s was made with scikit-learn %s and is read with %s: predictions may differ",
            path,
            made,
            sklearn.__version__,
        )
    return fitted


# ---------------------------------------------------------------- the stage


def fit(
    features: str,
    splits_path: str,
    *,
    model_path: str,
    predictions_path: str,
    cfg: dict[str, Any],
    tuned: str | None = None,
    threads: int = 1,
) -> None:
    """Fit a classifier to a fold's training rows and predict its validation and test rows.

    The result depends on data, settings and seed, not on the number of threads. Training rows
    that take more than `memory_mb` are replaced by a stratified sample that fits. Memory: the
    rows once in float32 and once more while they are scaled; `linear_svm` copies them to
    float64 in each of the at most `threads` fits at a time, `svm` those of two classes.

    Parameters
    ----------
    features, splits_path : the files `features.h5` and `splits.parquet`.
    model_path, predictions_path : the files to write.
    cfg : `dataset`, `fold`, `features`, `name` (of the classifier), `classifier` (its
        settings: kind, scale, pca, settings, max_rows, memory_mb, seed),
        `balance`, `balance_seed`.
    tuned : `best.json` of a search for its settings; None where there was none.
    threads : cores to use.

    Raises
    ------
    UserError
        A setting that scikit-learn does not take; too few rows, groups or classes;
        features that are not numbers.
    """
    from threadpoolctl import threadpool_limits

    classifier, searched = overrides.chosen(cfg["classifier"], tuned)
    cfg = {**cfg, "classifier": classifier}
    check_settings(cfg["name"], classifier)
    data, notes = _training_data(features, splits_path, cfg)
    notes += [searched] if searched else []
    rows, values = data.training.x.shape
    told = forecast(classifier["kind"], rows, values)
    if told.message or (told.seconds or 0) > 60:
        log.info("%s: %s", cfg["name"], told.message or f"about {_duration(told.seconds or 0)}")
    seconds = {}
    # One thread of linear algebra: with more, sums are made in another order. The cores
    # work on folds, candidates, trees and chunks of rows instead.
    with threadpool_limits(1):
        recipe = _Recipe.of(classifier, data.training.names, cfg["name"])
        start = time.monotonic()
        pipeline = _fit_pipeline(recipe, data.training, threads, notes)
        seconds["fit"] = time.monotonic() - start
        fitted = Fitted(
            pipeline,
            data.known,
            data.classes,
            {
                "features": data.features.name,
                "layer": data.features.layer,
                "made": data.features.made,
                "classifier": classifier,
                "dataset": cfg["dataset"],
                "fold": cfg["fold"],
                "notes": notes,
                "versions": _versions(),
            },
        )
        start = time.monotonic()
        with _sentences(recipe.where):
            probabilities = fitted.probabilities(_Rows(data.features.features, data.held), threads)
        seconds["predict"] = time.monotonic() - start
    fitted.save(model_path)
    predictions.write_predictions(
        predictions_path,
        data.features.row[data.held],
        data.held_part,
        data.held_label,
        probabilities,
        dataset=cfg["dataset"],
        fold=cfg["fold"],
        features=cfg["features"],
        classifier=cfg["name"],
        classes=data.classes,
        notes=notes,
        seconds=seconds,
    )
    right = probabilities.argmax(axis=1) == data.held_label
    scores = [
        f"{part} accuracy {right[data.held_part == part].mean():.3f}"
        for part in ("validation", "test")
        if (data.held_part == part).any()
    ]
    log.info(
        "%s on %s (%s, %s): %d rows of %d values fitted in %.1f s; %s",
        cfg["name"],
        cfg["features"],
        cfg["dataset"],
        cfg["fold"],
        rows,
        values,
        seconds["fit"],
        ", ".join(scores) or "no row to predict",
    )
    for note in notes:
        log.info("%s: %s", cfg["name"], note)


def validate(
    features: str, splits_path: str, *, cfg: dict[str, Any], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a classifier as `fit` does and predict the validation rows; nothing is written.

    Parameters and errors as those of `fit`.

    Returns
    -------
    (V,) true classes, and (V, K) float64 probabilities.
    """
    from threadpoolctl import threadpool_limits

    check_settings(cfg["name"], cfg["classifier"])
    data, notes = _training_data(features, splits_path, cfg)
    own = data.held_part == "validation"
    with threadpool_limits(1):
        recipe = _Recipe.of(cfg["classifier"], data.training.names, cfg["name"])
        pipeline = _fit_pipeline(recipe, data.training, threads, notes)
        fitted = Fitted(pipeline, data.known, data.classes, {})
        with _sentences(recipe.where):
            found = fitted.probabilities(_Rows(data.features.features, data.held[own]), threads)
    return data.held_label[own], found


@dataclass
class _Rows:
    """Some rows of a mapped array, read when asked for."""

    array: np.ndarray
    at: np.ndarray
    read: int = 0

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, part: slice) -> np.ndarray:
        chosen: np.ndarray = self.array[self.at[part]]
        self.read += chosen.nbytes
        if self.read > FORGET_BYTES:  # mapped pages count as this process's memory
            forget(self.array)
            self.read = 0
        return chosen


@dataclass
class _Training:
    """Rows to learn from."""

    x: np.ndarray  # (M, D) float32
    y: np.ndarray  # (M,) 0 … k-1, each of them at least once
    names: list[str]  # of these k classes
    group: np.ndarray  # (M,) code of the group; a variant has its parent's
    original: np.ndarray  # (M,) bool, no variant


@dataclass(frozen=True)
class _Data:
    """The rows of a fold that a classifier works on."""

    features: store.Features
    classes: list[str]
    known: list[int]  # indices of the classes with training rows
    training: _Training
    held: np.ndarray  # (P,) places in `features` of the rows to predict
    held_part: np.ndarray
    held_label: np.ndarray


def _training_data(features: str, splits_path: str, cfg: dict[str, Any]) -> tuple[_Data, list[str]]:
    import pandas

    classifier, where = cfg["classifier"], f"{cfg['dataset']}, {cfg['fold']}"
    notes: list[str] = []
    table = splits.read_splits(splits_path)
    opened = store.open_features(features)
    row, variant = opened.row, opened.variant
    part, label = table.lookup(row, cfg["fold"])
    part = part.astype(str)
    train = splits.training_rows(
        row, variant, part, label, balance=cfg["balance"], seed=cfg["balance_seed"]
    )
    if classifier["max_rows"] and len(train) > classifier["max_rows"]:
        chosen = _sample(label[train], classifier["max_rows"], classifier["seed"])
        notes.append(
            f"trained on a stratified sample of {len(chosen)} of {len(train)} training rows "
            "(max_rows)"
        )
        train = train[chosen]
    values, budget = opened.features.shape[1], classifier["memory_mb"]
    if len(train) > (fit := rows_that_fit(values, budget)):
        reason = too_many(len(train), values, budget)
        few = max(fit, len(np.unique(label[train])))
        train = train[_sample(label[train], few, classifier["seed"])]
        notes.append(f"trained on a stratified sample of {len(train):,} rows: {reason}")
    known = np.unique(label[train])
    if len(known) < 2:
        raise UserError(
            f"{where}: a classifier needs training rows of two classes, but there are "
            f"{len(train)} training rows of {len(known)}: change split or classes"
        )
    absent = [name for k, name in enumerate(table.classes) if k not in known]
    if absent:
        notes.append(f"no training rows of {', '.join(absent)}: probability 0")
    x = np.asarray(opened.features[train], dtype=np.float32)
    if not np.isfinite(x).all():
        raise UserError(
            f"{features}: some features are not numbers, so the training of {cfg['features']} "
            "diverged: lower its learning_rate or set clip_norm"
        )
    own = table.table["row"].to_numpy()
    # Numbers by the order of the names; an array of text would be as wide as the longest name.
    codes, _ = pandas.factorize(table.table["group"], sort=True)
    _, group = np.unique(codes[np.searchsorted(own, row[train])], return_inverse=True)
    held = np.flatnonzero((variant == 0) & np.isin(part, predictions.PARTS))
    return _Data(
        features=opened,
        classes=table.classes,
        known=[int(k) for k in known],
        training=_Training(
            x=x,
            y=np.searchsorted(known, label[train]),
            names=[table.classes[k] for k in known],
            group=group,
            original=variant[train] == 0,
        ),
        held=held,
        held_part=part[held],
        held_label=label[held],
    ), notes


def _sample(label: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Ascending places of `n` entries, each class by its share and with at least one."""
    classes, code, count = np.unique(label, return_inverse=True, return_counts=True)
    if n < len(classes):
        raise UserError(f"max_rows is {n}, but there are {len(classes)} classes: raise it")
    share = count * (n / len(label))
    quota = np.maximum(1, np.floor(share)).astype(int)
    while quota.sum() != n:  # largest remainders up, and back what the least class got
        step = 1 if quota.sum() < n else -1
        wish = np.where(quota < count, share - quota, -np.inf)
        if step < 0:
            wish = np.where(quota > 1, quota - share, -np.inf)
        quota[np.argmax(wish)] += step
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(code == k), quota[k], replace=False)
        for k in range(len(classes))
    ]
    return np.sort(np.concatenate(chosen))


def _versions() -> dict[str, str]:
    import sklearn
    import skops

    from darkroom import __version__

    return {
        "darkroom": __version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "skops": skops.__version__,
    }


@contextmanager
def _sentences(where: str) -> Iterator[None]:
    """What scikit-learn says of an impossible setting, in one sentence.

    Rows, classes and numbers were checked before, so its complaints are about settings.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        first = str(error).strip().split("\n")[0]
        raise UserError(f"{where}: scikit-learn does not take this: {first}") from error


# ---------------------------------------------------------------- fitting


@dataclass(frozen=True)
class _Recipe:
    """Everything that decides a fit, but the rows."""

    kind: str
    scale: bool
    pca: int | float | None
    settings: dict[str, Any]
    seed: int
    where: str

    @classmethod
    def of(cls, classifier: Mapping[str, Any], names: Sequence[str], name: str) -> _Recipe:
        scale = classifier["scale"]
        weights = classifier["settings"].get("class_weight")
        for of_class in weights if isinstance(weights, dict) else {}:
            if of_class not in names:
                raise UserError(
                    f"classifiers.{name}: class_weight names {of_class!r}, which is no "
                    f"class with training rows{nearest(of_class, names)}"
                )
        return cls(
            kind=classifier["kind"],
            scale=classifier["kind"] != "random_forest" if scale is None else scale,
            pca=classifier["pca"],
            settings=classifier["settings"],
            seed=classifier["seed"],
            where=f"classifiers.{name}",
        )

    def coded(self, names: Sequence[str]) -> _Recipe:
        """The recipe with the names in `class_weight` turned into codes of the classes."""
        weights = self.settings.get("class_weight")
        if not isinstance(weights, dict):
            return self
        codes = {code: weights[name] for code, name in enumerate(names) if name in weights}
        return replace(self, settings={**self.settings, "class_weight": codes})

    @property
    def calibrated(self) -> bool:
        """Has no probabilities of its own."""
        return self.kind in CALIBRATED

    def before(self, rows: int, values: int) -> list[tuple[str, Any]]:
        """The steps before the estimator."""
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        steps: list[tuple[str, Any]] = []
        if self.scale:
            steps.append(("scale", StandardScaler()))
        if self.pca is not None:
            if self.pca > min(rows, values):
                raise UserError(
                    f"pca is {self.pca}, but there are only {values} values of {rows} rows to "
                    "learn components from: lower it"
                )
            steps.append(("pca", PCA(self.pca, random_state=self.seed)))
        return steps

    def estimator(self, threads: int = 1) -> Any:
        """The scikit-learn estimator, not yet fitted."""
        given: dict[str, Any] = {**DEFAULTS.get(self.kind, {}), **self.settings}
        if self.kind != "knn":
            given["random_state"] = self.seed
        if self.kind == "svm":
            from sklearn.svm import SVC

            return SVC(**given)
        if self.kind == "linear_svm":
            from sklearn.svm import LinearSVC

            return LinearSVC(**given)
        if self.kind == "random_forest":
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(**given, n_jobs=threads)
        if self.kind == "logistic_regression":
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(**given)
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(**given)

    def fitted(self, x: np.ndarray, y: np.ndarray, threads: int = 1) -> Any:
        """The estimator fitted to prepared rows; what it refuses is a setting."""
        return self.fitted_to(x, y, [None], threads)[0]

    def fitted_to(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subsets: Sequence[np.ndarray | None],
        threads: int,
    ) -> list[Any]:
        """The estimator fitted to each of several sets of rows, by their places."""
        from joblib import Parallel, delayed

        estimator = self.estimator(threads)
        with _sentences(self.where):
            if self.kind == "svm":
                return svm_pairs.fit(estimator, x, y, subsets, threads=threads)
            if self.kind == "random_forest":
                (subset,) = subsets
                return [estimator.fit(*((x, y) if subset is None else (x[subset], y[subset])))]

            def one(s: np.ndarray | None) -> Any:
                return self.estimator().fit(*((x, y) if s is None else (x[s], y[s])))

            found: list[Any] = Parallel(n_jobs=threads, backend="threading")(
                delayed(one)(s) for s in subsets
            )
            return found


def _fit_pipeline(recipe: _Recipe, data: _Training, threads: int, notes: list[str]) -> Any:
    """The fitted Pipeline. `data.x` is left scaled."""
    from sklearn.pipeline import Pipeline

    recipe = recipe.coded(data.names)
    steps = recipe.before(*data.x.shape)
    data.x = _prepared(steps, data.x)
    if recipe.calibrated:
        last = _calibrated(recipe, data, threads, notes)
        machine = last.calibrated_classifiers_[0].estimator
    else:
        last = machine = recipe.fitted(data.x, data.y, threads)
        if recipe.kind == "random_forest":
            last.n_jobs = None  # the number of this machine's cores is no part of the model
    limit = getattr(machine, "max_iter", -1)
    if limit > 0 and np.max(machine.n_iter_) >= limit:
        notes.append(
            f"stopped after max_iter = {limit} iterations, before it was done: raise max_iter"
        )
    if recipe.pca is not None:
        kept = steps[-1][1].n_components_
        notes.append(f"PCA: {kept} components of {len(steps[-1][1].mean_)} values")
    return Pipeline([*steps, ("classifier", last)])


def _prepared(steps: Iterable[tuple[str, Any]], x: np.ndarray) -> np.ndarray:
    """Fit the steps before the estimator one after the other; `x` may be overwritten."""
    for name, step in steps:
        if name == "scale":
            step.copy = False
        x = step.fit_transform(x)
        if name == "scale":
            step.copy = True  # whoever loads the model keeps their array
    return x


def _calibrated(recipe: _Recipe, data: _Training, threads: int, notes: list[str]) -> Any:
    """A machine fitted to all rows, and probabilities learned from rows it had not seen.

    What CalibratedClassifierCV(machine, ensemble=False) does, with three differences: the
    fits on the folds and on all rows share the cores; folds keep groups whole, and a
    variant's place is its parent's, but decision values are taken of originals only (of
    at most 5,000: one or two numbers are to be learned, and a kernel machine is slow to
    predict); a class too small to hold rows out of takes part by rows that were learned.

    Two classes: Platt's sigmoid. More: one temperature (Guo et al., arXiv:1706.04599),
    which keeps the machine's own decision and had the better log loss in trials (digits
    pixels, RBF: 0.22 against 0.32; fifty overlapping classes: accuracy 0.74 as the machine
    itself, the sigmoids 0.69); but the sigmoid, whose targets are never 0 or 1, where the
    held-out rows are separated without a mistake and the best temperature is 0. Three
    folds, as five changed the log loss by less than 0.003.

    Returns
    -------
    A fitted CalibratedClassifierCV.
    """
    from joblib import Parallel, delayed
    from sklearn.base import clone
    from sklearn.calibration import CalibratedClassifierCV

    x, y = data.x, data.y
    of_folds, small = _calibration_folds(data, recipe.seed)
    # all rows and the folds at once; the longest first
    fitted, *of_fold = recipe.fitted_to(x, y, [None, *(train for train, _ in of_folds)], threads)
    scores = np.concatenate(
        Parallel(n_jobs=threads, backend="threading")(
            delayed(_decisions)(machine, x[test])
            for machine, (_, test) in zip(of_fold, of_folds, strict=True)
        )
    )
    truth = y[np.concatenate([test for _, test in of_folds])]
    separated = scores.ndim == 2 and bool((scores.argmax(axis=1) == truth).all())
    method = "sigmoid" if scores.ndim == 1 or separated else "temperature"
    notes.append(
        f"probabilities by {'Platt’s sigmoid' if method == 'sigmoid' else 'temperature scaling'}"
        f" of the decision values of {len(truth)} training rows held out in "
        f"{len(of_folds)} folds"
    )
    if small:
        notes.append(
            f"too few training rows of {', '.join(data.names[k] for k in small)} "
            "to hold any out: probabilities of them rest on rows that were learned, so they are "
            "too sure"
        )
    every = np.arange(len(truth))
    scored = CalibratedClassifierCV(
        _scores_estimator(), method=method, ensemble=False, cv=[(every, every)]
    ).fit(scores.reshape(len(truth), -1), truth)
    scored.calibrated_classifiers_[0].estimator = fitted
    scored.n_features_in_ = fitted.n_features_in_
    scored.estimator, scored.cv = clone(fitted), CALIBRATION_FOLDS
    return scored


def _decisions(machine: Any, x: np.ndarray) -> np.ndarray:
    if svm_pairs.decides(machine):
        return svm_pairs.decisions(machine, x)
    values: np.ndarray = machine.decision_function(x)
    return values


def _scores_estimator() -> Any:
    """An estimator whose decision values are its input."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Scores(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def fit(self, x: np.ndarray, y: np.ndarray) -> Any:
            self.classes_ = np.unique(y)
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:  # asked for, not called
            raise NotImplementedError

        def decision_function(self, x: np.ndarray) -> np.ndarray:
            return x[:, 0] if x.shape[1] == 1 else x

    return Scores()


def _calibration_folds(
    data: _Training, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[int]]:
    """(train, test) places of each fold, and classes that cannot be held out.

    Every fold trains on every class: where all groups of a class fall into one fold, that
    class's rows are learned in this fold too.
    """
    y, everything = data.y, np.arange(len(data.y))
    originals = np.flatnonzero(data.original)
    if len(originals) > CALIBRATION_ROWS:
        n = max(CALIBRATION_ROWS, len(np.unique(y[originals])))
        originals = originals[_sample(y[originals], n, seed)]
    folds = _folds(y, data.group, CALIBRATION_FOLDS, seed) or [(everything[:0], everything)]
    out: list[tuple[np.ndarray, np.ndarray]] = []
    small: set[int] = set()
    for train, test in folds:
        missing = np.setdiff1d(y, y[train])
        small |= {int(k) for k in missing}
        train = np.union1d(train, everything[np.isin(y, missing)])
        held = np.intersect1d(test, originals)
        if len(held):
            out.append((train, held))
    return out, sorted(small)


def _folds(
    y: np.ndarray, group: np.ndarray, k: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """At most `k` stratified folds that cut no group; none where that cannot be."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    groups = len(np.unique(group))
    k = min(k, groups, int(np.bincount(y).max()))
    if k < 2:
        return []
    # the one for groups looks at each in turn: slow where every row is one by itself
    if groups == len(y):
        folds = StratifiedKFold(k, shuffle=True, random_state=seed).split(y, y)
    else:
        folds = StratifiedGroupKFold(k, shuffle=True, random_state=seed).split(y, y, group)
    return [(train, test) for train, test in folds if len(train) and len(test)]
