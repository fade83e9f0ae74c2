"""Predictions of the validation and test rows: one form for every classifier.

A trained network's own head, an SVM on its features and a forest on raw pixels all
write the same table, so evaluation and report are written once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkroom.errors import UserError
from darkroom.machine import disk, parquet_file

if TYPE_CHECKING:
    import pandas as pd

SET_LEVEL = 0.95  # of the sets of classes, see `evaluate.sets`
PARTS = ("validation", "test")
PREFIX = "p:"


class Run(NamedTuple):
    """A classifier on a feature set in a fold: columns of every table of results.

    Attributes
    ----------
    model : network that made the features; the name of the feature set where none did.
    seed : of that network's training; None where no network made the features.
    fold, feature_set, classifier : names, as in the file's path.
    """

    model: str
    seed: int | None
    fold: str
    feature_set: str
    classifier: str

    @classmethod
    def on(cls, feature_set: str, made: Mapping[str, Any], *, fold: str, classifier: str) -> Run:
        """A classifier on a feature set, by what `features.h5` says of how it was made."""
        model, seed = made.get("model", feature_set), made.get("seed")
        return cls(model, seed, fold, feature_set, classifier)


class About(TypedDict):
    """Metadata of a file of predictions."""

    dataset: str
    run: Run
    classes: list[str]
    notes: list[str]
    seconds: dict[str, float]


def write_predictions(
    path: str,
    row: ArrayLike,
    part: ArrayLike,
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    dataset: str,
    run: Run,
    classes: Sequence[str],
    notes: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
) -> None:
    """Write one classifier's predictions, whole or not at all.

    The most probable class (of equals the first) is that of the float32 values as stored,
    so that every reader finds the same.

    Parameters
    ----------
    path : file to write, `predictions.parquet`.
    row : (N,) integers, rows of the manifest.
    part : (N,) of `validation` or `test`.
    truth : (N,) integers, the true class as an index into `classes`.
    probabilities : (N, K) floats, not negative; each row is scaled to sum to 1.
    dataset : its name.
    run : model, seed, fold, feature set and classifier.
    classes : K final class names in order.
    notes : sentences about how the classifier was made, for the report.
    seconds : wall time by step, e.g. `{"fit": 1.5, "predict": 0.1}`.

    Raises
    ------
    UserError
        Where a probability is not a finite number: a training that diverged.
    ValueError
        Where shapes, parts or classes disagree.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row_ = np.asarray(row, dtype=np.int64)
    part_ = np.asarray(part, dtype=object)
    truth_ = np.asarray(truth, dtype=np.int16)
    p = np.asarray(probabilities, dtype=np.float64)
    n, k = len(row_), len(classes)
    if p.shape != (n, k) or part_.shape != (n,) or truth_.shape != (n,):
        raise ValueError(
            f"{n} rows and {k} classes, but part {part_.shape}, truth {truth_.shape}, "
            f"probabilities {p.shape}"
        )
    if not np.isin(part_.astype(str), PARTS).all():
        raise ValueError(f"part must be one of {PARTS}")
    if n and (truth_.min() < 0 or truth_.max() >= k):
        raise ValueError(f"truth must lie in 0..{k - 1}")
    bad = ~np.isfinite(p).all(axis=1)
    if bad.any():
        raise UserError(
            f"{dataset}/{run.fold}/{run.feature_set}/{run.classifier}: {bad.sum()} of {n} predictions are not "
            "numbers: the training diverged; lower its learning_rate or set clip_norm"
        )
    stored = as_stored(p)

    columns: dict[str, Any] = {
        "row": pa.array(row_),
        "part": pa.array(part_, type=pa.string()),
        "class": pa.array(truth_),
        "most_probable": pa.array(_first_largest(stored)),
    }
    columns |= {f"{PREFIX}{name}": pa.array(stored[:, i]) for i, name in enumerate(classes)}
    meta = {
        "dataset": dataset,
        **run._asdict(),
        "classes": list(classes),
        "notes": list(notes),
        "seconds": {k: float(v) for k, v in (seconds or {}).items()},
    }
    table = pa.table(columns).replace_schema_metadata({"darkroom": json.dumps(meta)})
    with disk.whole(path) as part_file:
        pq.write_table(table, part_file)


def read_predictions(path: str) -> tuple[pd.DataFrame, About]:
    """Read what `write_predictions` wrote.

    Returns
    -------
    table : columns `row` (int64), `part` (str), `class`, `most_probable` (int16) and one
        float32 column `p:{class}` for each class in order.
    about : data set, run, classes, notes and seconds.

    Raises
    ------
    UserError
        The file is of another form.
    """
    table = parquet_file.read(path)
    meta = json.loads((table.schema.metadata or {}).get(b"darkroom", b"{}"))
    if missing := [name for name in Run._fields if name not in meta]:
        raise UserError(f"{path} does not name its {missing[0]}: delete it and run again")
    about: Any = meta | {"run": Run(*(meta.pop(name) for name in Run._fields))}
    return table.replace_schema_metadata(None).to_pandas(), about


def as_stored(probabilities: ArrayLike) -> NDArray[np.float32]:
    """Probabilities as they stand in a file: each row of (N, K) sums to 1, in float32.

    Raises
    ------
    ValueError
        A negative one, or a row of zeros.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    total = p.sum(axis=1, keepdims=True)
    if (p < 0).any() or (total <= 0).any():
        raise ValueError("probabilities must not be negative, nor a row all zero")
    return np.asarray(p / total, dtype=np.float32)


def decide(probabilities: ArrayLike, threshold: float) -> NDArray[np.int16]:
    """The predicted class of each row.

    Parameters
    ----------
    probabilities : (N, K). With two classes the second is predicted from `threshold` on; with
        more the most probable one is, of equals the first, and `threshold` must be 0.5.

    Returns
    -------
    (N,) int16.
    """
    p = np.asarray(probabilities, dtype=np.float32)  # as stored: 0.7 is not below 0.7
    if p.shape[1] == 2:
        return np.asarray(p[:, 1] >= np.float32(threshold), dtype=np.int16)
    if threshold != 0.5:
        raise ValueError(f"a threshold of {threshold} among {p.shape[1]} classes")
    return _first_largest(p)


def probabilities(table: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float32]:
    """The (N, K) float32 probabilities of a table of predictions, in the order of `classes`."""
    return np.stack(
        [table[f"{PREFIX}{name}"].to_numpy(dtype=np.float32) for name in classes], axis=1
    )


def _first_largest(stored: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.argmax(stored, axis=1).astype(np.int16) if stored.size else np.zeros(0, np.int16)
