"""The scores of one run, or of the seeds and folds of a model and classifier together, with intervals.

Rates count the rows of all seeds and folds together; the ROC AUC is the mean over runs, as
probabilities of two networks have no common scale (Forman & Scholz 2010, SIGKDD Explorations
12:49). What varies the scores, and how it becomes an interval, is in `intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkroom import metrics
from darkroom.evaluate.areas import Areas
from darkroom.evaluate.precision import Alarms, f1, of_classes, precision
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.sums import Layout, Rates

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# The mean of F1 scores of few rows each is too low in the mean: it needs so many rows a class.
LEAST_FOR_F1 = 20
LOSSES = ("log_loss", "brier")


@dataclass(frozen=True)
class Scores:
    """Scores with their 95 % intervals; NaN where one is undefined or cannot be given.

    Attributes
    ----------
    n : rows.
    groups : distinct ones.
    value : of each metric.
    ends : of each metric, the ends of its interval.
    by_class : of each metric by class, (K,) each: value, low, high.
    support : (K,) rows of each class.
    """

    n: int
    groups: int
    value: dict[str, float]
    ends: dict[str, tuple[float, float]]
    by_class: dict[str, tuple[Floats, Floats, Floats]]
    support: Codes


def pooled(
    runs: Sequence[RunRows], seeds: Sequence[object] = (), folds: Sequence[object] = ()
) -> Scores:
    """Score runs together.

    Parameters
    ----------
    runs : of one model and classifier, at least one.
    seeds, folds : of each run; nothing: all alike.
    """
    k = runs[0].classes
    layout = Layout.of(
        [run.group for run in runs], seeds or [0] * len(runs), folds or [0] * len(runs)
    )
    truth = np.concatenate([run.truth for run in runs])
    predicted = np.concatenate([run.predicted for run in runs])
    counts = metrics.confusion(truth, predicted, k)
    value, of_class = metrics.rates(counts)
    right, every = truth == predicted, np.arange(len(truth))
    accuracy = Rates.of(layout, every, np.zeros_like(truth), right, 1)
    recall = Rates.of(layout, every, truth, right, k)
    alarms = Alarms.of(layout, truth, predicted, recall)
    of_precision = of_classes(layout, truth, recall, alarms, precision)
    of_f1 = of_classes(layout, truth, recall, alarms, f1)
    support = np.bincount(truth, minlength=k)
    equal = (support > 0) / max(int((support > 0).sum()), 1)
    ends = {
        "accuracy": tuple(float(end[0]) for end in accuracy.ends()),
        "balanced_accuracy": recall.mean(equal),
        "precision_macro": of_precision.mean(equal),
    }
    enough = len(truth) >= LEAST_FOR_F1 * layout.seeds * (support > 0).sum()
    for name, weight in (("f1_macro", equal), ("f1_weighted", support / max(len(truth), 1))):
        ends[name] = of_f1.mean(weight) if enough else (np.nan, np.nan)
    ends["recall_macro"] = ends["balanced_accuracy"]
    for name in LOSSES:
        loss = np.concatenate([run.losses[name] for run in runs])
        value[name] = float(metrics.mean(loss))
        ends[name] = layout.positive(value[name], (loss - loss.mean()) / len(loss))
    areas = Areas.of(layout, runs, support, recall)
    value["roc_auc"], ends["roc_auc"] = areas.overall
    classes = {
        "precision": (of_class["precision"], *of_precision.ends()),
        "recall": (of_class["recall"], *recall.ends()),
        "f1": (of_class["f1"], *of_f1.ends()),
        "roc_auc": areas.by_class(),
    }
    return Scores(
        n=len(truth),
        groups=layout.groups,
        value={m: value[m] for m in metrics.OVERALL},
        ends={m: _within(m, value[m], *ends[m]) for m in metrics.OVERALL},
        by_class={m: (v, *_within(m, v, low, high)) for m, (v, low, high) in classes.items()},
        support=support,
    )


def _within(metric: str, value: ArrayLike, low: ArrayLike, high: ArrayLike) -> tuple[Any, Any]:
    """Bounds within what the metric can be; NaN where it is undefined."""
    most = {"log_loss": np.inf, "brier": 2.0}.get(metric, 1.0)
    nothing = np.where(np.isnan(value), np.nan, 0.0)
    return np.maximum(low, 0.0) + nothing, np.minimum(high, most) + nothing
