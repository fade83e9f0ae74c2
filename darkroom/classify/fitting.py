"""The stage: read a feature set, choose training rows, fit, predict the other rows, write."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.special  # noqa: F401 (skops looks for each of its functions in all modules before it)
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from darkroom import overrides, temperature, unlikeness
from darkroom.classify import cost, graph_file, kinds, model_file
from darkroom.classify.calibration import calibrated
from darkroom.classify.estimators import Recipe, in_words, where
from darkroom.classify.rows import MappedRows, TrainingRows, stratified_sample
from darkroom.errors import UserError
from darkroom.features import predictions
from darkroom.images import features_file
from darkroom.machine.units import rough_duration
from darkroom.split import splits

log = logging.getLogger(__name__)

CHECKED, ALIKE = 64, 1e-6  # rows by which a graph is compared, and the most it may be apart


class FitClassifier(splits.Balance):
    """Settings of the stage.

    Attributes
    ----------
    dataset : name of the data set.
    fold : `holdout`, or `fold-1` ….
    features : name of the feature set.
    name : name of the classifier.
    classifier : settings of the classifier.
    """

    dataset: str
    fold: str
    features: str
    name: str
    classifier: kinds.ClassifierSettings


def fit_classifier(
    features: str,
    splits_path: str,
    *,
    model_path: str,
    predictions_path: str,
    cfg: FitClassifier,
    tuned: str | None = None,
    threads: int = 1,
) -> None:
    """Fit a classifier to a fold's training rows and predict its validation and test rows.

    The result depends on data, settings and seed, not on the number of threads. Training rows
    above `memory_mb` are replaced by a stratified sample that fits. Memory: the rows once in
    float32 and once more while they are scaled; each of the at most `threads` simultaneous fits
    copies rows to float64: `linear_svm` all of them, `svm` those of two classes.

    Parameters
    ----------
    features : `features.h5`.
    splits_path : `splits.parquet`.
    model_path : `model.skops`, written.
    predictions_path : `predictions.parquet`, written.
    cfg : settings of the stage.
    tuned : `best.json` of a search for the classifier's settings; None: not tuned.
    threads : cores to use.

    Raises
    ------
    UserError
        A setting that scikit-learn does not accept; too few rows, groups or classes;
        features that are not finite.
    """
    classifier, tuning = overrides.chosen(cfg["classifier"], tuned)
    cfg = {**cfg, "classifier": classifier}
    data, notes = _read(features, splits_path, cfg)
    told = [tuning] if tuning else []
    n, width = data.training.x.shape
    expected = cost.forecast(classifier["kind"], n, width)
    if expected.message or (expected.seconds or 0) > 60:
        about = f"about {rough_duration(expected.seconds or 0)}"
        log.info("%s: %s", cfg["name"], expected.message or about)
    seconds = {"fit": 0.0, "predict": 0.0}
    validation = data.part == "validation"
    learned_from = unlikeness.known(  # before the training rows are scaled in place
        data.training.x,
        np.flatnonzero(data.training.original),
        data.features.features,
        data.held[validation],
        classifier["seed"],
    )
    fitted, held_out = _fitted(data, cfg, threads, notes, seconds)
    probabilities = np.empty((len(data.held), len(data.classes)))
    again = bool(classifier["refit"] and validation.any())
    now = validation if again else np.ones_like(validation)
    plain = _predicted(fitted, data, data.held[now], cfg, threads, seconds)
    if not held_out:
        told.append(
            "the validation images set how sure its probabilities are; they also choose the best"
            if validation.any()
            else "no validation images: its probabilities are as training left them, often too sure"
        )
        heat = _temperature(fitted, plain[validation[now]], data.label[validation])
        fitted = replace(fitted, temperature=heat)
    probabilities[now] = fitted.tempered(plain)
    if again:
        data, notes = _read(features, splits_path, cfg, validation_too=True)
        fitted = replace(
            _fitted(data, cfg, threads, notes, seconds)[0], temperature=fitted.temperature
        )
        plain = _predicted(fitted, data, data.held[~now], cfg, threads, seconds)
        probabilities[~now] = fitted.tempered(plain)
        notes.append(
            f"judged on the validation images after training on {n:,} rows, then trained again on "
            f"{len(data.training.y):,} with these, for the test images and new pictures"
        )
    notes = told + notes
    fitted.about["notes"] = notes
    some = np.asarray(data.features.features[data.held[:CHECKED]], np.float32)
    graph = _checked(fitted, some, model_path)
    replace(fitted, learned_from=learned_from).save(model_path, graph)
    predictions.write_predictions(
        predictions_path,
        data.features.row[data.held],
        data.part,
        data.label,
        probabilities,
        dataset=cfg["dataset"],
        run=predictions.Run.on(
            cfg["features"], data.features.made, fold=cfg["fold"], classifier=cfg["name"]
        ),
        classes=data.classes,
        notes=notes,
        seconds=seconds,
    )
    right = probabilities.argmax(axis=1) == data.label
    scores = [
        f"{part} accuracy {right[data.part == part].mean():.3f}"
        for part in predictions.PARTS
        if (data.part == part).any()
    ]
    log.info(
        "%s on %s (%s, %s): %d rows of %d features fitted in %.1f s; %s",
        cfg["name"],
        cfg["features"],
        cfg["dataset"],
        cfg["fold"],
        n,
        width,
        seconds["fit"],
        ", ".join(scores) or "no row to predict",
    )
    for note in notes:
        log.debug("%s: %s", cfg["name"], note)


def validate(
    features: str, splits_path: str, *, cfg: FitClassifier, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a classifier as `fit_classifier` does and predict the validation rows; write nothing.

    Parameters and errors are those of `fit_classifier`.

    Returns
    -------
    (V,) true classes, and (V, K) float64 probabilities.
    """
    data, notes = _read(features, splits_path, cfg)
    seconds = {"fit": 0.0, "predict": 0.0}
    fitted, held_out = _fitted(data, cfg, threads, notes, seconds)
    own = data.part == "validation"
    plain = _predicted(fitted, data, data.held[own], cfg, threads, seconds)
    if not held_out:
        fitted = replace(fitted, temperature=_temperature(fitted, plain, data.label[own]))
    return data.label[own], fitted.tempered(plain)


@dataclass(frozen=True)
class _Data:
    """The rows of a fold: those that a classifier is fitted to, and those that it predicts."""

    features: features_file.Features
    classes: list[str]
    known: list[int]  # indices of the classes with training rows
    training: TrainingRows
    held: np.ndarray  # (P,) positions in `features` of the rows to predict
    part: np.ndarray  # (P,) of these rows
    label: np.ndarray  # (P,) their true classes


def _read(
    features: str, splits_path: str, cfg: FitClassifier, *, validation_too: bool = False
) -> tuple[_Data, list[str]]:
    """Choose the rows, and read the training rows; with sentences on the choice.

    Parameters
    ----------
    features, splits_path, cfg : as `fit_classifier` has them.
    validation_too : train on the validation rows too.
    """
    import pandas

    classifier = cfg["classifier"]
    kinds.check_settings(cfg["name"], classifier["kind"], classifier["settings"])
    notes: list[str] = []
    table = splits.read_splits(splits_path)
    opened = features_file.open_features(features)
    row, variant = opened.row, opened.variant
    part, label = table.lookup(row, cfg["fold"])
    part = part.astype(str)
    trained_on = np.where(part == "validation", "train", part) if validation_too else part
    train = splits.training_rows(
        row, variant, trained_on, label, balance=cfg["balance"], seed=cfg["balance_seed"]
    )
    if classifier["max_rows"] and len(train) > classifier["max_rows"]:
        chosen = stratified_sample(label[train], classifier["max_rows"], classifier["seed"])
        notes.append(
            f"trained on a stratified sample of {len(chosen)} of {len(train)} training rows "
            "(max_rows)"
        )
        train = train[chosen]
    width, memory_mb = opened.features.shape[1], classifier["memory_mb"]
    if len(train) > (fit := cost.rows_that_fit(width, memory_mb)):
        reason = cost.too_many(len(train), width, memory_mb)
        few = max(fit, len(np.unique(label[train])))
        train = train[stratified_sample(label[train], few, classifier["seed"])]
        notes.append(f"trained on a stratified sample of {len(train):,} rows: {reason}")
    known = np.unique(label[train])
    if len(known) < 2:
        raise UserError(
            f"{cfg['dataset']}, {cfg['fold']}: a classifier needs training rows of two classes, "
            f"but there are {len(train)} training rows of {len(known)}: change split or classes"
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
    # Codes in the order of the names; an array of text would be as wide as the longest name.
    codes, _ = pandas.factorize(table.table["group"], sort=True)
    _, group = np.unique(codes[np.searchsorted(own, row[train])], return_inverse=True)
    held = np.flatnonzero((variant == 0) & np.isin(part, predictions.PARTS))
    return _Data(
        features=opened,
        classes=table.classes,
        known=[int(k) for k in known],
        training=TrainingRows(
            x=x,
            y=np.searchsorted(known, label[train]),
            classes=[table.classes[k] for k in known],
            group=group,
            original=variant[train] == 0,
        ),
        held=held,
        part=part[held],
        label=label[held],
    ), notes


def _fitted(
    data: _Data, cfg: FitClassifier, threads: int, notes: list[str], seconds: dict[str, float]
) -> tuple[model_file.Fitted, bool]:
    """Fit the classifier; adds to `notes` and to the seconds of `fit`.

    Returns
    -------
    The classifier, and whether rows that neither it nor its network learned from set its
    probabilities: then a temperature, of fewer rows, would add nothing but noise.
    """
    start = time.monotonic()
    pipeline, pairs, held_out = _fit(data, cfg, threads, notes)
    seconds["fit"] += time.monotonic() - start
    about = {
        "features": data.features.name,
        "layer": data.features.layer,
        "made": data.features.made,
        "classifier": cfg["classifier"],
        "dataset": cfg["dataset"],
        "fold": cfg["fold"],
        "notes": notes,
        "versions": model_file.versions(),
    }
    network = data.features.made.get("kind") == "network"  # it learned from these rows
    fitted = model_file.Fitted(pipeline, data.known, data.classes, about, pairs)
    return fitted, held_out and not network


def _checked(fitted: model_file.Fitted, rows: np.ndarray, path: str) -> bytes | None:
    """The graph of a classifier, which gives its probabilities on these rows; None: it has none."""
    from darkroom.classify import onnx_graph  # trials, which write no file, do without ONNX

    graph = onnx_graph.alone(fitted)
    if graph is None or not len(rows):
        return graph
    predictor = graph_file.Predictor(path, fitted.classes, {}, None, graph)
    apart = float(np.abs(predictor.probabilities(rows) - fitted.probabilities(rows)).max())
    if not apart < ALIKE:
        raise RuntimeError(f"{path}: its graph is {apart:.2g} apart from the classifier")
    return graph


def _predicted(
    fitted: model_file.Fitted,
    data: _Data,
    held: np.ndarray,
    cfg: FitClassifier,
    threads: int,
    seconds: dict[str, float],
) -> np.ndarray:
    """Plain probabilities of rows at these positions; adds to the seconds of `predict`."""
    start = time.monotonic()
    with in_words(where(cfg["name"])):
        found = fitted.plain(MappedRows(data.features.features, held), threads)
    seconds["predict"] += time.monotonic() - start
    return found


def _temperature(fitted: model_file.Fitted, plain: np.ndarray, label: np.ndarray) -> float:
    """The temperature of a classifier, from rows that neither it nor its network learned from.

    It is 1 where there are none. Rows of classes that it does not know tell nothing.
    """
    own = np.isin(label, fitted.known)
    if not own.any():
        return 1.0
    return temperature.learned(fitted.logs(plain[own]), np.searchsorted(fitted.known, label[own]))


def _fit(
    data: _Data, cfg: FitClassifier, threads: int, notes: list[str]
) -> tuple[Pipeline, np.ndarray | None, bool]:
    """The fitted pipeline of a classifier; scales `data`'s rows in place.

    Returns
    -------
    The pipeline, `Fitted.pairs`, and whether rows held out of the fit set the probabilities.
    """
    rows = data.training
    recipe = Recipe.of(cfg["classifier"], rows.classes, cfg["name"])
    # One thread of linear algebra: with more, the order of sums would change. Cores are used
    # for folds, trees and chunks of rows instead.
    with threadpool_limits(1):
        steps = recipe.steps(*rows.x.shape)
        rows.x = _fit_steps(steps, rows.x)
        pairs, held_out = None, False
        if recipe.kind in kinds.CALIBRATED:
            last, pairs, held_out = calibrated(recipe, rows, threads, notes)
            estimator = last if pairs is not None else last.calibrated_classifiers_[0].estimator
        else:
            last = estimator = recipe.fit(rows.x, rows.y, threads)
    limit = getattr(estimator, "max_iter", -1)
    if limit > 0 and np.max(estimator.n_iter_) >= limit:
        notes.append(
            f"stopped after max_iter = {limit} iterations, before convergence: raise max_iter"
        )
    if recipe.by_variance:
        notes.append(f"C = {estimator.C:.3g}, by the variance of the features")
    if recipe.pca is not None:
        pca = steps[-1][1]
        notes.append(f"PCA: {pca.n_components_} components of {len(pca.mean_)} features")
    return Pipeline([*steps, ("classifier", last)]), pairs, held_out


def _fit_steps(steps: Iterable[tuple[str, Any]], x: np.ndarray) -> np.ndarray:
    """Fit the steps before the estimator in order; `x` may be overwritten."""
    for name, step in steps:
        if name == "scale":
            step.copy = False
        x = step.fit_transform(x)
        if name == "scale":
            step.copy = True  # the loaded model must not overwrite its input
    return x
