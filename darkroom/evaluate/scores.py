"""The scores of a run on the validation or the test rows, with resamples of each.

All runs are scored on the same bootstrap resamples of the data set's validation or test
groups (those of all folds together), each by the rows it has. So the interval of a mean over
seeds knows that all seeds were tested on the same images, and that over folds that each tested
other ones: it is the interval of the mean of the runs, resample by resample. It says how far
the mean could be off through the choice of test images; the spread through the choice of seeds
and training rows is the standard deviation (`_sd`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom import metrics
from darkroom.evaluate import intervals
from darkroom.features.predictions import Run, probabilities

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.split.splits import Splits

Floats = NDArray[np.float64]

# Proportions, whose interval must not vanish where every row is right.
RATES = frozenset(metrics.OVERALL) - {"roc_auc", "log_loss"}


@dataclass(frozen=True)
class Part:
    """The validation or test rows of a data set over all folds, and their resamples."""

    name: str
    row: NDArray[np.int64]  # ascending
    group: NDArray[np.int64]  # 0 … G-1
    resamples: intervals.Resamples

    @classmethod
    def of(cls, split: Splits, name: str, bootstrap: int, seed: list[int]) -> Part:
        """The rows of a part.

        Parameters
        ----------
        split : `splits.parquet`.
        name : `validation` or `test`.
        bootstrap : number of resamples.
        seed : of their drawing.
        """
        import pandas as pd

        there = (split.table[split.folds] == name).any(axis=1)
        group, names = pd.factorize(split.table.loc[there, "group"])
        row = split.table.loc[there, "row"].to_numpy(dtype=np.int64)
        drawn = intervals.Resamples(len(names), bootstrap, seed)
        return cls(name, row, group.astype(np.int64), drawn)

    def groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The group of each row."""
        at = np.searchsorted(self.row, rows)
        if (at == len(self.row)).any() or (self.row[at] != rows).any():
            raise ValueError(f"predictions of rows that are not {self.name} rows of the split")
        return self.group[at]


@dataclass(frozen=True)
class Scores:
    """The scores of one run on one part.

    Attributes
    ----------
    run : model, seed, fold, feature set and classifier.
    part : `validation` or `test`.
    n : rows.
    groups : distinct, ascending.
    value : of each metric.
    samples : of each metric, (B,): one a resample.
    by_class : of each metric by class, (K,) each: value, low, high.
    support : (K,) rows of each class.
    """

    run: Run
    part: str
    n: int
    groups: NDArray[np.int64]
    value: dict[str, float]
    samples: dict[str, Floats]
    by_class: dict[str, tuple[Floats, Floats, Floats]]
    support: NDArray[np.int64]


def score(rows: pd.DataFrame, run: Run, classes: list[str], part: Part) -> Scores:
    """Score a run on the rows that it predicted of a part.

    Parameters
    ----------
    rows : of the run's predictions, with the column `predicted`.
    """
    truth = rows["class"].to_numpy(dtype=np.int64)
    predicted = rows["predicted"].to_numpy(dtype=np.int64)
    p = probabilities(rows, classes)
    group = part.groups(rows["row"].to_numpy(dtype=np.int64))
    value, class_value = metrics.scores(truth, predicted, p)
    pieces = [metrics.scores(truth, predicted, p, weights, group) for weights in part.resamples]
    k = len(classes)
    samples = {m: np.concatenate([np.zeros(0), *(o[m] for o, _ in pieces)]) for m in value}
    pairs = {
        "recall": np.unique(truth * len(part.row) + group) // len(part.row),
        "precision": np.unique(predicted * len(part.row) + group) // len(part.row),
    }
    by_class = {}
    for m, v in class_value.items():
        drawn = np.concatenate([np.zeros((k, 0)), *(c[m] for _, c in pieces)], axis=1)
        low, high = intervals.interval(drawn)
        if m in pairs:
            groups = np.bincount(pairs[m], minlength=k)
            low, high = intervals.exact_at_the_ends(v[:, 0], low, high, groups)
        by_class[m] = (v[:, 0], low, high)
    return Scores(
        run=run,
        part=part.name,
        n=len(rows),
        groups=np.unique(group),
        value={m: float(v[0]) for m, v in value.items()},
        samples=samples,
        by_class=by_class,
        support=np.bincount(truth, minlength=k),
    )


def bounds(metric: str, value: float, samples: Floats, groups: int) -> tuple[float, float]:
    """The 95 % interval of a metric, by its resamples and the number of groups."""
    low, high = intervals.interval(samples)
    if metric in RATES:
        low, high = intervals.exact_at_the_ends(np.array(value), low, high, groups)
    return float(low), float(high)
