"""Areas under the ROC curve of several runs together, with their bounds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from darkroom import metrics
from darkroom.evaluate import intervals
from darkroom.evaluate.intervals import Variance
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.sums import Layout, Rates

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curve of several runs: means over these."""

    layout: Layout
    runs: Sequence[RunRows]
    each: Floats  # (R, K)
    positives: Floats  # (K,) rows of each class, of one seed
    negatives: Floats
    freedom: Floats  # (K,) of the variance by groups of each class
    supposed: float  # variance over that of one seed's rows if they were alone

    @classmethod
    def of(cls, layout: Layout, runs: Sequence[RunRows], support: Codes, recall: Rates) -> Areas:
        """The areas of some runs.

        Parameters
        ----------
        support : (K,) rows of each class in all runs together.
        recall : of each class, for the groups that its rows are of.
        """
        positives = support / layout.seeds
        return cls(
            layout,
            runs,
            np.stack([run.area for run in runs]),
            positives,
            positives.sum() - positives,
            recall.bounds.freedom,
            cls._supposed(layout, runs),
        )

    @cached_property
    def overall(self) -> tuple[float, tuple[float, float]]:
        """The mean of the runs' overall areas, and its bounds."""
        k = self.each.shape[1]
        of_run = np.array([r[1] if k == 2 else metrics.mean(r) for r in self.each])
        value = float(metrics.mean(of_run))
        if np.isnan(value):
            return value, (np.nan, np.nan)
        known = int((~np.isnan(of_run)).sum())
        # of each run its influences sum to 0: its distance from the mean is spread over its rows
        influence = np.concatenate(
            [
                (run.area_influence + (0 if np.isnan(own) else (own - value) / len(run.truth)))
                / known
                for run, own in zip(self.runs, of_run, strict=True)
            ]
        )
        layout = self.layout
        every, zero = np.arange(len(influence)), np.zeros(len(influence), np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):  # the jackknife over groups
            left = 1 - np.bincount(layout.group) / len(influence)
            variance = np.array([((np.bincount(layout.group, influence) / left) ** 2).sum()])
        there = [1] if k == 2 else np.flatnonzero((self.positives > 0) & (self.negatives > 0))
        m, n = self.positives[there], self.negatives[there]
        few = np.isnan(self.freedom[there]).any()  # a class has too few groups
        together = np.nan if few else self._freedom()
        bounds = intervals.area(
            np.array([value]),
            m[None],
            n[None],
            variance,
            self.supposed,
            together,
        )
        others = layout.others(every, zero, influence, 1, variance)
        low, high = intervals.widened(np.array([value]), bounds, variance, others)
        return value, (float(low[0]), float(high[0]))

    def _freedom(self) -> float:
        """Of the variance of the overall area: by how many groups of one size tell as much (Kish)."""
        if self.layout.alone:
            return np.inf
        truth = np.concatenate([run.truth for run in self.runs])
        share = np.bincount(self.layout.group, self.positives[truth] ** -2.0)
        return float(share.sum() ** 2 / (share**2).sum()) - 2

    @staticmethod
    def _supposed(layout: Layout, runs: Sequence[RunRows]) -> float:
        """How much more groups vary an area than their rows alone would, and how much less several seeds.

        Misplaced rows tell it badly where they are few. So it is asked of all rows, as if their
        scores were normally distributed within a class: see `RunRows.smooth_influence`.
        """
        together = np.concatenate([run.smooth_influence for run in runs]) / len(runs)
        alone = sum((run.smooth_influence**2).sum() for run in runs) / len(runs) / layout.folds
        if not alone > 0:
            return 1.0
        sums = np.asarray(np.bincount(layout.group, together), np.float64)
        if not layout.alone:  # the jackknife, as for the variance that is measured
            with np.errstate(divide="ignore", invalid="ignore"):
                sums /= 1 - np.bincount(layout.group) / len(together)
        return max(float((sums**2).sum() / alone), 1 / layout.seeds)

    def by_class(self) -> tuple[Floats, Floats, Floats]:
        """(K,) means of the runs' areas, and their bounds.

        What the random starts vary is taken as if rows did not: the influences of a row are not
        kept by class.
        """
        layout, k = self.layout, self.each.shape[1]
        value = np.array([metrics.mean(self.each[:, c]) for c in range(k)])
        if k == 2:
            _, (low, high) = self.overall
            return value, np.full(2, low), np.full(2, high)
        variances = np.stack([run.area_variance for run in self.runs])
        variance = np.array([metrics.mean(variances[:, c]) for c in range(k)]) / layout.folds
        bounds = intervals.area(
            value,
            self.positives[:, None],
            self.negatives[:, None],
            variance,
            self.supposed,
            self.freedom,
        )
        others = []
        if (s := layout.seeds) > 1:
            found = self._spread(layout.seed_of_run) / s
            others.append(Variance(found, 0.0, s - 1))
        if (f := layout.folds) > 1:
            left = np.maximum(self._spread(layout.fold_of_run) - f * variance, 0)
            left *= 1 / f + 1 / (f - 1)
            others.append(Variance(left, 0.0, f - 1))
        return value, *intervals.widened(value, bounds, variance, others)

    def _spread(self, kind: Codes) -> Floats:
        """(K,) variance between means over the runs of a seed, or of a fold."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a class of no run
            means = [np.nanmean(self.each[kind == i], axis=0) for i in np.unique(kind)]
            spread: Floats = np.nan_to_num(np.nanvar(np.stack(means), axis=0, ddof=1))
        return spread
