"""Predictions for new pictures: the stage, and what the command line shares with it."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkroom import metrics
from darkroom.errors import UserError
from darkroom.evaluate.ranking import rank
from darkroom.evaluate.thresholds import threshold_of
from darkroom.features import predictions
from darkroom.machine import disk
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.machine.progress import progress
from darkroom.predict import trained, unseen
from darkroom.predict.trained import Trained
from darkroom.sources.folders import printable

log = logging.getLogger(__name__)

FRONT, BACK = ("file", "predicted"), ("model", "digest", "status", "reason")


# ---------------------------------------------------------------- the stage


def predict_images(
    output: str,
    *,
    models: Sequence[str],
    said: Sequence[str] = (),
    thresholds: str | None = None,
    cfg: dict[str, Any],
    threads: int,
    gpus: Gpus = NO_GPUS,
) -> None:
    """Predict the pictures of a folder by a data set's best classifier, or by a named one.

    Each picture is decoded by the code, the settings and the size that the classifier's own
    images were, so that a picture of the data set gets the very prediction that it has in
    `predictions.parquet`. Memory holds a few batches.

    Parameters
    ----------
    output : `results/{dataset}/predictions/{name}.csv`; see docs/formats.md.
    models : of a named classifier its files, one a fold; unset else.
    said : of a named classifier its `predictions.parquet`, where its best fold or its
        threshold has to be found; in the order of `models`.
    thresholds : `thresholds.parquet`, beside `summary` and `metrics`, where none is named.
    cfg : `dataset`, `name`, `source` (a folder, or a picture), `model` (None: the best by
        validation), `fold` (None: the best by validation), `threshold` (of the data set), `backend` (of Keras).
    threads : cores to use.
    gpus : of the job.

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
        told = trained.threshold(thresholds, model)
        threshold, how = told or (0.5, "")
        why = "the best by the validation images"
    else:
        path, threshold = _named(models, said, cfg["threshold"])
        model = trained.find(path)
        how = str(cfg["threshold"]) if isinstance(cfg["threshold"], str) else ""
        why = "as asked for"
        if isinstance(cfg["threshold"], float):  # the run itself was not read
            check_threshold(model, threshold, f"datasets.{cfg['dataset']}.threshold")
    name = cfg["name"]
    count = "one picture" if len(found.paths) == 1 else f"{len(found.paths):,} pictures"
    log.info("%s: %s in %s%s", name, count, found.root, _left(found))
    log.info("by %s, %s; %s", model.name, why, in_words(model, threshold, how))
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    asked: dict[str, Any] = {"threshold": threshold, "threads": threads}
    asked |= {"backend": cfg.get("backend"), "gpus": gpus}
    with disk.whole(output) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = Table(file, model)
        with progress(f"{name}: predicting", len(found.paths), "pictures") as bar:
            for answer in answers(model, found, **asked):
                table.write(answer)
                counts[answer.predicted] += 1
                reasons[answer.reason.split(":")[0]] += not answer.predicted
                bar.update(1)
    _tell(name, counts, reasons, model.classes)


def _named(models: Sequence[str], said: Sequence[str], asked: float | str) -> tuple[str, float]:
    """The file of a named classifier, of its best fold, and its threshold."""
    if not said:
        return models[0], float(asked)
    judged = []
    for path, file in zip(models, said, strict=True):
        rows, about = predictions.read_predictions(file)
        threshold = threshold_of(rows, about, asked)
        own = rows[rows["part"] == "validation"]
        place = rank(np.nan, np.nan)
        if len(own):
            p = predictions.probabilities(own, about["classes"])
            overall, _ = metrics.scores(own["class"], predictions.decide(p, threshold), p)
            place = rank(overall["balanced_accuracy"][0], overall["log_loss"][0])
        judged.append((place, path, threshold))
    _, path, threshold = min(judged, key=lambda one: one[0])
    return path, threshold


def _left(found: unseen.Pictures) -> str:
    if not found.left:
        return ""
    some = ", ".join(map(printable, found.left[:3])) + (", …" if len(found.left) > 3 else "")
    count = "one other file is" if len(found.left) == 1 else f"{len(found.left):,} other files are"
    return f"; {count} left out ({some})"


def _tell(name: str, counts: Counter[str], reasons: Counter[str], classes: Sequence[str]) -> None:
    told = [f"{c} {counts[c]:,}" for c in classes if counts[c]]
    shown = ", ".join(told[:20]) + (", …" if len(told) > 20 else "")
    log.info("%s: predicted %s", name, shown or "nothing")
    if counts[""]:
        why = ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common(6) if n)
        log.warning("%s: %s cannot be used: %s", name, f"{counts['']:,}", why)


# ---------------------------------------------------------------- shared with the command line


@dataclass(frozen=True)
class Answer:
    """What is said of one picture.

    Attributes
    ----------
    file : its name. predicted : class, empty for an unusable picture. probabilities : (K,)
        float32, empty likewise. status, reason : as in `manifest.parquet`.
    """

    file: str
    predicted: str
    probabilities: np.ndarray
    status: str
    reason: str


def answers(
    model: Trained,
    found: unseen.Pictures,
    *,
    threshold: float,
    threads: int,
    backend: str | None = None,
    gpus: Gpus = NO_GPUS,
) -> Iterator[Answer]:
    """Predict pictures, in their order.

    Parameters
    ----------
    threshold : of two classes, see `predictions.decide`. threads : cores to use.
    backend : of Keras, see `keras_backend.start`.
    gpus : of this job.
    """
    files = [f"{found.root}/{path}" if found.root else path for path in found.paths]
    nothing = np.zeros(0, np.float32)
    with unseen.decoding(files, view=model.view, policy=model.policy, threads=threads) as chunks:
        ask = model.open(threads, backend, gpus)
        for chunk in chunks:
            batch = unseen.batch_of(chunk.pixels.shape[1:])
            p = np.concatenate(
                [
                    ask(chunk.pixels[start : start + batch])
                    for start in range(0, len(chunk.pixels), batch)
                ]
            )
            called = predictions.decide(p, threshold)
            for i, (status, reason) in enumerate(zip(chunk.status, chunk.reason, strict=True)):
                usable = status != "unusable"
                yield Answer(
                    printable(found.paths[chunk.start + i]),
                    model.classes[called[i]] if usable else "",
                    p[i] if usable else nothing,
                    status,
                    reason,
                )


class Table:
    """Answers as CSV: `file`, `predicted`, `p:{class}` …, `model`, `digest`, `status`, `reason`.

    Parameters
    ----------
    file : open text file; the header is written at once.
    """

    def __init__(self, file: Any, model: Trained) -> None:
        self.model, self.digest = model, model.digest()
        self.writer = csv.writer(file, lineterminator="\n")
        columns = [f"{predictions.PREFIX}{name}" for name in model.classes]
        self.writer.writerow([*FRONT, *columns, *BACK])

    def write(self, answer: Answer) -> None:
        """Write the row of a picture."""
        told = [f"{p:.7g}" for p in answer.probabilities] or [""] * len(self.model.classes)
        back = (self.model.name, self.digest, answer.status, printable(answer.reason))
        self.writer.writerow([answer.file, answer.predicted, *told, *back])


def check_threshold(model: Trained, threshold: float, where: str) -> None:
    """Refuse a threshold where there are more than two classes, or that is no probability.

    Raises
    ------
    UserError
        With `where` it was given.
    """
    if threshold != 0.5 and len(model.classes) != 2:
        raise UserError(
            f"{where}: a threshold is for two classes, and {model.name} knows "
            f"{len(model.classes)}: {', '.join(model.classes[:10])}"
        )
    if not 0 < threshold < 1:
        raise UserError(f"{where}: {threshold} is no probability between 0 and 1")


def in_words(model: Trained, threshold: float, how: str = "") -> str:
    """Which class each number, column and probability means."""
    classes = [f"{number} {name}" for number, name in enumerate(model.classes[:20])]
    more = ", …" if len(model.classes) > 20 else ""
    told = f"classes: {', '.join(classes)}{more}"
    if len(model.classes) != 2:
        return told
    chosen = f", chosen for {how.replace('_', ' ')}" if how not in ("", "given") else ""
    return f"{told}; {model.classes[1]} is said from a probability of {threshold:.6g} on{chosen}"
