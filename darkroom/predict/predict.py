"""The stage that predicts new pictures."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from darkroom.evaluate.thresholds import threshold_of
from darkroom.features.predictions import read_predictions
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.models import beside, trained
from darkroom.predict import picture, unseen
from darkroom.predict.picture import Table, check_threshold, in_full, in_words
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
    fold : None: all folds together.
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
    predictions : of a named classifier its `predictions.parquet`, where its threshold has to be
        chosen; in the order of `models`.
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
        model = trained.best(str(Path(thresholds).parent), cfg["fold"])
        threshold, how = beside.threshold(thresholds, model) or (0.5, "")
        why = "the best by the validation images"
    else:
        asked = cfg["threshold"]
        assert asked is not None
        model = trained.of_folds(models)
        why = "as named in the settings"
        if isinstance(asked, str):
            chosen = [threshold_of(*read_predictions(file), asked) for file in predictions]
            threshold, how = float(np.mean(chosen)), asked
        else:
            threshold, how = asked, ""
            check_threshold(model, threshold, f"datasets.{cfg['dataset']}.threshold")
    name = cfg["name"]
    count = "one picture" if len(found.paths) == 1 else f"{len(found.paths):,} pictures"
    log.info("%s: %s in %s%s", name, count, found.root, _left(found))
    log.info("by %s, %s; %s", in_full(model), why, in_words(model, threshold, how))
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
