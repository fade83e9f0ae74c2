"""Whether one classifier is better than another, or whether chance may explain it.

Compared is balanced accuracy, which the validation images choose by too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special  # not scipy.stats, which takes a second to load

from darkroom.evaluate.intervals import LEAST_GROUPS, LEVEL

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["better", "worse", "alike", "unknown"]

FEW = 25  # groups that the two differ on, below which the exact test is asked too


@dataclass(frozen=True)
class Difference:
    """Balanced accuracy of one less that of another on the same rows.

    Attributes
    ----------
    mean, low, high : the difference and its 95 % interval; NaN where it cannot be given.
    p : probability of so large a difference between equals.
    rows : that both predicted.
    discordant : rows on which they differ.
    started : whether the luck of random starts is in the interval, or is common to both.
    """

    mean: float
    low: float
    high: float
    p: float
    rows: int
    discordant: int
    started: bool


def difference(
    first: pd.Series,
    second: pd.Series,
    rows: pd.DataFrame,
    seeds: tuple[Sequence[float], Sequence[float]] | None,
) -> Difference | None:
    """Compare two classifiers on the rows that both predicted.

    The same rows make most of the luck common to both, so the paired difference is
    narrower than two overlapping intervals suggest. Its variance is that of sums over groups.
    Where a network was trained from several random starts, what they differ by is luck too: the
    variance of their mean is added, with Welch's degrees of freedom. So is what folds differ by
    beyond their rows, for their common training rows (see `intervals`). Where the two differ on
    few groups, the exact test of McNemar (1947, Psychometrika 12:153) on these is asked too, and
    the larger p holds.

    Parameters
    ----------
    first, second : share of runs that were right, indexed by row.
    rows : by row, `class`, `group` and `fold`.
    seeds : balanced accuracy of each random start of the first and of the second, nothing of
        one that has none; None where both stand on the same networks, whose luck is common to
        them.
    """
    common = first.index.intersection(second.index)
    if not len(common):
        return None
    d = first.loc[common].to_numpy(float) - second.loc[common].to_numpy(float)
    about = rows.loc[common]
    _, label = np.unique(about["class"].to_numpy(), return_inverse=True)
    _, group = np.unique(about["group"].to_numpy().astype(str), return_inverse=True)
    names, fold = np.unique(about["fold"].to_numpy().astype(str), return_inverse=True)
    count = np.bincount(label)
    weight = 1 / (len(count) * count[label])
    mean = float(weight @ d)
    influence = weight * (d - (np.bincount(label, d) / count)[label])
    sums, share = np.bincount(group, influence), np.bincount(group, weight)
    equal = 1 / float((share**2).sum())
    alone = len(sums) == len(d)
    with np.errstate(divide="ignore", invalid="ignore"):
        test = float(((sums / (1 - share)) ** 2).sum()) * (1 - 1 / len(sums))
    parts = [(test, test**2 / max(equal - 1, 1))]
    for values in seeds or ():
        if len(values) > 1:
            v = float(np.var(values, ddof=1)) / len(values)
            parts.append((v, v**2 / (len(values) - 1)))
    if (f := len(names)) > 1:
        spread = float(np.var(f * np.bincount(fold, influence), ddof=1))
        v = max(spread - f * test, 0.0) * (1 / f + 1 / (f - 1))
        parts.append((v, v**2 / (f - 1)))
    started = seeds is None or all(len(values) != 1 for values in seeds)
    low, high, p = mean, mean, 1.0
    variance = sum(v for v, _ in parts)
    if variance > 0:
        freedom = variance**2 / sum(doubt for _, doubt in parts)
        half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(variance)
        low, high = mean - half, mean + half
        p = float(2 * special.stdtr(freedom, -abs(mean) / math.sqrt(variance)))
    signs = np.bincount(group, weight * d)
    ups, downs = int((signs > 1e-12).sum()), int((signs < -1e-12).sum())
    if 0 < ups + downs < FEW:
        exact, least, most = sign_test(ups, ups + downs)
        p = max(p, exact) if variance > 0 else exact
        reach = float(np.abs(signs).sum())
        low, high = min(low, (2 * least - 1) * reach), max(high, (2 * most - 1) * reach)
    if not alone and equal < LEAST_GROUPS:
        low, high, p = math.nan, math.nan, math.nan
    return Difference(mean, low, high, p, len(d), int((abs(d) > 1e-9).sum()), started)


def sign_test(ups: int, of: int) -> tuple[float, float, float]:
    """The exact test of whether a coin is fair, and the exact interval of its share.

    Parameters
    ----------
    ups : how often one side came up; here, of the groups that differ those that favour the first.
    of : throws.

    Returns
    -------
    Two-sided p, and both ends of the interval (Clopper & Pearson 1934, Biometrika 26:404).
    """
    tail = (1 - LEVEL) / 2
    p = min(1.0, 2 * float(special.bdtr(min(ups, of - ups), of, 0.5)))
    low = float(special.betaincinv(ups, of - ups + 1, tail)) if ups else 0.0
    high = float(special.betaincinv(ups + 1, of - ups, 1 - tail)) if ups < of else 1.0
    return p, low, high


def verdicts(differences: Sequence[Difference | None]) -> list[Verdict | None]:
    """What may be said of each of several differences together.

    `better` and `worse` are both right with 95 % probability for all of them together (Holm
    1979, Scandinavian Journal of Statistics 6:65); `alike` where chance may explain it;
    `unknown` where a recipe was trained from one random start, whose luck nothing tells, or where
    there are too few groups.
    """
    known = [i for i, d in enumerate(differences) if d and d.started and not math.isnan(d.p)]
    out: list[Verdict | None] = [None if d is None else "unknown" for d in differences]
    left, open_ = len(known), True
    for i in sorted(known, key=lambda i: differences[i].p):  # type: ignore[union-attr]
        d = differences[i]
        assert d is not None
        open_ = open_ and d.p <= (1 - LEVEL) / left
        left -= 1
        out[i] = ("better" if d.mean > 0 else "worse") if open_ else "alike"
    return out
