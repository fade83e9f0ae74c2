"""Whether one classifier is better than another, or whether chance may explain it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Difference:
    """Accuracy of one less that of another on the same rows, with its 95 % interval.

    `rows` is how many rows both predicted; `discordant` on how many they differ.
    """

    mean: float
    low: float
    high: float
    rows: int
    discordant: int

    @property
    def distinct(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def difference(
    first: pd.Series,
    second: pd.Series,
    group: pd.Series | None = None,
    runs: tuple[Sequence[float], Sequence[float]] = ((), ()),
) -> Difference | None:
    """Compare two classifiers on the rows that both predicted.

    The same rows make most of the luck common to both, so the paired difference is
    narrower than two overlapping intervals suggest. Its standard error is the cluster
    robust one over groups (Liang and Zeger 1986, Biometrika 73, 13-22). Where a network was
    trained from several random starts, what they differ by is luck too: the variance of
    their mean is added, and the degrees of freedom are Welch's (1947, Biometrika 34, 28-35).

    Parameters
    ----------
    first, second : share of runs that were right, indexed by row.
    group : of each row; rows of a group are not independent.
    runs : accuracy of each random start of the first and of the second on these rows; where
        both have the same random starts, the differences of the two, and nothing.
    """
    from scipy import stats

    rows = first.index.intersection(second.index)
    if not len(rows):
        return None
    d = first.loc[rows].to_numpy(float) - second.loc[rows].to_numpy(float)
    mean = float(d.mean())
    names = np.asarray(rows) if group is None else group.reindex(rows).to_numpy()
    _, at = np.unique(names.astype(str), return_inverse=True)
    sums = np.bincount(at, weights=d - mean)
    g = len(sums)
    shares = [(float((sums**2).sum()) * g / max(g - 1, 1) / len(d) ** 2, max(g - 1, 1))]
    shares += [(float(np.var(v, ddof=1)) / len(v), len(v) - 1) for v in runs if len(v) > 1]
    variance = sum(v for v, _ in shares)
    half = 0.0
    if variance > 0:
        freedom = variance**2 / sum(v**2 / n for v, n in shares)
        half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half, len(d), int((abs(d) > 1e-9).sum()))
