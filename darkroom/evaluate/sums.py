"""Scores as sums of influences of rows, over groups, random starts and folds: see `intervals`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from darkroom.evaluate import intervals
from darkroom.evaluate.intervals import LEAST_GROUPS, Bounds, Variance

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Losses are skewed: with fewer rows or groups no interval held its level in simulation.
LEAST_FOR_LOSS = 100


@dataclass(frozen=True)
class Layout:
    """Which rows belong together: N rows of all runs, one after the other.

    Attributes
    ----------
    group, seed, fold : (N,) codes 0 … G-1, 0 … S-1, 0 … F-1.
    groups, seeds, folds : G, S, F.
    alone : every row of a run is a group by itself.
    seed_of_run, fold_of_run : (R,) of each run.
    """

    group: Codes
    seed: Codes
    fold: Codes
    groups: int
    seeds: int
    folds: int
    alone: bool
    seed_of_run: Codes
    fold_of_run: Codes

    @classmethod
    def of(
        cls, groups: Sequence[Codes], seeds: Sequence[object], folds: Sequence[object]
    ) -> Layout:
        """The layout of some runs, given the groups of its rows, the seed and the fold of each."""
        names, group = np.unique(np.concatenate(groups), return_inverse=True)
        of_seed, of_fold = list(dict.fromkeys(seeds)), list(dict.fromkeys(folds))
        sizes = [len(own) for own in groups]
        return cls(
            group=group,
            seed=np.repeat([of_seed.index(s) for s in seeds], sizes),
            fold=np.repeat([of_fold.index(f) for f in folds], sizes),
            groups=len(names),
            seeds=len(of_seed),
            folds=len(of_fold),
            alone=all(len(np.unique(own)) == len(own) for own in groups),
            seed_of_run=np.array([of_seed.index(s) for s in seeds]),
            fold_of_run=np.array([of_fold.index(f) for f in folds]),
        )

    def table(self, at: Codes, column: Codes, value: Floats, k: int) -> Any:
        """(G, K) sparse sums of values by the group of some rows and a column."""
        g = self.group[at]
        return sparse.coo_array((value, (g, column)), shape=(self.groups, k)).tocsr()

    def others(
        self, at: Codes, column: Codes, influence: Floats, k: int, test: Floats
    ) -> list[Variance]:
        """(K,) variances of the random starts and of the training images.

        Parameters
        ----------
        at, column, influence : rows, and their influences on each of K scores.
        test : (K,) variance of the test images.
        """
        out = []
        s, f = self.seeds, self.folds
        if s > 1:
            seed = self.seed[at]
            moved = s * np.bincount(seed * k + column, influence, s * k).reshape(s, k)
            cells = sparse.coo_array(
                (influence, (self.group[at] * s + seed, column)), shape=(self.groups * s, k)
            ).tocsr()
            sums = self.table(at, column, influence, k)
            rows = ((cells**2).sum(axis=0) - (sums**2).sum(axis=0) / s) * s / (s - 1)
            found = moved.var(axis=0, ddof=1) / s
            out.append(Variance(found, np.maximum(rows, 0), s - 1))
        if f > 1:
            fold = self.fold[at]
            moved = f * np.bincount(fold * k + column, influence, f * k).reshape(f, k)
            found = moved.var(axis=0, ddof=1)
            shared = 1 / f + 1 / (f - 1)
            left = np.maximum(found - f * test, 0) * shared
            out.append(Variance(left, 0.0, f - 1))
        return out

    def positive(self, value: float, influence: Floats) -> tuple[float, float]:
        """Bounds of a figure that is not negative, as a mean loss, by the influences of all rows.

        There are none of fewer than `LEAST_FOR_LOSS` groups, or where no row differs.
        """
        if self.groups < LEAST_FOR_LOSS or not value > 0 or not influence.any():
            return np.nan, np.nan
        every, zero = np.arange(len(influence)), np.zeros(len(influence), np.int64)
        share = np.bincount(self.group) / len(influence)
        pulled = np.bincount(self.group, influence) / (1 - share)
        variance = np.array([(pulled**2).sum() * (1 - 1 / self.groups)])
        # few groups of large influence tell less of the variance (O'Neill 2014, American
        # Statistician 68:282: by the kurtosis)
        heavy = float((pulled**4).sum() / (pulled**2).sum() ** 2) - 1 / self.groups
        freedom = min(float(1 / (share**2).sum()) - 1, 2 / max(heavy, 1e-12))
        bounds = intervals.positive_mean(value, float(variance[0]), freedom)
        others = self.others(every, zero, influence, 1, variance)
        low, high = intervals.widened(np.array([value]), bounds, variance, others)
        return float(low[0]), float(high[0])


@dataclass(frozen=True)
class Rates:
    """K proportions: each of its own rows, of which some are hits."""

    layout: Layout
    at: Codes
    column: Codes
    influence: Floats
    value: Floats
    bounds: Bounds
    parts: Bounds  # the same for means of them, see `intervals.part_of_mean`
    pulled: Any  # (G, K) sparse: by how much the jackknife moves each when a group is left out
    variance: Floats

    @classmethod
    def of(cls, layout: Layout, at: Codes, column: Codes, hit: NDArray[np.bool_], k: int) -> Rates:
        """Proportions with their bounds by the test images.

        Parameters
        ----------
        at : (M,) positions of the rows.
        column : (M,) which proportion it belongs to.
        hit : (M,) bool.
        """
        n = np.bincount(column, minlength=k)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.bincount(column, hit, k) / n
            influence = (hit - value[column]) / n[column]
            share = layout.table(at, column, 1 / n[column], k)
            pulled = layout.table(at, column, influence, k)
            pulled.data = pulled.data / (1 - share.data)
            own = np.bincount(share.indices, minlength=k)
            variance = (own - 1) / own * np.bincount(pulled.indices, pulled.data**2, k)
            equal = 1 / (share**2).sum(axis=0)  # groups of one size that tell as much (Kish)
            rows = np.where(variance > 0, value * (1 - value) / variance, equal)
        if layout.alone:
            freedom = np.full(k, np.inf)
            rows = n if layout.seeds == 1 else np.clip(rows, own, n)
        else:
            freedom = np.where(equal < LEAST_GROUPS, np.nan, equal - 1)
            rows = intervals.penalised(np.maximum(rows, equal), freedom, n)
        bounds = intervals.rate(value, rows, freedom)
        return cls(
            layout,
            at,
            column,
            influence,
            value,
            bounds,
            intervals.part_of_mean(value, rows, freedom) if k > 1 else bounds,
            pulled,
            variance,
        )

    def ends(self) -> tuple[Floats, Floats]:
        """(K,) bounds of each."""
        k = len(self.value)
        others = self.layout.others(self.at, self.column, self.influence, k, self.variance)
        return intervals.widened(self.value, self.bounds, self.variance, others)

    def mean(self, weight: Floats) -> tuple[float, float]:
        """Bounds of the weighted mean; a proportion of no rows counts as 0."""
        used = np.flatnonzero((weight > 0) & ~np.isnan(self.value))
        if not len(used):
            return np.nan, np.nan
        w, b = weight[used], self.parts
        pulled = self.pulled[:, used]
        covariance = (pulled.T @ pulled).toarray()
        scale = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.nan_to_num(covariance / np.outer(scale, scale))
        np.fill_diagonal(correlation, 1)
        value = float(w @ self.value[used])
        parts = Bounds(b.low[used], b.high[used], b.freedom[used])
        bounds = intervals.mover(value, w, self.value[used], parts, correlation)
        influence = np.nan_to_num(self.influence * weight[self.column])
        zero = np.zeros_like(self.column)
        test = np.array([((pulled @ w) ** 2).sum()])
        others = self.layout.others(self.at, zero, influence, 1, test)
        low, high = intervals.widened(np.array([value]), bounds, test, others)
        return float(low[0]), float(high[0])
