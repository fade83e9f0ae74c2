"""The probability of the second of two classes from which on a run predicts it.

It is given, or it is the one that serves the run's own validation rows best. Beside it stands
that of an operating point, where a sensitivity or specificity is wanted. No test row has a say
in either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkroom.errors import UserError
from darkroom.features.predictions import About, probabilities
from darkroom.metrics import confusion

if TYPE_CHECKING:
    import pandas as pd


def threshold_of(table: pd.DataFrame, about: About, asked: float | str) -> float:
    """Probability of the second of two classes from which a run predicts it.

    Parameters
    ----------
    table, about : a run's predictions, as `predictions.read_predictions` gives them.
    asked : that probability, or what it should make largest on the run's validation rows:
        `accuracy`, `balanced_accuracy` or `f1` (see `best_threshold`).

    Returns
    -------
    float; 0.5 where there are more classes.

    Raises
    ------
    UserError
        More than two classes and anything but 0.5; no validation rows of both classes.
    """
    where, classes = f"datasets.{about['dataset']}.threshold", about["classes"]
    if len(classes) != 2 and asked != 0.5:
        raise UserError(f"{where}: a threshold is for two classes, and there are {len(classes)}")
    if not isinstance(asked, str):
        return float(asked)
    return best_threshold(*_judged(table, about, f"{where}: {asked}", "give a probability"), asked)


def operating_threshold(table: pd.DataFrame, about: About, wanted: Mapping[str, float]) -> float:
    """The threshold of an operating point.

    Parameters
    ----------
    table, about : a run's predictions, as `predictions.read_predictions` gives them.
    wanted : `sensitivity` or `specificity`, and what it must reach on the run's validation rows.

    Returns
    -------
    float; NaN where no threshold reaches it.

    Raises
    ------
    UserError
        More than two classes; no validation rows of both classes.
    """
    where = f"datasets.{about['dataset']}.operating_point"
    if len(about["classes"]) != 2:
        raise UserError(f"{where} is for two classes, and there are {len(about['classes'])}")
    return best_threshold(*_judged(table, about, where, "leave it out"), wanted)


def _judged(
    table: pd.DataFrame, about: About, what: str, instead: str
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of the validation rows whether they are of the second class, and its probability."""
    classes = about["classes"]
    rows = table[table["part"] == "validation"]
    truth = rows["class"].to_numpy()
    if len(set(truth.tolist())) < 2:
        raise UserError(
            f"{what} needs validation rows of both classes, and {about['run'].fold} has "
            f"{f'only {classes[truth[0]]!r}' if len(truth) else 'none'}; raise split.validation, "
            f"or {instead}"
        )
    return truth == 1, probabilities(rows, classes)[:, 1]


def best_threshold(positive: ArrayLike, score: ArrayLike, how: str | Mapping[str, float]) -> float:
    """The threshold on a score, from which on a row is predicted as positive, that serves best.

    All thresholds between two neighbouring scores predict the same, so the middle between
    them stands for each gap, or 0.5 where the gap holds it; of gaps that serve equally well
    the one whose threshold is nearest to 0.5 is taken (of two as near, the lower), and the
    middle is rounded to as few digits as the gap allows. Scores are compared as float32.

    Parameters
    ----------
    positive : (N,) bool, at least one of each kind.
    score : (N,) in 0..1.
    how : what is made as large as can be: `accuracy`, `balanced_accuracy` (the mean of
        sensitivity and specificity, Youden 1950, Cancer 3:32) or `f1` (of the positives); or
        `sensitivity` or `specificity` and the least that it must be: then the other of the two
        is made as large as can be, and of equals the one that is given.

    Returns
    -------
    float, between 0 and 1; NaN where the least cannot be reached.
    """
    truth = np.asarray(positive, dtype=bool)
    level, at = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
    # by gap g, which ends at level[g] (the last one at 1): what lies at or above its end
    hits = _from_the_end(np.bincount(at, weights=truth, minlength=len(level)))
    false = _from_the_end(np.bincount(at, weights=~truth, minlength=len(level)))
    p, n = hits[0], false[0]
    sensitivity, specificity = hits / p, (n - false) / n
    if isinstance(how, str):
        value = {
            "accuracy": (hits + n - false) / (p + n),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "f1": 2 * hits / (p + hits + false),
        }[how]
    else:
        ((name, least),) = how.items()
        given, other, rows = (
            (sensitivity, specificity, n)
            if name == "sensitivity"
            else (specificity, sensitivity, p)
        )
        # one row more of the other counts more than all rows of the one that is given
        value = np.where(given >= least - 1e-12, other + given / (2 * rows), -1.0)
    low, high = np.r_[0.0, level], np.r_[level, 1.0]
    # no threshold lies below 0, none beyond 1, and float32 has none between 1 - 1e-7 and 1
    inside = np.append(high[:-1] > low[:-1], low[-1] < 1 - 1e-6)
    held = (low < 0.5) & (high >= 0.5)
    middle = np.where(held, 0.5, (low + high) / 2)
    if value[inside].max() < 0:
        return float("nan")
    best = inside & (value >= value[inside].max() - 1e-12)
    gap = int(np.flatnonzero(best)[np.abs(middle[best] - 0.5).argmin()])
    for digits in range(1, 17):
        short = round(float(middle[gap]), digits)
        near = abs(short - middle[gap]) <= (high[gap] - low[gap]) / 4
        if near and low[gap] < np.float32(short) < 1 and np.float32(short) <= high[gap]:
            return short
    return float(high[gap])


def _from_the_end(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Sums of entries from each one to the last, and 0 after it."""
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0]]).astype(np.float64)


def two_class_rates(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Sensitivity, specificity and predictive values of the second of two classes.

    Parameters
    ----------
    truth, predicted : (N,) of 0 and 1.

    Returns
    -------
    `sensitivity` (share of class 1 that is predicted so), `specificity` (share of class 0
    that is predicted so), `precision` (share right of what is predicted as 1: the positive
    predictive value), `npv` (the negative one: share right of what is predicted as 0); NaN
    where there is nothing to take a share of.
    """
    (tn, fp), (fn, tp) = confusion(truth, predicted, 2).tolist()

    def share(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    return {
        "sensitivity": share(tp, tp + fn),
        "specificity": share(tn, tn + fp),
        "precision": share(tp, tp + fp),
        "npv": share(tn, tn + fn),
    }
