"""How far a score may be off: 95 % intervals.

Every score is close to a sum of one number a row, its influence: how much the score moves with
that row. The influences of a group are added first, since images of a patient are not
independent. From the sums follow three variances:

- of the test images: the jackknife over groups (Bell & McCaffrey 2002, Survey Methodology
  28:169), with as many degrees of freedom as groups of unequal size leave, or for a mean loss its
  kurtosis;
- of the random starts, where there are several seeds: the variance of their mean, as if they
  were readers of the same images (Obuchowski & Rockette 1995, Communications in Statistics 24:285).
  It holds the luck of a start with an image, which the variance of the test images holds too and
  leaves out then;
- of the training images, where there are folds: the spread between folds that the rows do not
  explain, corrected for folds that share training rows (Nadeau & Bengio 2003, Machine Learning
  52:239).

The variance of the test images becomes bounds that hold near 0 and 1 too: of a rate by its
effective number of rows (Korn & Graubard 1998, Survey Methodology 24:193), of a mean of rates, and
of precision and F1, which two rates make, by MOVER (Zou & Donner 2008, Statistics in Medicine
27:1693), of an area under the ROC curve by a
score interval (Newcombe 2006, Statistics in Medicine 25:559). Then the other variances are added,
and the quantile is the mean of those of all sources, weighted by their variances (Cochran 1964,
Biometrics 20:191): Welch's degrees of freedom (1947, Biometrika 34:28) are too many by chance where
two or three starts seem alike, and such intervals held the truth 0.92 of the time.

`python -m benchmarks.coverage` measures how often the intervals hold the true value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

LEVEL = 0.95
LEAST_GROUPS = 5  # fewer do not tell how much groups differ
DOUBT = 5  # see `area`


@dataclass(frozen=True)
class Variance:
    """A variance of another source than the test images: (K,) each.

    Attributes
    ----------
    value : the variance.
    again : the part of the variance of the test images that it holds too.
    freedom : degrees of freedom that it is known with.
    """

    value: Floats
    again: Floats | float
    freedom: int


@dataclass(frozen=True)
class Bounds:
    """Bounds by the test images alone, and the degrees of freedom of their variance."""

    low: Floats
    high: Floats
    freedom: Floats


def quantile(freedom: ArrayLike) -> Floats:
    """The 97.5 % quantile of Student's t; of the normal distribution where `freedom` is infinite."""
    freedom = np.asarray(freedom, dtype=np.float64)
    t = special.stdtrit(np.clip(freedom, 1e-3, 1e9), (1 + LEVEL) / 2)
    return np.asarray(t, dtype=np.float64)


def welch(variance: Floats, freedom: Floats) -> float:
    """Degrees of freedom of the sum of variances."""
    doubt = float((variance**2 / freedom).sum())
    return float(variance.sum() ** 2 / doubt) if doubt else np.inf


def penalised(rows: ArrayLike, freedom: ArrayLike, most: ArrayLike) -> Floats:
    """An effective number of rows, made smaller for how badly it is known.

    Parameters
    ----------
    rows : that many independent rows would know a rate as well.
    freedom : with which that is known.
    most : rows there are.
    """
    t = quantile(freedom) / quantile(np.inf)
    return np.asarray(np.fmin(np.asarray(rows) / t**2, most) + 0 * t)


def rate(value: ArrayLike, rows: ArrayLike, freedom: ArrayLike) -> Bounds:
    """Bounds of a proportion: Jeffreys' interval, and the exact one where none or all are hits.

    As Brown, Cai & DasGupta (2001, Statistical Science 16:101) modify it.

    Parameters
    ----------
    value : proportion.
    rows : effective number of rows.
    freedom : with which it is known, see `penalised`; infinite where the rows are independent.
    """
    p, n = np.asarray(value, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    tail = (1 - LEVEL) / 2
    with np.errstate(divide="ignore"):
        least = tail ** (1 / n)
    low = special.betaincinv(p * n + 0.5, (1 - p) * n + 0.5, tail)
    high = special.betaincinv(p * n + 0.5, (1 - p) * n + 0.5, 1 - tail)
    low = np.where(p == 0, 0.0, np.where(p == 1, least, np.minimum(low, p))) + 0 * n
    high = np.where(p == 1, 1.0, np.where(p == 0, 1 - least, np.maximum(high, p))) + 0 * n
    return Bounds(low, high, np.asarray(freedom, np.float64))


def part_of_mean(value: ArrayLike, rows: ArrayLike, freedom: ArrayLike) -> Bounds:
    """Bounds of a proportion that is a part of a mean; parameters as those of `rate`.

    They are a little wider: mid-P (Lancaster 1961, Journal of the American Statistical
    Association 56:223). Means of many small parts by the bounds of `rate` hold too seldom.
    """
    p, n = np.asarray(value, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    hits, tail = p * n, (1 - LEVEL) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        none, least = (2 * tail) ** (1 / n), np.where(p == 1, 0.5, p)
        low = np.where(p == 1, none, _mid_p(least * n, n, tail))
        high = np.where(p == 0, 1 - none, 1 - _mid_p(n - np.where(p == 0, 0.5, p) * n, n, tail))
    return Bounds(
        np.where(p == 0, 0.0, low) + 0 * hits,
        np.where(p == 1, 1.0, high) + 0 * hits,
        np.asarray(freedom, np.float64),
    )


def _mid_p(hits: Floats, n: Floats, tail: float) -> Floats:
    """The share of hits at which more of them, and half of as many, have the chance `tail`.

    By Newton's steps from Jeffreys' bound, within the bounds of more hits and of no fewer.
    """
    misses = n - hits
    low = special.betaincinv(hits, misses + 1, tail)
    high = special.betaincinv(hits + 1, misses, tail)
    at = special.betaincinv(hits + 0.5, misses + 0.5, tail)
    scale = special.betaln(hits, misses + 1), special.betaln(hits + 1, misses)
    for _ in range(8):
        chance = special.betainc(hits, misses + 1, at) + special.betainc(hits + 1, misses, at)
        beyond = chance / 2 - tail
        low, high = np.where(beyond < 0, at, low), np.where(beyond < 0, high, at)
        of, off = np.log(at), np.log1p(-at)
        slope = np.exp((hits - 1) * of + misses * off - scale[0])
        slope += np.exp(hits * of + (misses - 1) * off - scale[1])
        step = at - 2 * beyond / slope
        inside = (step > low) & (step < high) | (abs(beyond) < 1e-12)
        at = np.where(inside, step, (low + high) / 2)
    return np.asarray(at)


def mover(
    value: float, weight: Floats, values: Floats, parts: Bounds, correlation: Floats
) -> Bounds:
    """Bounds of a weighted mean by the bounds of its parts.

    Parameters
    ----------
    value : the mean.
    weight : (K,) of each part.
    values : (K,) the parts.
    parts : (K,) their bounds.
    correlation : (K, K) of their errors.
    """
    below, above = weight * (values - parts.low), weight * (parts.high - values)
    low = value - max(0.0, float(below @ correlation @ below)) ** 0.5
    high = value + max(0.0, float(above @ correlation @ above)) ** 0.5
    size = below**2 + above**2
    freedom = welch(size, parts.freedom)
    return Bounds(np.asarray(low), np.asarray(high), np.asarray(freedom))


def area(
    value: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    variance: ArrayLike,
    supposed: float,
    freedom: ArrayLike,
) -> Bounds:
    """Bounds of areas under the ROC curve, or of the mean area of several classes.

    The true area is at most so far off that its own variance explains the distance (Newcombe's
    method 5). How the variance depends on the area is that of two normal distributions; how
    large it is, what the rows show, unless nearly all are in order: then they show little, and
    count beside `DOUBT` rows that vary as normal ones do.

    Parameters
    ----------
    value : (…) areas.
    positives, negatives : (…, C) rows of each class and of the rest.
    variance : (…) measured.
    supposed : how many times that of independent normal rows the variance is, as far as other than
        misplaced rows show it.
    freedom : (…) of the variance.
    """
    a = np.asarray(value, dtype=np.float64)
    m, n = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (1 / (m * n)).sum(axis=-1), ((m + n - 2) / (m * n)).sum(axis=-1)

    def expected(at: Floats) -> Floats:
        alike = at - 2 * special.owens_t(special.ndtri(at), 3**-0.5) - at**2
        pairs = at * (1 - at)
        return np.asarray((one * pairs + two * alike) / m.shape[-1] ** 2)

    with np.errstate(invalid="ignore", divide="ignore"):
        # of as many rows as know the area as well if classes were of one size
        misplaced = (1 - np.maximum(a, 1 - a)) * 4 * m.shape[-1] ** 2 / two
        weight = misplaced / (misplaced + DOUBT)
        measured = np.where(misplaced > 0, np.asarray(variance) / expected(a), 0.0)
        factor = (weight * measured + (1 - weight) * supposed) * quantile(freedom) ** 2
    ends = []
    for end in (0.0, 1.0):
        inside, outside = a.copy(), np.full(a.shape, end)
        for _ in range(30):
            middle = (inside + outside) / 2
            holds = (a - middle) ** 2 <= factor * expected(middle)
            inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
        ends.append(np.where(np.isnan(factor), np.nan, inside))
    return Bounds(ends[0], ends[1], np.asarray(freedom, np.float64))


def positive_mean(value: float, variance: float, freedom: float) -> Bounds:
    """Bounds of the mean of numbers that are not negative, on a logarithmic scale."""
    half = quantile(freedom) * np.sqrt(variance) / value if value > 0 else np.float64(0)
    return Bounds(value * np.exp(-half), value * np.exp(half), np.asarray(freedom))


def widened(
    value: Floats, bounds: Bounds, test: Floats, others: Sequence[Variance]
) -> tuple[Floats, Floats]:
    """Bounds by the test images, with the variances of other sources added.

    Parameters
    ----------
    value : what the bounds are of.
    bounds : by the test images.
    test : the variance of the test images; what the bounds make of it for either end is done to
        all that other variances hold of it.
    others : the variances.
    """
    t = quantile(bounds.freedom)
    ends = []
    for end, sign in ((bounds.low, -1), (bounds.high, 1)):
        own = (sign * (end - value) / t) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(test > 0, own / test, 0)
        for other in others:
            own = np.where(test > 0, own - ratio * np.minimum(other.again, test), own)
        own = np.maximum(own, 0)
        total, weighted = own.copy(), t * own
        for other in others:
            shared = np.minimum(other.value, other.again)
            added = ratio * shared + other.value - shared
            total, weighted = total + added, weighted + quantile(other.freedom) * added
        with np.errstate(invalid="ignore", divide="ignore"):
            half = np.where(total > 0, weighted / np.sqrt(total), 0 * total)
        ends.append(np.asarray(value + sign * half))
    return ends[0], ends[1]


def apart(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """The difference of two scores of different images, with its bounds by those of the two.

    Bounds as uneven as those of a rate near 1 stay so: MOVER for a difference (Zou & Donner 2008).

    Parameters
    ----------
    first, second : value, low, high.
    """
    (a, low_a, high_a), (b, low_b, high_b) = first, second
    below, above = np.hypot(a - low_a, high_b - b), np.hypot(high_a - a, b - low_b)
    return a - b, float(a - b - below), float(a - b + above)
