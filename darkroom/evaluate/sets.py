"""Sets of classes that hold the true one with a stated probability.

Split-conformal prediction (Vovk, Gammerman & Shafer 2005; Angelopoulos & Bates 2021,
arXiv:2107.07511): the validation rows say from which probability on a class belongs to the set, so
that of 100 new images like these at least 95 have their true class in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate.sums import Layout, Rates
from darkroom.features.predictions import SET_LEVEL

Codes = NDArray[np.int64]
Shares = NDArray[np.floating[Any]]

COLUMNS = ("set_from", "set_coverage", "set_coverage_low", "set_coverage_high", "set_size")


def limit(truth: Codes, probabilities: Shares) -> float:
    """The probability from which on a class belongs to the set; 0 where rows are too few: every class.

    Parameters
    ----------
    truth : (V,) classes of the validation rows.
    probabilities : (V, K).
    """
    own = np.sort(probabilities[np.arange(len(truth)), truth])
    rank = int(np.floor((1 - SET_LEVEL) * (len(own) + 1) + 1e-9))
    return float(own[rank - 1]) if rank else 0.0


def measured(truth: Codes, probabilities: Shares, group: Codes, least: float) -> dict[str, float]:
    """How often the set holds the true class, with an interval, and how many classes it has.

    Parameters
    ----------
    truth : (N,). probabilities : (N, K). group : (N,) of each row. least : what `limit` gave.

    Returns
    -------
    A number for each of `COLUMNS`.
    """
    n = len(truth)
    inside = probabilities >= np.float32(least)
    hit, zero, rows = inside[np.arange(n), truth], np.zeros(n, np.int64), np.arange(n)
    _, own = np.unique(group, return_inverse=True)
    groups = int(own.max(initial=-1)) + 1
    one = np.zeros(1, np.int64)
    layout = Layout(own, zero, zero, groups, 1, 1, groups == n, one, one)
    low, high = Rates.of(layout, rows, zero, hit, 1).ends()
    found = (least, float(hit.mean()), low[0], high[0], float(inside.sum(axis=1).mean()))
    return dict(zip(COLUMNS, map(float, found), strict=True))
