"""Wanted counts of each part: by fractions, equal for all classes, or by quotas of a class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError, nearest
from darkroom.machine.units import plural
from darkroom.split.assign import deal
from darkroom.split.rows import (
    PARTS,
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    Ints,
    Quota,
    Rows,
    Split,
)


def strata_of(rows: Rows, stratify: bool, own: Iterable[int]) -> tuple[Ints, list[str]]:
    """Stratum of each class, and the name of each stratum for messages.

    Without `stratify`, all classes are one stratum, except the classes `own` with a quota.
    """
    k = len(rows.classes)
    if stratify:
        return np.arange(k), [f"class {name!r}" for name in rows.classes]
    own = sorted(own)
    stratum = np.full(k, len(own), dtype=np.int64)
    stratum[own] = np.arange(len(own))
    names = [f"class {rows.classes[c]!r}" for c in own]
    return stratum, names if len(own) == k else [*names, "the data set"]


def by_fractions(total: Ints, whole: Ints, test: float, validation: float) -> Ints:
    """(S, 4) wanted rows of each stratum by fractions; each part with a fraction gets a row.

    With fewer rows than parts, train is 0 or less, and `draw` raises for the stratum.
    """
    tests = np.minimum(apportion(test * whole), total)
    validations = np.maximum(apportion(validation * (total - tests)), int(validation > 0))
    want = np.stack([total - tests - validations, validations, tests, 0 * total], axis=1)
    for s in np.flatnonzero((want[:, TRAIN] < 1) & (total > 0)):
        while want[s, TRAIN] < 1 and want[s, 1:3].max() > 1:
            want[s, 1 + want[s, 1:3].argmax()] -= 1
            want[s, TRAIN] += 1
    return want


def apportion(ideal: NDArray[np.floating[Any]]) -> Ints:
    """Whole numbers near `ideal` whose sum is the rounded sum (largest remainders), none 0."""
    low = np.floor(ideal + 1e-9).astype(np.int64)
    short = int(np.rint(ideal.sum())) - int(low.sum())
    most = np.argsort(low - ideal, kind="stable")[: max(short, 0)]
    low[most] += 1
    return np.where(ideal > 0, np.maximum(low, 1), 0)


def by_class(rows: Rows, spec: Split) -> dict[int, Quota]:
    """Quotas by the number of the class.

    Raises
    ------
    UserError
        A quota is for an unknown class.
    """
    quotas = {}
    for name, quota in spec["quotas"].items():
        if name not in rows.classes:
            raise UserError(
                f"{rows.dataset}: split.quotas: there is no class {name!r}"
                f"{nearest(name, rows.classes)}"
            )
        quotas[rows.classes.index(name)] = quota
    return quotas


def by_quota(
    rows: Rows,
    c: int,
    quota: Quota,
    n: int,
    fixed: set[int],
    test: float,
    validation: float,
) -> Ints:
    """(4,) wanted rows of a class with a quota, out of its `n` rows without a fixed part."""
    wanted = {p: quota.get(PARTS[p]) for p in (TRAIN, VALIDATION, TEST) if p not in fixed}
    counts = {part: a for part, a in wanted.items() if isinstance(a, int)}
    if sum(counts.values()) > n:
        wish = ", ".join(f"{a:,} {PARTS[part]}" for part, a in counts.items())
        raise UserError(
            f"{rows.dataset}: split.quotas wants {wish} images of class {rows.classes[c]!r}, "
            f"which has {n:,} left; lower the numbers"
        )
    want = np.zeros(4, dtype=np.int64)
    for part, a in counts.items():
        want[part] = a
    left = n - want.sum()
    if TEST in wanted and wanted[TEST] is None:
        want[TEST] = min(left, apportion(np.array([test * n]))[0])
        left -= want[TEST]
    rest = next((part for part, a in wanted.items() if a == "rest"), None)
    if rest is None:
        rest = TRAIN if wanted[TRAIN] is None else UNUSED
    want[rest] += left
    if VALIDATION in wanted and wanted[VALIDATION] is None and want[TRAIN] > 1:
        want[VALIDATION] = apportion(np.array([validation * want[TRAIN]]))[0]
        want[TRAIN] -= want[VALIDATION]
    if want[TRAIN] < 1:
        raise UserError(
            f"{rows.dataset}: split.quotas leaves class {rows.classes[c]!r} ({plural(n, 'image')}) "
            "without a training image; set a number for train, or lower the others"
        )
    return want


def thin_given(rows: Rows, place: Ints, part: int, quotas: dict[int, Quota]) -> None:
    """Choose a quota's images among those given as `part`; the others become unused; in place."""
    for c, quota in quotas.items():
        wanted = quota.get(PARTS[part])
        if not isinstance(wanted, int):
            continue
        mine = (place == part) & (rows.label == c)
        there = int(mine.sum())
        if wanted > there:
            raise UserError(
                f"{rows.dataset}: split.quotas wants {wanted:,} {PARTS[part]} images of class "
                f"{rows.classes[c]!r}, but its given {PARTS[part]} set has {there:,}; lower the "
                "number, or set split.given: ignore"
            )
        want = np.array([[wanted, there - wanted]])
        drawn = deal(rows.unit[mine], np.zeros(there, np.int64), want, rows.key[mine])
        place[mine] = np.where(drawn == 0, part, UNUSED)
