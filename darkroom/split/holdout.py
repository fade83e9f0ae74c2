"""One split into training, validation and test; given parts are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError
from darkroom.machine.units import plural
from darkroom.split.assign import deal
from darkroom.split.groups import count_units
from darkroom.split.quotas import by_class, by_fractions, by_quota, strata_of, thin_given
from darkroom.split.rows import (
    PARTS,
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


@dataclass(frozen=True)
class Cut:
    """Wanted counts of each part, by stratum, for the rows without a fixed part.

    Attributes
    ----------
    free : (N,) bool, rows without a fixed part.
    stratum : (N,) stratum of each row.
    names : S names of the strata, for messages.
    want : (S, 4) rows of each stratum for each of PARTS; each line sums to its free rows.
    quota : (S,) bool, whether a quota sets the counts instead of fractions.
    where : phrase for messages.
    """

    free: NDArray[np.bool_]
    stratum: Ints
    names: list[str]
    want: Ints
    quota: NDArray[np.bool_]
    where: str

    def filled(self, place: Ints) -> Ints:
        """(S, 4) free rows of each stratum in each part."""
        out = np.zeros_like(self.want)
        np.add.at(out, (self.stratum[self.free], place[self.free]), 1)
        return out


def holdout(rows: Rows, spec: Split, notes: list[str]) -> Ints:
    """(N,) part of each row, for one split."""
    place = np.where(rows.used, rows.given, UNUSED)
    has_test = bool((place == TEST).any())
    keep_apart(rows, place, TEST, notes)
    has_validation = bool((place == VALIDATION).any())
    keep_apart(rows, place, VALIDATION, notes)
    for part, has in ((TEST, has_test), (VALIDATION, has_validation)):
        if has:
            counted = plural((place == part).sum(), "image")
            notes.append(f"the given {PARTS[part]} set stays: {counted}")
    if (has_test or has_validation) and (place == -1).any():
        counted = plural((place == -1).sum(), "image")
        notes.append(f"{counted} without a given place are taken as training images")
    test = 0.0 if has_test else float(spec["test"])
    validation = 0.0 if has_validation else float(spec["validation"])
    if has_test and validation:
        notes.append(f"no validation set is given: {validation:.0%} of the training images are cut")
    if has_validation and test:
        notes.append(
            f"a validation set is given but no test set: {test:.0%} of all images are cut from "
            "training as the test set"
        )
    quotas = by_class(rows, spec)
    for part, has in ((TEST, has_test), (VALIDATION, has_validation)):
        if has:
            thin_given(rows, place, part, quotas)

    k = len(rows.classes)
    free = (place == -1) | (place == TRAIN)
    stratum, names = strata_of(rows, spec["stratify"], quotas)
    strata = stratum[rows.label]
    total = np.bincount(strata[free], minlength=len(names))
    whole = total + np.bincount(strata[place == VALIDATION], minlength=len(names))
    want = by_fractions(total, whole, test, validation)
    has_quota = np.zeros(len(names), dtype=bool)
    count = np.bincount(rows.label[free], minlength=k)
    for c, quota in quotas.items():
        has_quota[stratum[c]] = True
        fixed = {part for part, has in ((TEST, has_test), (VALIDATION, has_validation)) if has}
        want[stratum[c]] = by_quota(rows, c, quota, int(count[c]), fixed, test, validation)
    for part, has in ((TEST, has_test), (VALIDATION, has_validation)):
        if not has and not want[:, part].any():
            notes.append(no_part(part))
    if not (has_test or has_validation or want[:, VALIDATION : TEST + 1].any()):
        raise UserError(
            f"{rows.dataset}: split.test and split.validation leave nothing to evaluate on; raise "
            "one of them"
        )
    cut = Cut(free, strata, names, want, has_quota, "")
    place[free] = draw(rows, cut, rows.key)[free]
    note_missed(cut, place, notes)
    bases = {TEST: (test, whole.sum()), VALIDATION: (validation, (total - want[:, TEST]).sum())}
    for part, (fraction, base) in bases.items():
        wanted = want[:, part].sum()
        if fraction and not quotas and wanted > 1.1 * fraction * base + 1:
            notes.append(
                f"{PARTS[part]} is {wanted / base:.0%} instead of {fraction:.0%}, as each class "
                "has at least one image there"
            )
    return place


def draw(rows: Rows, cut: Cut, key: NDArray[np.uint64]) -> Ints:
    """(N,) part of each free row, with every wanted part filled; other entries are undefined."""
    free = cut.free
    images = np.bincount(cut.stratum[free], minlength=len(cut.names))
    units = count_units(rows.unit[free], cut.stratum[free], len(cut.names))
    refuse_empty(rows, images, cut.names)
    needed = cut.want[:, :UNUSED] > 0
    needed[:, TRAIN] = True
    for s in np.flatnonzero(units < needed.sum(axis=1)):
        parts = [PARTS[p] for p in np.flatnonzero(needed[s])]
        keys = " or ".join(f"split.{p}" for p in parts if p != "train")
        remedy = "lower its quotas" if cut.quota[s] else f"set {keys} to 0"
        raise UserError(
            f"{rows.dataset}: {cut.names[s]} has {have(rows, images[s], units[s])}{cut.where}, and "
            f"{', '.join(parts[:-1])} and {parts[-1]} need at least {len(parts)}; add images, merge "
            f"or leave out the class (classes), or {remedy}"
        )
    place = np.zeros(len(free), dtype=np.int64)
    place[free] = deal(rows.unit[free], cut.stratum[free], cut.want, key[free])
    for s, p in np.argwhere(needed & (cut.filled(place)[:, :UNUSED] == 0)):
        raise UserError(
            f"{rows.dataset}: {cut.names[s]} has {have(rows, images[s], units[s])}{cut.where}, and "
            f"with groups whole none is left for {PARTS[p]} ({cut.want[s, p]:,} wanted); give a "
            "finer group, or change split's fractions"
        )
    return place


def refuse_empty(rows: Rows, images: Ints, names: list[str]) -> None:
    """Raise UserError for a stratum without free images."""
    for s in np.flatnonzero(images == 0):
        raise UserError(
            f"{rows.dataset}: {names[s]} has no image to train on: all are in given test or "
            "validation sets, or unused; leave the class out (classes), or set split.given: ignore"
        )


def keep_apart(rows: Rows, place: Ints, part: int, notes: list[str]) -> None:
    """Set rows unused whose unit also has rows given as `part`; in place."""
    held = np.zeros(rows.unit.max() + 1, dtype=bool)
    held[rows.unit[place == part]] = True
    weaker = (-1, TRAIN, VALIDATION) if part == TEST else (-1, TRAIN)
    lose = held[rows.unit] & np.isin(place, weaker)
    if lose.any():
        place[lose] = UNUSED
        why = "copies, or of one group," if rows.grouped else "copies"
        notes.append(
            f"{plural(lose.sum(), 'image')} unused: {why} with images given as {PARTS[part]}"
        )


def note_missed(cut: Cut, place: Ints, notes: list[str]) -> None:
    """Note counts that whole groups moved away from a quota, or by over 5 % from a fraction."""
    filled = cut.filled(place)
    limit = np.where(cut.quota, 0.0, np.maximum(0.05 * cut.want.sum(axis=1), 1.0))
    missed = np.argwhere(np.abs(filled - cut.want) > limit[:, None])
    words = [
        f"{cut.names[s]} {PARTS[p]} {filled[s, p]:,} (wanted {cut.want[s, p]:,})"
        for s, p in missed[:8]
    ]
    if words:
        more = f" and {len(missed) - 8} more" if len(missed) > 8 else ""
        notes.append(f"as near as whole groups allow: {', '.join(words)}{more}")
