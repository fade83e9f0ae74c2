"""Cross-validation: each row is tested once or, with a given test set, validated once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError
from darkroom.machine.units import plural
from darkroom.split.assign import deal, reordered
from darkroom.split.groups import count_units
from darkroom.split.holdout import Cut, draw, keep_apart, refuse_empty
from darkroom.split.quotas import by_fractions, strata_of
from darkroom.split.rows import (
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    Ints,
    Rows,
    Split,
    have,
    no_part,
)


def folds(rows: Rows, spec: Split, k: int, notes: list[str]) -> dict[str, Ints]:
    """(N,) part of each row, by the name of each of k folds."""
    validation = float(spec["validation"])
    if spec["quotas"]:
        raise UserError(
            f"{rows.dataset}: split.quotas do not go together with split.folds; leave one out"
        )
    place = np.where(rows.used, rows.given, UNUSED)
    has_test = bool((place == TEST).any())
    if (place == VALIDATION).any():
        counted = plural((place == VALIDATION).sum(), "image")
        notes.append(f"with folds, the given validation set is pooled with training: {counted}")
    place[(place == VALIDATION) | (place == TRAIN)] = -1
    keep_apart(rows, place, TEST, notes)
    if has_test:
        counted = plural((place == TEST).sum(), "image")
        notes.append(
            f"the given test set ({counted}) is tested in every fold; part i of the others is "
            "the validation set of fold-i"
        )
    elif not validation:
        notes.append(no_part(VALIDATION))

    pool = place == -1
    stratum, names = strata_of(rows, spec["stratify"], {})
    strata = stratum[rows.label]
    part = np.full(len(place), -1)
    part[pool] = _folds_of(rows, pool, strata, names, k)
    places = {}
    for i in range(k):
        out = place.copy()
        out[pool] = np.where(part[pool] != i, TRAIN, VALIDATION if has_test else TEST)
        rest = out == TRAIN
        if not has_test and validation:
            n = np.bincount(strata[rest], minlength=len(names))
            want = by_fractions(n, n, 0.0, validation)
            where = f" outside the test part of fold-{i + 1}"
            cut = Cut(rest, strata, names, want, np.zeros(len(names), dtype=bool), where)
            out[rest] = draw(rows, cut, reordered(rows.key, i + 1))[rest]
        places[f"fold-{i + 1}"] = out
    return places


def _folds_of(rows: Rows, pool: NDArray[np.bool_], strata: Ints, names: list[str], k: int) -> Ints:
    """Index of each pool row's part, of k parts of equal size."""
    total = np.bincount(strata[pool], minlength=len(names))
    units = count_units(rows.unit[pool], strata[pool], len(names))
    refuse_empty(rows, total, names)
    for s in np.flatnonzero(units < k):
        lower = f"set split.folds to at most {units[s]}, " if units[s] > 1 else ""
        raise UserError(
            f"{rows.dataset}: {names[s]} has {have(rows, total[s], units[s])}, and {k} folds need "
            f"at least {k}; {lower}add images, or merge or leave out the class (classes)"
        )
    # The extra rows of each class go to the next folds in turn, for folds of equal size.
    extra = total % k
    turn = (np.arange(k)[None] - (np.cumsum(extra) - extra)[:, None]) % k
    want = total[:, None] // k + (turn < extra[:, None])
    part = deal(rows.unit[pool], strata[pool], want, rows.key[pool])
    filled = np.zeros_like(want)
    np.add.at(filled, (strata[pool], part), 1)
    for s, i in np.argwhere(filled == 0):
        raise UserError(
            f"{rows.dataset}: {names[s]} cannot be in each of {k} folds with its groups whole "
            f"(fold-{i + 1} has none); set split.folds lower, or give a finer group"
        )
    return part
