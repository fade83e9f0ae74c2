"""The stage that predicts new pictures."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from darkroom import metrics
from darkroom.evaluate.ranking import rank
from darkroom.evaluate.thresholds import threshold_of
from darkroom.features.predictions import decide, probabilities, read_predictions
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.predict import picture, trained, unseen
from darkroom.predict.picture import Table, check_threshold, in_words
from darkroom.sources.folders import printable

log = logging.getLogger(__name__)


class PredictImages(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    dataset : its name.
    name : of these predictions.
    source : a folder, or a picture.
    model : a classifier; None: the best by validation.
    fold : None: the best by validation.
    threshold : of the data set, see `thresholds.threshold_of`; None where no model is named:
        the threshold is then that of the evaluation.
    """

    dataset: str
    name: str
    source: str
    model: str | None
    fold: str | None
    threshold: float | str | None


def predict_images(
    output: str,
    *,
    models: Sequence[str],
    predictions: Sequence[str] = (),
    thresholds: str | None = None,
    cfg: PredictImages,
    threads: int,
) -> None:
    """Predict the pictures of a folder by a data set's best classifier, or by a named one.

    Each picture is decoded by the code, the settings and the size that the classifier's own
    images were, so that a picture of the data set gets the very prediction that it has in
    `predictions.parquet`. Memory holds a few batches.

    Parameters
    ----------
    output : `results/{dataset}/predictions/{name}.csv`; see docs/formats.md.
    models : of a named classifier its files, one a fold; unset else.
    predictions : of a named classifier its `predictions.parquet`, where its best fold or its
        threshold has to be found; in the order of `models`.
    thresholds : `thresholds.parquet`, beside `summary` and `metrics`, where none is named.
    cfg : settings.
    threads : cores to use.

    Raises
    ------
    UserError
        No pictures; a model or what belongs to it is missing or damaged; a threshold where
        there are more than two classes.
    """
    found = unseen.find(cfg["source"])
    if cfg["model"] is None:
        assert thresholds is not None
        path = trained.best(str(Path(thresholds).parent), cfg["fold"])
        model = trained.find(path)
        threshold, how = trained.threshold(thresholds, model) or (0.5, "")
        why = "the best by the validation images"
    else:
        asked = cfg["threshold"]
        assert asked is not None
        path, threshold = _named(models, predictions, asked)
        model = trained.find(path)
        how = asked if isinstance(asked, str) else ""
        why = "as named in the settings"
        if not isinstance(asked, str):  # the run itself was not read
            check_threshold(model, threshold, f"datasets.{cfg['dataset']}.threshold")
    name = cfg["name"]
    count = "one picture" if len(found.paths) == 1 else f"{len(found.paths):,} pictures"
    log.info("%s: %s in %s%s", name, count, found.root, _left(found))
    log.info("by %s, %s; %s", model.name, why, in_words(model, threshold, how))
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    predicted = picture.predict(model, found, threshold=threshold, threads=threads)
    with disk.whole(output) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = Table(file, model)
        with progress(f"{name}: predicting", len(found.paths), "pictures") as bar:
            for one in predicted:
                table.write(one)
                counts[one.predicted] += 1
                reasons[one.reason.split(":")[0]] += not one.predicted
                bar.update(1)
    _log_counts(name, counts, reasons, model.classes)


def _named(models: Sequence[str], files: Sequence[str], asked: float | str) -> tuple[str, float]:
    """The file of a named classifier, of its best fold, and its threshold."""
    if not files:
        return models[0], float(asked)
    judged = []
    for path, file in zip(models, files, strict=True):
        rows, about = read_predictions(file)
        threshold = threshold_of(rows, about, asked)
        own = rows[rows["part"] == "validation"]
        place = rank(np.nan, np.nan)
        if len(own):
            p = probabilities(own, about["classes"])
            overall, _ = metrics.scores(own["class"], decide(p, threshold), p)
            place = rank(overall["balanced_accuracy"], overall["log_loss"])
        judged.append((place, path, threshold))
    _, path, threshold = min(judged, key=lambda one: one[0])
    return path, threshold


def _left(found: unseen.Pictures) -> str:
    if not found.left:
        return ""
    some = ", ".join(map(printable, found.left[:3])) + (", …" if len(found.left) > 3 else "")
    count = "one other file is" if len(found.left) == 1 else f"{len(found.left):,} other files are"
    return f"; {count} left out ({some})"


def _log_counts(
    name: str, counts: Counter[str], reasons: Counter[str], classes: Sequence[str]
) -> None:
    by_class = [f"{c} {counts[c]:,}" for c in classes if counts[c]]
    shown = ", ".join(by_class[:20]) + (", …" if len(by_class) > 20 else "")
    log.info("%s: predicted %s", name, shown or "nothing")
    if counts[""]:
        why = ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common(6) if n)
        log.warning("%s: %s cannot be used: %s", name, f"{counts['']:,}", why)
