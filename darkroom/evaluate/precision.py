"""Precision and F1 of each class, by its recall and the share of the other rows that are taken for it.

How many rows a class has is no luck of the classifier: only how many of them are hits is, and how
many others are false alarms. So the bounds follow from those of these two rates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from darkroom.evaluate import intervals
from darkroom.evaluate.intervals import LEAST_GROUPS, Bounds
from darkroom.evaluate.sums import Layout, Rates

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Score = Callable[[Floats, Floats, Floats], Floats]  # of hits, false alarms and rows of a class


def precision(hits: Floats, false: Floats, rows: Floats) -> Floats:
    """The share of hits among what is taken for a class."""
    return np.asarray(hits / (hits + false) + 0 * rows)


def f1(hits: Floats, false: Floats, rows: Floats) -> Floats:
    """The harmonic mean of precision and recall."""
    return np.asarray(2 * hits / (rows + hits + false))


@dataclass(frozen=True)
class Alarms:
    """Of each class the share of the other rows that are taken for it, its false alarms.

    Attributes
    ----------
    at, column : (M,) rows that are false alarms, and of which class.
    rows, rest : (K,) rows of each class, and of all others.
    share : (K,) false alarms among these others.
    bounds, parts : as those of `Rates`.
    by_group : (G, K) sparse false alarms.
    spread : (K,) variance of their number by the test images.
    together : (K,) its covariance with the recall.
    """

    at: Codes
    column: Codes
    rows: Floats
    rest: Floats
    share: Floats
    bounds: Bounds
    parts: Bounds
    by_group: Any
    spread: Floats
    together: Floats

    @classmethod
    def of(cls, layout: Layout, truth: Codes, predicted: Codes, recall: Rates) -> Alarms:
        """The false alarms of each class.

        Parameters
        ----------
        truth, predicted : (N,) classes.
        recall : of each class.
        """
        k, n = len(recall.value), len(truth)
        wrong = np.flatnonzero(truth != predicted)
        rows = np.bincount(truth, minlength=k).astype(np.float64)
        rest, alarms = n - rows, np.bincount(predicted[wrong], minlength=k)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = alarms / rest
            # sums over groups of (alarms - share * rest)^2, from those that have any
            by_group = layout.table(wrong, predicted[wrong], np.ones(len(wrong)), k)
            own = layout.table(np.arange(n), truth, np.ones(n), k)
            size = np.bincount(layout.group, minlength=layout.groups).astype(np.float64)
            squares = (size**2).sum() - 2 * (own.T @ size) + (own**2).sum(axis=0)  # of the rest
            products = by_group.T @ size - (by_group * own).sum(axis=0)
            spread = (by_group**2).sum(axis=0) - 2 * share * products + share**2 * squares
            spread *= layout.groups / max(layout.groups - 1, 1)
            together = (recall.pulled * by_group).sum(axis=0) - share * (
                recall.pulled.T @ size - (recall.pulled * own).sum(axis=0)
            )
            equal = rest**2 / squares
            known = np.where(spread > 0, share * (1 - share) * rest**2 / spread, equal)
        if layout.alone:
            freedom = np.full(k, np.inf)
            known = rest if layout.seeds == 1 else np.clip(known, rest / layout.seeds, rest)
        else:
            freedom = np.where(equal < LEAST_GROUPS, np.nan, equal - 1)
            known = intervals.penalised(np.maximum(known, equal), freedom, rest)
        return cls(
            at=wrong,
            column=predicted[wrong],
            rows=rows,
            rest=rest,
            share=share,
            bounds=intervals.rate(share, known, freedom),
            parts=intervals.part_of_mean(share, known, freedom),
            by_group=by_group,
            spread=spread,
            together=together,
        )


def of_classes(layout: Layout, truth: Codes, recall: Rates, alarms: Alarms, score: Score) -> Rates:
    """A score of each class with its bounds by the test images.

    Parameters
    ----------
    truth : (N,) classes.
    recall, alarms : of each class.
    score : `precision` or `f1`.
    """
    share, rest, together = alarms.share, alarms.rest, alarms.together
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(together / np.sqrt(recall.variance * alarms.spread))

    def of(hit: Floats, alarm: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return score(alarms.rows * hit, rest * alarm, alarms.rows)

    value = of(recall.value, share)
    bounds, parts = (
        _bounds(of, value, recall.value, share, of_recall, of_share, correlation)
        for of_recall, of_share in ((recall.bounds, alarms.bounds), (recall.parts, alarms.parts))
    )
    by_hit = _slope(lambda x: of(recall.value + x, share))
    by_alarm = _slope(lambda x: of(recall.value, share + x))
    alarm = by_alarm / np.maximum(rest, 1)
    pulled = recall.pulled @ sparse.diags_array(by_hit)
    pulled += alarms.by_group @ sparse.diags_array(alarm)
    variance = by_hit**2 * recall.variance + alarm**2 * alarms.spread
    variance += 2 * by_hit * alarm * together
    return Rates(
        layout=layout,
        at=np.concatenate([recall.at, alarms.at]),
        column=np.concatenate([truth, alarms.column]),
        influence=np.concatenate([recall.influence * by_hit[truth], alarm[alarms.column]]),
        value=value,
        bounds=bounds,
        parts=parts,
        pulled=pulled.tocsr(),
        variance=np.nan_to_num(variance),
    )


def _slope(of: Callable[[float], Floats]) -> Floats:
    """The slope at 0; 0 where it is not defined."""
    step = 1e-6
    return np.nan_to_num((of(step) - of(-step)) / (2 * step))


def _bounds(
    of: Callable[[Floats, Floats], Floats],
    value: Floats,
    hit: Floats,
    alarm: Floats,
    hits: Bounds,
    alarms: Bounds,
    correlation: Floats,
) -> Bounds:
    """Bounds of a score that rises with one rate and falls with another, by theirs."""
    ends, doubts = [], []
    for first, second in ((hits.low, alarms.high), (hits.high, alarms.low)):
        a, b = abs(value - of(first, alarm)), abs(value - of(hit, second))
        a, b = np.nan_to_num(a), np.nan_to_num(b)
        ends.append(np.sqrt(np.maximum(a**2 + b**2 - 2 * correlation * a * b, 0)))
        with np.errstate(invalid="ignore", divide="ignore"):
            doubt = np.nan_to_num(a**4 / hits.freedom) + np.nan_to_num(b**4 / alarms.freedom)
            doubts.append(np.where(doubt > 0, (a**2 + b**2) ** 2 / doubt, np.inf))
    few = np.isnan(hits.freedom + alarms.freedom)  # too few groups
    low, high = (
        np.where(few, np.nan, value + sign * end) for sign, end in zip((-1, 1), ends, strict=True)
    )
    return Bounds(low, high, np.minimum(*doubts))
