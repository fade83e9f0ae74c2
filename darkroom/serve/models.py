"""A trained classifier as it is served: what it predicts, and what its card says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.images.resize import size_of
from darkroom.machine import parquet_file
from darkroom.models import beside, trained
from darkroom.models.trained import Trained
from darkroom.predict import picture
from darkroom.predict.picture import Prediction


@dataclass
class Served:
    """A trained classifier, ready to predict.

    Attributes
    ----------
    name : in addresses and answers: that of its data set, or a longer one where two are alike.
    model : its files, classes and view.
    threshold, how : of two classes, and how it was chosen.
    digest : sha256 of its files.
    notice : a sentence above every prediction, of its data set; empty: none.
    ask : from (B, H, W, C) uint8 to (B, K) float32; from many threads at a time.
    seconds : that it takes for one picture.
    """

    name: str
    model: Trained
    threshold: float
    how: str
    digest: str
    notice: str
    ask: trained.Opened
    seconds: float = 0.0

    @classmethod
    def load(cls, folder: str) -> Served:
        """What a path names, see `trained.find`, opened."""
        model = trained.find(folder)
        return cls.open(model, model.dataset)

    @classmethod
    def open(cls, model: Trained, name: str) -> Served:
        """Open a classifier and let it predict once.

        Raises
        ------
        UserError
            A file that is damaged.
        """
        threshold, how = beside.threshold_beside(model)
        ask = model.open(1)
        served = cls(name, model, threshold, how, model.digest(), beside.notice(model), ask)
        blank = np.zeros((1, *size_of(model.view)), np.uint8)
        ask(blank)  # what is built at the first call is built here
        took = []
        for _ in range(3):  # other work may hold up one of them
            began = time.perf_counter()
            ask(blank)
            took.append(time.perf_counter() - began)
        served.seconds = min(took)
        return served

    def predict(
        self, names: Sequence[str], pixels: np.ndarray, examined: Sequence[tuple[str, str]]
    ) -> list[Prediction]:
        """Predict decoded pictures, by the code of `python -m darkroom predict`.

        Parameters
        ----------
        names : of B files.
        pixels : (B, H, W, C) uint8.
        examined : status and reason of each.
        """
        return list(
            picture.of_pixels(self.model, self.ask, names, pixels, examined, self.threshold)
        )


def places(folder: str) -> list[str]:
    """What is served of a path: itself, or each data set's finished results within it.

    Raises
    ------
    UserError
        There is no such path.
    """
    place = Path(folder).expanduser()
    inside = sorted(place.glob("*/summary.parquet"))
    if inside and not (place / "summary.parquet").is_file():
        return [str(path.parent) for path in inside]
    if not place.exists():
        raise UserError(f"{folder}: there is no such model or folder of results")
    return [str(place)]


def names_of(models: Sequence[Trained]) -> list[str]:
    """A name for each: of its data set, or with its run where two have the same."""
    short = [model.dataset for model in models]
    long = [f"{model.dataset}/{model.name}" for model in models]
    return [
        (brief if short.count(brief) == 1 else whole).replace("/", "-")
        for brief, whole in zip(short, long, strict=True)
    ]


# ---------------------------------------------------------------- the card


SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
}


def card(served: Served) -> dict[str, Any]:
    """What is known of a classifier: JSON values, for the page and for programs.

    The scores are those of its test images in the tables of its results; none where it stands
    alone.
    """
    model = served.model
    results = beside.results_of(model)
    run = model.run
    own = {"classifier": run.classifier, "part": "test"}
    of_all = {**own, "model": run.model}
    if model.members:  # each image by the fold that did not learn from it
        scores = _rows(results / "summary.parquet", of_all)
    else:
        one = {**own, "feature_set": run.feature_set, "fold": run.fold}
        scores = _rows(results / "metrics.parquet", one)
    height, width, channels = size_of(model.view)
    return {
        "name": served.name,
        "dataset": model.dataset,
        "model": picture.in_full(model),
        "digest": served.digest,
        "classes": model.classes,
        "threshold": served.threshold if len(model.classes) == 2 else None,
        "threshold_chosen": served.how.replace("_", " "),
        "input": {
            "height": height,
            "width": width,
            "channels": channels,
            "resize": model.view["resize"],
            "filter": model.view["filter"],
        },
        "decode": dict(model.policy),
        "test_images": int(scores[0]["images" if model.members else "n"]) if scores else None,
        "scores": {
            name: _interval(scores[0], name) for name in SCORES if scores and name in scores[0]
        },
        "by_class": [
            {
                "class": row["class"],
                "n": round(row["n"]),
                "precision": _interval(row, "precision"),
                "recall": _interval(row, "recall"),
            }
            for row in _rows(results / "class_metrics.parquet", of_all)
        ],
    }


def _rows(path: Path, own: dict[str, str]) -> list[dict[str, Any]]:
    if not path.is_file():
        return []

    table = parquet_file.frame(path)
    if table.empty:
        return []
    for column, value in own.items():
        table = table[table[column] == value]
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _interval(row: dict[str, Any], name: str) -> dict[str, float | None]:
    """A score with the ends of its 95 % interval; None for what is no number."""
    found = {"value": row[name], "low": row.get(f"{name}_low"), "high": row.get(f"{name}_high")}
    return {
        key: float(value) if value is not None and np.isfinite(value) else None
        for key, value in found.items()
    }
