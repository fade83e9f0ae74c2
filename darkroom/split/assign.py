"""Assign units in a random order so that each part gets its wanted count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom.split.rows import UNUSED, Ints

if TYPE_CHECKING:
    import pandas as pd


def random_order(path: pd.Series, seed: int) -> NDArray[np.uint64]:
    """(N,) random order of the rows; depends only on the seed and the paths."""
    from pandas.util import hash_array

    salt = f"{seed % 10**16:016d}"
    return hash_array(path.to_numpy(dtype=object), hash_key=salt, categorize=False)


def reordered(key: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Another random order, for example of a fold (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = key + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def deal(unit: Ints, stratum: Ints, want: Ints, key: NDArray[np.uint64]) -> Ints:
    """Place whole units so that each stratum fills its parts with the wanted counts.

    Units of several strata go first, largest first, each to the part where it most reduces
    Σ (filled − wanted)² / (wanted · n) over its strata: the greedy rule of scikit-learn's
    StratifiedGroupKFold, for parts of unequal size. Units of one stratum and size are dealt
    in proportion to the rows that each part still lacks.

    Parameters
    ----------
    unit : (N,) int64, unit of each row.
    stratum : (N,) int64, stratum of each row.
    want : (S, P) int64, rows of each stratum for each part; each line sums to the stratum's rows.
    key : (N,) uint64, random order.

    Returns
    -------
    (N,) int64, part of each row. The counts are exact where every unit is one row.
    """
    strata, parts = want.shape
    n = len(unit)
    place = np.zeros(n, dtype=np.int64)
    if n == 0 or np.bincount(unit).max() == 1:
        order = np.lexsort((key, stratum))
        place[order] = np.repeat(np.tile(np.arange(parts), strata), want.ravel())
        return place

    by_unit = np.lexsort((stratum, unit))
    starts = np.flatnonzero(np.r_[True, np.diff(unit[by_unit]) != 0])
    size = np.diff(np.r_[starts, n])
    sorted_stratum = stratum[by_unit]
    first, last = sorted_stratum[starts], sorted_stratum[starts + size - 1]
    rank = np.minimum.reduceat(key[by_unit], starts)
    chosen = np.zeros(len(starts), dtype=np.int64)
    filled = np.zeros_like(want)
    weight = 1.0 / (np.maximum(want, 0.5) * np.maximum(want.sum(axis=1, keepdims=True), 1))
    closed = want.sum(axis=0) == 0

    mixed = np.flatnonzero(first != last)
    for u in mixed[np.lexsort((rank[mixed], -size[mixed]))]:
        mine = sorted_stratum[starts[u] : starts[u] + size[u]]
        s, c = np.unique(mine, return_counts=True)
        gap = filled[s] - want[s]
        cost = ((c[:, None] ** 2 + 2 * c[:, None] * gap) * weight[s]).sum(axis=0)
        p = int(np.where(closed, np.inf, cost).argmin())
        chosen[u] = p
        filled[s, p] += c

    pure = np.flatnonzero(first == last)
    pure = pure[np.lexsort((rank[pure], -size[pure], first[pure]))]
    edge = np.flatnonzero(np.r_[True, (np.diff(first[pure]) != 0) | (np.diff(size[pure]) != 0)])
    for a, b in zip(edge, np.r_[edge[1:], len(pure)], strict=True) if len(pure) else ():
        s, each = first[pure[a]], size[pure[a]]
        lack = np.maximum(want[s] - filled[s], 0)
        share = (b - a) * lack // max(lack.sum(), 1)
        for _ in range(b - a - share.sum()):
            cost = (each + 2.0 * (filled[s] + each * share - want[s])) * weight[s]
            share[np.where(want[s] > 0, cost, np.inf).argmin()] += 1
        chosen[pure[a:b]] = np.repeat(np.arange(parts), share)
        filled[s] += each * share

    _fill_empty(chosen, want, filled, starts, size, sorted_stratum)
    place[by_unit] = np.repeat(chosen, size)
    return place


def _fill_empty(
    chosen: Ints, want: Ints, filled: Ints, starts: Ints, size: Ints, stratum: Ints
) -> None:
    """Give a part without rows of a stratum the smallest unit that can be spared; in place.

    Needed only where a class has a few large groups and a fraction is small.
    """
    for s, p in np.argwhere((want > 0) & (filled == 0)):
        if p == UNUSED and want.shape[1] == 4:
            continue
        holds = np.flatnonzero(np.add.reduceat((stratum == s).astype(int), starts) > 0)
        for u in holds[np.argsort(size[holds], kind="stable")]:
            c = np.bincount(stratum[starts[u] : starts[u] + size[u]], minlength=len(want))
            if ((filled[:, chosen[u]] - c)[c > 0] > 0).all():
                filled[:, chosen[u]] -= c
                filled[:, p] += c
                chosen[u] = p
                break
