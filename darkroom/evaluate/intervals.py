"""How far the size of the test set lets a score be known.

Intervals are 95 % percentile bootstrap intervals (Efron & Tibshirani 1993, An
Introduction to the Bootstrap, ch. 13; groups drawn whole as in Davison & Hinkley 1997,
sec. 3.8). A resample draws as many groups as there are, with replacement; a row without
group is a group by itself. The drawing is not stratified by class: groups may hold
several classes, and for a test set that is itself stratified the interval errs to the
wide side. A metric that a resample leaves undefined (a rare class not drawn) does not
count in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]

LEVEL = 0.95


class Resamples:
    """Weights of G groups in B bootstrap resamples, in pieces of bounded memory.

    The same object always gives the same weights, so that two classifiers, or a network's
    seeds, are compared on the same resamples.
    """

    def __init__(
        self, groups: int, resamples: int, seed: int | list[int], megabytes: float = 256
    ) -> None:
        self.groups, self.resamples, self.seed = groups, resamples, seed
        self.piece = int(max(1, min(resamples, megabytes * 1e6 // (4 * max(groups, 1)))))
        self._kept: NDArray[np.float32] | None = None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """(G, b) float32 pieces: how often each group is in each resample."""
        if self._kept is not None:
            yield self._kept
            return
        random = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, self.piece):
            b = min(self.piece, self.resamples - start)
            weights = np.zeros((self.groups, b), dtype=np.float32)
            for i in range(b):
                drawn = random.integers(0, self.groups, self.groups)
                weights[:, i] = np.bincount(drawn, minlength=self.groups)
            if self.piece >= self.resamples:
                self._kept = weights
            yield weights


def interval(samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the middle 95 % along the last axis, NaN left out; NaN where all are."""
    if samples.shape[-1] == 0:
        nothing = np.full(samples.shape[:-1], np.nan)
        return nothing, nothing
    tail = (1 - LEVEL) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        low, high = np.nanquantile(samples, [tail, 1 - tail], axis=-1)
    return low, high


def exact_at_the_ends(
    value: Floats, low: Floats, high: Floats, groups: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of a proportion of 0 or 1, of which a resample can never show another.

    Where every row was right, resampling gives [1, 1], however few rows there are. There
    the exact interval for that many independent trials is given instead (Clopper &
    Pearson 1934): [0.025^(1/G), 1] for G groups.

    Parameters
    ----------
    value, low, high : proportions and their bootstrap bounds. groups : trials of each.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = ((1 - LEVEL) / 2) ** (1 / np.asarray(groups, dtype=np.float64))
    known = ~np.isnan(low)
    return (
        np.where(known & (value == 1) & (low == 1), edge, low).astype(np.float64),
        np.where(known & (value == 0) & (high == 0), 1 - edge, high).astype(np.float64),
    )
