"""Predictions of single pictures, and how they are written: the stage's and the command's."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.features import predictions
from darkroom.models.trained import Opened, Trained
from darkroom.names import cell
from darkroom.predict import unseen
from darkroom.sources.folders import printable

FRONT = ("file", "predicted")
YES = ("no", "yes")
BACK = ("set", "unlikeness", "unlike", "model", "digest", "status", "reason")


@dataclass(frozen=True)
class Prediction:
    """The prediction of one picture.

    Attributes
    ----------
    file : its name.
    predicted : class, empty for an unusable picture.
    probabilities : (K,) float32, empty likewise.
    status, reason : as in `manifest.parquet`.
    unlikeness : to what the model learned from, see `darkroom.unlikeness`; None where the model
        or an unusable picture has none.
    unlike : whether it is beyond the model's limit.
    classes : that hold the true one with a probability of `predictions.SET_LEVEL`; none where the
        model says no such set.
    """

    file: str
    predicted: str
    probabilities: np.ndarray
    status: str
    reason: str
    unlikeness: float | None = None
    unlike: bool = False
    classes: tuple[str, ...] = ()


def predict(
    model: Trained,
    found: unseen.Pictures,
    *,
    threshold: float,
    threads: int,
    ask: Opened | None = None,
) -> Iterator[Prediction]:
    """Predict pictures, in their order.

    Parameters
    ----------
    threshold : of two classes, see `predictions.decide`.
    threads : cores to use.
    ask : what `model.open` gave before; None: it is opened.
    """
    files = [f"{found.root}/{path}" if found.root else path for path in found.paths]
    with unseen.decoding(files, view=model.view, policy=model.policy, threads=threads) as chunks:
        if ask is None:
            ask = model.open(threads)
        for chunk in chunks:
            yield from of_pixels(
                model,
                ask,
                found.paths[chunk.start : chunk.stop],
                chunk.pixels,
                list(zip(chunk.status, chunk.reason, strict=True)),
                threshold,
            )


def of_pixels(
    model: Trained,
    ask: Opened,
    files: Sequence[str],
    pixels: np.ndarray,
    examined: Sequence[tuple[str, str]],
    threshold: float,
) -> Iterator[Prediction]:
    """Predict decoded pictures, in their order.

    Parameters
    ----------
    ask : what `model.open` gives.
    files : B names.
    pixels : (B, H, W, C) uint8.
    examined : status and reason of each, see `unseen.examine`.
    threshold : of two classes, see `predictions.decide`.
    """
    batch = unseen.batch_of(pixels.shape[1:])
    parts = [ask.both(pixels[start : start + batch]) for start in range(0, len(pixels), batch)]
    p = np.concatenate([part for part, _ in parts])
    distance = [float(u) for _, part in parts if part is not None for u in part]
    predicted = predictions.decide(p, threshold)
    nothing = np.zeros(0, np.float32)
    for i, (status, reason) in enumerate(examined):
        usable = status != "unusable"
        yield Prediction(
            printable(files[i]),
            model.classes[predicted[i]] if usable else "",
            p[i] if usable else nothing,
            status,
            reason,
            distance[i] if usable and distance else None,
            bool(usable and distance and distance[i] >= ask.limit),
            _set(model.classes, p[i], ask.set_from) if usable else (),
        )


def _set(classes: Sequence[str], p: np.ndarray, least: float | None) -> tuple[str, ...]:
    """The classes of at least a probability, the most probable first."""
    if least is None:
        return ()
    return tuple(classes[k] for k in np.argsort(-p, kind="stable") if p[k] >= np.float32(least))


class Table:
    """Predictions as CSV: `file`, `predicted`, `p:{class}` …, then those of `BACK`.

    Parameters
    ----------
    file : open text file; the header is written at once.
    truth : class of each file, empty where it is not known: a last column `label`; None: no such column.
    """

    def __init__(self, file: Any, model: Trained, truth: Mapping[str, str] | None = None) -> None:
        self.model, self.digest, self.truth = model, model.digest(), truth
        self.writer = csv.writer(file, lineterminator="\n")
        columns = [f"{predictions.PREFIX}{name}" for name in model.classes]
        label = [] if truth is None else ["label"]
        self.writer.writerow([*FRONT, *columns, *BACK, *label])

    def write(self, one: Prediction) -> None:
        """Write the row of a picture."""
        numbers = [f"{p:.7g}" for p in one.probabilities] or [""] * len(self.model.classes)
        unlike = ("", "") if one.unlikeness is None else (f"{one.unlikeness:.4g}", YES[one.unlike])
        classes = cell("|".join(map(printable, one.classes)))
        back = (classes, *unlike, self.model.name, self.digest, one.status, printable(one.reason))
        label = [] if self.truth is None else [cell(self.truth.get(one.file, ""))]
        self.writer.writerow([cell(one.file), cell(one.predicted), *numbers, *back, *label])


def check_threshold(model: Trained, threshold: float, where: str) -> None:
    """Refuse a threshold where there are more than two classes, or that is no probability.

    Raises
    ------
    UserError
        It opens with `where` the threshold was given.
    """
    if threshold != 0.5 and len(model.classes) != 2:
        raise UserError(
            f"{where}: a threshold is for two classes, and {model.name} knows "
            f"{len(model.classes)}: {', '.join(model.classes[:10])}"
        )
    if not 0 < threshold < 1:
        raise UserError(f"{where}: {threshold} is no probability between 0 and 1")


def in_full(model: Trained) -> str:
    """The name of a classifier, and that of several folds it is the mean."""
    folds = len(model.members)
    return f"{model.name} (mean of the probabilities of {folds} folds)" if folds else model.name


def in_words(model: Trained, threshold: float, how: str = "") -> str:
    """Which class each number, column and probability means."""
    classes = [f"{number} {name}" for number, name in enumerate(model.classes[:20])]
    more = ", …" if len(model.classes) > 20 else ""
    listed = f"classes: {', '.join(classes)}{more}"
    if len(model.classes) != 2:
        return listed
    chosen = f", chosen for {how.replace('_', ' ')}" if how not in ("", "given") else ""
    second = f"{model.classes[1]} is predicted from a probability of {threshold:.6g} on{chosen}"
    return f"{listed}; {second}"
