"""Whether a classifier is worse on some of the images: the dark, the small, those of one source.

A slice is compared with the other images of the same classes, so that a hard class makes none. The
test is the score test of Mantel & Haenszel (1959, Journal of the National Cancer Institute 22:719)
with the variance of sums over groups, and Holm's correction (1979, Scandinavian Journal of
Statistics 6:65) over all slices that were looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from darkroom.evaluate import intervals

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

LEAST = 20  # groups (of a slice of one group: images); fewer tell too little
MOST_SOURCES = 20  # groups that are looked at as slices of their own, the largest


@dataclass(frozen=True)
class Slice:
    """Some of the images.

    Attributes
    ----------
    by : the property. name : its values.
    images : how many.
    accuracy, low, high : share right with its 95 % interval, which counts a group as one image.
    less : how much the share right is below that of other images of the same classes.
    p : of so much by chance. worse : whether it is beyond chance.
    """

    by: str
    name: str
    images: int
    accuracy: float
    low: float
    high: float
    less: float
    p: float
    worse: bool = False


def slices(
    right: Floats,
    label: Codes,
    group: Codes,
    names: Sequence[str],
    properties: Mapping[str, Floats],
) -> list[Slice]:
    """Scores of each third by each property, and of each large group.

    Parameters
    ----------
    right : (N,) share of runs that were right.
    label, group : (N,) codes.
    names : of the groups.
    properties : (N,) each; one that is unknown (NaN) of an image leaves that out.

    Returns
    -------
    Those that are worse beyond chance first, then by how much they are.
    """
    found = []
    for by, value in properties.items():
        known = np.isfinite(value)
        if not known.any():
            continue
        low, high = np.quantile(value[known], [1 / 3, 2 / 3], method="lower")
        for name, inside in (
            (f"up to {low:.4g}", value <= low),
            (f"above {low:.4g}, up to {high:.4g}", (value > low) & (value <= high)),
            (f"above {high:.4g}", value > high),
        ):
            found.append(_slice(by, name, inside[known], right[known], label[known], group[known]))
    size = np.bincount(group)
    for code in np.argsort(-size, kind="stable")[:MOST_SOURCES]:
        # what is asked is about this one group: its images are the units
        found += [_slice("group", names[code], group == code, right, label, None)]
    looked = sorted((one for one in found if one is not None), key=lambda one: one.p)
    out, open_ = [], True
    for i, one in enumerate(looked):
        open_ = open_ and one.p <= (1 - intervals.LEVEL) / (len(looked) - i)
        out.append(replace(one, worse=open_ and one.less > 0))
    return sorted(out, key=lambda one: (not one.worse, -one.less))


def _slice(
    by: str,
    name: str,
    inside: NDArray[np.bool_],
    right: Floats,
    label: Codes,
    group: Codes | None,
) -> Slice | None:
    """One slice; None where it or the rest is too small, or no class is on both sides."""
    n = int(inside.sum())
    unit = np.arange(len(right)) if group is None else np.unique(group, return_inverse=True)[1]
    units = len(np.unique(unit[inside]))
    count = np.maximum(np.bincount(label), 1)
    share = (np.bincount(label, inside) / count)[label]
    apart = inside - share
    spread = float((share * (1 - share)).sum())
    # that many units of equal weight would compare as well: few, where few of a class are apart
    weight = np.bincount(unit, apart**2)
    if units < LEAST or spread <= 0 or (equal := spread**2 / float((weight**2).sum())) < LEAST:
        return None
    off = right - (np.bincount(label, right) / count)[label]
    pull = np.bincount(unit, off * apart)
    error = float((pull**2).sum()) ** 0.5
    t = float(pull.sum()) / error if error > 0 else 0.0
    accuracy = float(right[inside].mean())
    bounds = intervals.rate(accuracy, units, np.inf)
    return Slice(
        by=by,
        name=name,
        images=n,
        accuracy=accuracy,
        low=float(bounds.low),
        high=float(bounds.high),
        less=-float(pull.sum()) / spread,
        p=float(2 * special.stdtr(equal - 1, -abs(t))),
    )
