"""Which row is for training, which for validation and which for the test.

What is drawn are units: a row by itself, or all rows of a group and of exact duplicates.
A unit never stands on two sides. Units of one class and size are dealt out in proportion,
so that large groups do not all end in training, and what is left over goes where it is
missed most; with units of one row the counts are exact. The drawing depends on the seed
and on the paths, not on the order of the rows, and one more image moves few others.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError, nearest
from darkroom.machine import disk

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

PARTS = ("train", "validation", "test", "unused")
TRAIN, VALIDATION, TEST, UNUSED = range(4)
MOST_CLASSES = np.iinfo(np.int16).max
SHOWN = 30  # classes in the log's table

Ints = NDArray[np.int64]


def write_splits(manifest: str, output: str, *, indices: str, cfg: dict[str, Any]) -> None:
    """Split the usable rows of a manifest and tell the counts by class and part.

    Without given places, by fractions: `test` of all rows, then `validation` of the rest,
    each class alike (`stratify`). A given test set stays the test set and a missing
    validation set is cut from training; given validation without a test is not taken for
    one: a test set is cut from the training rows by `test`. `given: ignore` draws anew;
    `given: {validation: test}` takes the source's validation set for the test set.

    With `folds: k`, fold-i tests part i and its validation rows are cut from the others;
    with a given test set that set is tested in every fold and part i is the validation
    set. Given validation rows are then pooled with the training rows.

    With a quota, a class has so many images in a part, `rest` being what is left.
    Validation, unless named, is cut from the class' training images by the fraction, so
    that `train: 300` counts both; an unnamed test takes its fraction; an unnamed training
    part takes what is left; what nobody takes is unused. Within a given test or
    validation set a quota chooses among its images only.

    Rows of exact duplicates whose classes differ are unused. Where given places separate
    duplicates or a group, the test's (then the validation's) rows stay and the others
    are unused.

    Parameters
    ----------
    manifest : `manifest.parquet`. output : `splits.parquet`, as in docs/formats.md.
    indices : `class_indices.json`, the number of each class for a person to look up.
    cfg : `dataset` (name), `classes` (final name to source labels, in order; None: all),
        `split` (given, validation, test, folds, stratify, seed, quotas).

    Raises
    ------
    UserError
        For a request that the images cannot meet: class, count, need and remedy.
    """
    import pyarrow.parquet as pq

    columns = ["row", "path", "label", "group", "split", "sha256", "status"]
    table = pq.read_table(manifest, columns=columns).to_pandas()
    plan = _plan(table, cfg, cfg["dataset"])
    _write(plan, output)
    numbers = {name: number for number, name in enumerate(plan.classes)}
    text = json.dumps(numbers, ensure_ascii=False, indent=1) + "\n"
    with disk.whole(indices) as part:
        part.write_text(text, encoding="utf-8")
    _tell(plan, cfg["dataset"])


def check(table: pd.DataFrame, *, cfg: dict[str, Any], dataset: str) -> dict[str, set[str]]:
    """Try a split on a listing, before anything runs.

    Parameters
    ----------
    table : columns `path`, `label`, `group`, `split` (null where unknown); a manifest's
        `sha256` and `status` are read too where they exist.
    cfg : as for `write_splits`. dataset : name for the message.

    Returns
    -------
    For each fold the parts that have rows.

    Raises
    ------
    UserError
        As `write_splits`. Only what duplicates and unusable files change stays unseen.
    """
    plan = _plan(table, cfg, dataset)
    return {fold: set(plan.frame[fold]) for fold in plan.folds}


# ---------------------------------------------------------------- the plan


@dataclass(frozen=True)
class _Rows:
    """The rows to be placed: parallel arrays of length N, and what messages need."""

    dataset: str
    classes: list[str]
    label: Ints  # class
    unit: Ints  # 0 … U-1
    given: Ints  # index into PARTS, -1 where none
    used: NDArray[np.bool_]  # False: contradicting duplicates
    key: NDArray[np.uint64]  # random order
    grouped: bool


@dataclass(frozen=True)
class _Plan:
    frame: pd.DataFrame
    classes: list[str]
    folds: list[str]
    notes: list[str]


def _plan(table: pd.DataFrame, cfg: dict[str, Any], dataset: str) -> _Plan:
    import pandas as pd

    spec, notes = cfg["split"], list[str]()
    classes, label = _classes(table, cfg["classes"], dataset, notes)
    kept = label >= 0
    table, label = table[kept].reset_index(drop=True), label[kept]
    sha = table["sha256"] if "sha256" in table else pd.Series([None] * len(table), dtype=object)
    unit = _units(table["group"], sha)
    used = ~_contradicting(sha, label)
    if not used.all():
        notes.append(
            f"{_count((~used).sum(), 'image')} unused: exact duplicates with contradicting labels"
        )
    names = {part: i for i, part in enumerate(PARTS[:3])}
    moved = spec["given"] if isinstance(spec["given"], dict) else {}
    for part, to in moved.items():
        n = int((table["split"] == part).sum())
        if not n:
            raise UserError(f"{dataset}: split.given: the source gives no {part} set")
        notes.append(f"the source's {part} set ({_count(n, 'image')}) is taken as {to}")
    names |= {part: names[to] for part, to in moved.items()}
    given = np.asarray(table["split"].map(names).fillna(-1), dtype=np.int64)
    if spec["given"] == "ignore":
        if (given >= 0).any():
            notes.append("the source's own split is ignored")
        given = np.full(len(table), -1, dtype=np.int64)
    keys = _keys(table["path"], int(spec["seed"]))
    grouped = bool(table["group"].notna().any())
    rows = _Rows(dataset, classes, label, unit, given, used, keys, grouped)
    for c in np.flatnonzero(np.bincount(label[used], minlength=len(classes)) == 0):
        raise UserError(
            f"{dataset}: class {classes[c]!r} has no usable image that is not a duplicate with "
            "a contradicting label; leave it out of classes, or mend its files"
        )
    one = not spec["folds"]
    places = {"holdout": _holdout(rows, spec, notes)} if one else _fold(rows, spec, notes)
    for fold, place in places.items():
        _every_class_trains(rows, place, fold, spec)
    _tell_gaps(rows, places, notes)

    words = np.array(PARTS, dtype=object)
    frame = pd.DataFrame(
        {
            "row": table["row"] if "row" in table else np.arange(len(table)),
            "label": np.array(classes, dtype=object)[label],
            "class": label.astype(np.int16),
            "group": _names(table, unit),
            "given": table["split"],
            **{fold: words[place] for fold, place in places.items()},
        }
    )
    return _Plan(frame, classes, list(places), notes)


def _classes(
    table: pd.DataFrame, chosen: dict[str, list[str]] | None, dataset: str, notes: list[str]
) -> tuple[list[str], Ints]:
    """Final class names and each row's class; -1: unusable, without a label, not chosen."""
    import pandas as pd

    codes, found = pd.factorize(table["label"])
    known = [str(name) for name in found]
    usable = codes >= 0
    if "status" in table:
        usable &= (table["status"] != "unusable").to_numpy(dtype=bool)
    images = np.bincount(codes[usable], minlength=len(known))
    if chosen is None:
        present = [name for name, n in zip(known, images, strict=True) if n]
        chosen = {name: [name] for name in sorted(present, key=_natural)}
    classes = list(chosen)
    if len(classes) < 2:
        there = f"only {classes[0]!r}" if classes else "none"
        raise UserError(
            f"{dataset}: at least two classes are needed, and its images have {there}; see "
            "layout and classes for where labels are read from"
        )
    if len(classes) > MOST_CLASSES:
        raise UserError(
            f"{dataset}: {len(classes):,} classes are more than {MOST_CLASSES:,}; the labels look "
            "like file names: see layout for where they are read from"
        )
    index = dict(zip(known, range(len(known)), strict=True))
    target = np.full(len(known) + 1, -1, dtype=np.int64)  # the last one: rows without a label
    for c, labels in enumerate(chosen.values()):
        for name in labels:
            if name not in index:
                raise UserError(
                    f"{dataset}: classes: no image has the label {name!r}{nearest(name, known)}"
                )
            target[index[name]] = c
        if not sum(images[index[name]] for name in labels):
            raise UserError(
                f"{dataset}: class {classes[c]!r} has no usable image; leave it out of classes, "
                "or mend its files"
            )
    out = [i for i in range(len(known)) if target[i] < 0 and images[i]]
    if out:
        out.sort(key=lambda i: _natural(known[i]))
        some = ", ".join(f"{known[i]} ({images[i]:,})" for i in out[:10])
        more = f" and {len(out) - 10} more" if len(out) > 10 else ""
        notes.append(
            f"left out, as classes does not choose {'it' if len(out) == 1 else 'them'}: {some}{more}"
        )
    return classes, np.where(usable, target[codes], -1)


def _units(group: pd.Series, sha: pd.Series) -> Ints:
    """One number for all rows that an equal group or equal bytes hold together."""
    import pandas as pd

    codes, names = pd.factorize(group)
    code = codes.astype(np.int64)
    alone = code < 0
    code[alone] = len(names) + np.arange(alone.sum())
    same = (sha.notna() & sha.duplicated(keep=False)).to_numpy(dtype=bool)
    if same.any():
        parent = np.arange(code.max() + 1).tolist()

        def root(x: int) -> int:
            while parent[x] != x:
                parent[x] = parent[parent[x]]
                x = parent[x]
            return x

        first: dict[str, int] = {}
        for digest, x in zip(sha[same], code[same].tolist(), strict=True):
            parent[root(x)] = root(first.setdefault(digest, x))
        code = np.array([root(x) for x in range(len(parent))])[code]
    return pd.factorize(code)[0].astype(np.int64)


def _names(table: pd.DataFrame, unit: Ints) -> NDArray[np.object_]:
    """A name for each unit: its first group's, or its first path."""
    import pandas as pd

    path = table["path"].to_numpy(dtype=object)
    named = table["group"].notna().to_numpy(dtype=bool)
    name = np.where(named, table["group"].to_numpy(dtype=object), path)
    # Of a unit, the rows with a group come first, then by name.
    order = np.lexsort((pd.factorize(name, sort=True)[0], ~named, unit))
    first = order[np.r_[True, np.diff(unit[order]) != 0]]
    names = name[first]
    if len(set(names)) < len(names):  # a group is named like another row's path
        names = np.array([f"{n} ({path[i]})" for n, i in zip(names, first, strict=True)])
    return np.asarray(names[unit], dtype=object)


def _contradicting(sha: pd.Series, label: Ints) -> NDArray[np.bool_]:
    """Rows whose bytes are also found in another class."""
    import pandas as pd

    classes = pd.Series(label, index=sha.index).groupby(sha).agg(["min", "max"])
    bad = classes.index[classes["min"] != classes["max"]]
    return sha.isin(bad).to_numpy(dtype=bool)


def _keys(path: pd.Series, seed: int) -> NDArray[np.uint64]:
    """A random order of the rows that the seed and the paths alone determine."""
    from pandas.util import hash_array

    salt = f"{seed % 10**16:016d}"
    return hash_array(path.to_numpy(dtype=object), hash_key=salt, categorize=False)


def _mixed(key: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Another order, e.g. a fold's (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = key + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


# ---------------------------------------------------------------- holdout and folds


@dataclass(frozen=True)
class _Cut:
    """What is asked of the rows without a fixed place, by stratum.

    Attributes
    ----------
    free : (N,) bool, those rows. stratum : (N,) of every row. names : S, for messages.
    want : (S, 4) rows of each stratum for each of PARTS, summing to the stratum's free rows.
    quota : (S,) bool: by quota, not by fractions. where : words for messages.
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


def _holdout(rows: _Rows, spec: dict[str, Any], notes: list[str]) -> Ints:
    """Part of each row: train, validation, test once."""
    place = np.where(rows.used, rows.given, UNUSED)
    has_test = bool((place == TEST).any())
    _keep_apart(rows, place, TEST, notes)
    has_validation = bool((place == VALIDATION).any())
    _keep_apart(rows, place, VALIDATION, notes)
    for part, has in ((TEST, has_test), (VALIDATION, has_validation)):
        if has:
            counted = _count((place == part).sum(), "image")
            notes.append(f"the given {PARTS[part]} set stays: {counted}")
    if (has_test or has_validation) and (place == -1).any():
        counted = _count((place == -1).sum(), "image")
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
    quotas = _quotas(rows, spec)
    for part, has in ((TEST, has_test), (VALIDATION, has_validation)):
        if has:
            _thin_given(rows, place, part, quotas)

    k = len(rows.classes)
    free = (place == -1) | (place == TRAIN)
    stratum, names = _strata(rows, spec["stratify"], quotas)
    strata = stratum[rows.label]
    total = np.bincount(strata[free], minlength=len(names))
    whole = total + np.bincount(strata[place == VALIDATION], minlength=len(names))
    want = _fractions(total, whole, test, validation)
    by_quota = np.zeros(len(names), dtype=bool)
    count = np.bincount(rows.label[free], minlength=k)
    for c, quota in quotas.items():
        by_quota[stratum[c]] = True
        fixed = {part for part, has in ((TEST, has_test), (VALIDATION, has_validation)) if has}
        want[stratum[c]] = _quota(rows, c, quota, int(count[c]), fixed, test, validation)
    for part, has in ((TEST, has_test), (VALIDATION, has_validation)):
        if not has and not want[:, part].any():
            notes.append(_none(part))
    if not (has_test or has_validation or want[:, VALIDATION : TEST + 1].any()):
        raise UserError(
            f"{rows.dataset}: split.test and split.validation leave nothing to evaluate on; raise "
            "one of them"
        )
    cut = _Cut(free, strata, names, want, by_quota, "")
    place[free] = _drawn(rows, cut, rows.key)[free]
    _tell_missed(cut, place, notes)
    bases = {TEST: (test, whole.sum()), VALIDATION: (validation, (total - want[:, TEST]).sum())}
    for part, (fraction, base) in bases.items():
        wanted = want[:, part].sum()
        if fraction and not quotas and wanted > 1.1 * fraction * base + 1:
            notes.append(
                f"{PARTS[part]} is {wanted / base:.0%} instead of {fraction:.0%}, as each class "
                "has at least one image there"
            )
    return place


def _fold(rows: _Rows, spec: dict[str, Any], notes: list[str]) -> dict[str, Ints]:
    """Part of each row in each of k folds."""
    k, validation = int(spec["folds"]), float(spec["validation"])
    if spec["quotas"]:
        raise UserError(
            f"{rows.dataset}: split.quotas do not go together with split.folds; leave one out"
        )
    place = np.where(rows.used, rows.given, UNUSED)
    has_test = bool((place == TEST).any())
    if (place == VALIDATION).any():
        counted = _count((place == VALIDATION).sum(), "image")
        notes.append(f"with folds, the given validation set is pooled with training: {counted}")
    place[(place == VALIDATION) | (place == TRAIN)] = -1
    _keep_apart(rows, place, TEST, notes)
    if has_test:
        counted = _count((place == TEST).sum(), "image")
        notes.append(
            f"the given test set ({counted}) is tested in every fold; part i of the others is "
            "the validation set of fold-i"
        )
    elif not validation:
        notes.append(_none(VALIDATION))

    pool = place == -1
    stratum, names = _strata(rows, spec["stratify"], {})
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
            want = _fractions(n, n, 0.0, validation)
            where = f" outside the test part of fold-{i + 1}"
            cut = _Cut(rest, strata, names, want, np.zeros(len(names), dtype=bool), where)
            out[rest] = _drawn(rows, cut, _mixed(rows.key, i + 1))[rest]
        places[f"fold-{i + 1}"] = out
    return places


def _folds_of(rows: _Rows, pool: NDArray[np.bool_], strata: Ints, names: list[str], k: int) -> Ints:
    """Which of k equal parts each row of the pool is in."""
    total = np.bincount(strata[pool], minlength=len(names))
    units = _units_of(rows.unit[pool], strata[pool], len(names))
    _some(rows, total, names)
    for s in np.flatnonzero(units < k):
        lower = f"set split.folds to at most {units[s]}, " if units[s] > 1 else ""
        raise UserError(
            f"{rows.dataset}: {names[s]} has {_have(rows, total[s], units[s])}, and {k} folds need "
            f"at least {k}; {lower}add images, or merge or leave out the class (classes)"
        )
    # The extra rows of each class go to the next folds in turn: folds of equal size.
    extra = total % k
    turn = (np.arange(k)[None] - (np.cumsum(extra) - extra)[:, None]) % k
    want = total[:, None] // k + (turn < extra[:, None])
    part = _deal(rows.unit[pool], strata[pool], want, rows.key[pool])
    filled = np.zeros_like(want)
    np.add.at(filled, (strata[pool], part), 1)
    for s, i in np.argwhere(filled == 0):
        raise UserError(
            f"{rows.dataset}: {names[s]} cannot be in each of {k} folds with its groups whole "
            f"(fold-{i + 1} has none); set split.folds lower, or give a finer group"
        )
    return part


def _drawn(rows: _Rows, cut: _Cut, key: NDArray[np.uint64]) -> Ints:
    """(N,) part of each free row, each part of each stratum filled; other entries mean nothing."""
    free = cut.free
    images = np.bincount(cut.stratum[free], minlength=len(cut.names))
    units = _units_of(rows.unit[free], cut.stratum[free], len(cut.names))
    _some(rows, images, cut.names)
    needed = cut.want[:, :UNUSED] > 0
    needed[:, TRAIN] = True
    for s in np.flatnonzero(units < needed.sum(axis=1)):
        parts = [PARTS[p] for p in np.flatnonzero(needed[s])]
        keys = " or ".join(f"split.{p}" for p in parts if p != "train")
        remedy = "lower its quotas" if cut.quota[s] else f"set {keys} to 0"
        raise UserError(
            f"{rows.dataset}: {cut.names[s]} has {_have(rows, images[s], units[s])}{cut.where}, and "
            f"{', '.join(parts[:-1])} and {parts[-1]} need at least {len(parts)}; add images, merge "
            f"or leave out the class (classes), or {remedy}"
        )
    place = np.zeros(len(free), dtype=np.int64)
    place[free] = _deal(rows.unit[free], cut.stratum[free], cut.want, key[free])
    for s, p in np.argwhere(needed & (cut.filled(place)[:, :UNUSED] == 0)):
        raise UserError(
            f"{rows.dataset}: {cut.names[s]} has {_have(rows, images[s], units[s])}{cut.where}, and "
            f"with groups whole none is left for {PARTS[p]} ({cut.want[s, p]:,} wanted); give a "
            "finer group, or change split's fractions"
        )
    return place


def _some(rows: _Rows, images: Ints, names: list[str]) -> None:
    """Refuse a stratum whose images are all placed already."""
    for s in np.flatnonzero(images == 0):
        raise UserError(
            f"{rows.dataset}: {names[s]} has no image to train on: all are in given test or "
            "validation sets, or unused; leave the class out (classes), or set split.given: ignore"
        )


def _units_of(unit: Ints, stratum: Ints, strata: int) -> Ints:
    """Number of units in each stratum."""
    pairs = np.sort(unit * strata + stratum)  # twenty times as fast as np.unique
    new = np.r_[True, pairs[1:] != pairs[:-1]][: len(pairs)]
    return np.bincount(pairs[new] % strata, minlength=strata)


def _keep_apart(rows: _Rows, place: Ints, part: int, notes: list[str]) -> None:
    """Set rows unused whose unit the given places also have in `part`; in place."""
    held = np.zeros(rows.unit.max() + 1, dtype=bool)
    held[rows.unit[place == part]] = True
    weaker = (-1, TRAIN, VALIDATION) if part == TEST else (-1, TRAIN)
    lose = held[rows.unit] & np.isin(place, weaker)
    if lose.any():
        place[lose] = UNUSED
        why = "duplicates, or of one group," if rows.grouped else "exact duplicates"
        notes.append(
            f"{_count(lose.sum(), 'image')} unused: {why} with images given as {PARTS[part]}"
        )


def _thin_given(rows: _Rows, place: Ints, part: int, quotas: dict[int, dict[str, Any]]) -> None:
    """Choose a quota's images among a class' given ones, which are never moved; in place."""
    for c, quota in quotas.items():
        asked = quota.get(PARTS[part])
        if not isinstance(asked, int):
            continue
        mine = (place == part) & (rows.label == c)
        there = int(mine.sum())
        if asked > there:
            raise UserError(
                f"{rows.dataset}: split.quotas asks for {asked:,} {PARTS[part]} images of class "
                f"{rows.classes[c]!r}, and its given {PARTS[part]} set has {there:,}; ask for at "
                "most so many, or set split.given: ignore"
            )
        want = np.array([[asked, there - asked]])
        drawn = _deal(rows.unit[mine], np.zeros(there, np.int64), want, rows.key[mine])
        place[mine] = np.where(drawn == 0, part, UNUSED)


def _strata(rows: _Rows, stratify: bool, own: Iterable[int]) -> tuple[Ints, list[str]]:
    """Stratum of each class and each stratum's name in messages.

    Unstratified, all classes are one, but for those `own` that a quota names.
    """
    k = len(rows.classes)
    if stratify:
        return np.arange(k), [f"class {name!r}" for name in rows.classes]
    own = sorted(own)
    stratum = np.full(k, len(own), dtype=np.int64)
    stratum[own] = np.arange(len(own))
    names = [f"class {rows.classes[c]!r}" for c in own]
    return stratum, names if len(own) == k else [*names, "the data set"]


def _fractions(total: Ints, whole: Ints, test: float, validation: float) -> Ints:
    """(S, 4) rows wanted of each stratum by fractions; none of the parts wanted is empty.

    With fewer rows than parts, train is 0 or less: `_drawn` refuses such a stratum.
    """
    tests = np.minimum(_apportion(test * whole), total)
    validations = np.maximum(_apportion(validation * (total - tests)), int(validation > 0))
    want = np.stack([total - tests - validations, validations, tests, 0 * total], axis=1)
    for s in np.flatnonzero((want[:, TRAIN] < 1) & (total > 0)):
        while want[s, TRAIN] < 1 and want[s, 1:3].max() > 1:
            want[s, 1 + want[s, 1:3].argmax()] -= 1
            want[s, TRAIN] += 1
    return want


def _apportion(ideal: NDArray[np.floating[Any]]) -> Ints:
    """Whole numbers near `ideal` whose sum is the rounded sum (largest remainders), none 0."""
    low = np.floor(ideal + 1e-9).astype(np.int64)
    short = int(np.rint(ideal.sum())) - int(low.sum())
    most = np.argsort(low - ideal, kind="stable")[: max(short, 0)]
    low[most] += 1
    return np.where(ideal > 0, np.maximum(low, 1), 0)


def _quotas(rows: _Rows, spec: dict[str, Any]) -> dict[int, dict[str, Any]]:
    quotas = {}
    for name, quota in spec["quotas"].items():
        if name not in rows.classes:
            raise UserError(
                f"{rows.dataset}: split.quotas: there is no class {name!r}"
                f"{nearest(name, rows.classes)}"
            )
        quotas[rows.classes.index(name)] = quota
    return quotas


def _quota(
    rows: _Rows,
    c: int,
    quota: dict[str, Any],
    n: int,
    fixed: set[int],
    test: float,
    validation: float,
) -> Ints:
    """(4,) rows wanted of a class with a quota, out of its `n` that have no fixed place."""
    asked = {p: quota.get(PARTS[p]) for p in (TRAIN, VALIDATION, TEST) if p not in fixed}
    counts = {part: a for part, a in asked.items() if isinstance(a, int)}
    if sum(counts.values()) > n:
        wish = ", ".join(f"{a:,} {PARTS[part]}" for part, a in counts.items())
        raise UserError(
            f"{rows.dataset}: split.quotas asks for {wish} images of class {rows.classes[c]!r}, "
            f"which has {n:,} to give; lower the numbers"
        )
    want = np.zeros(4, dtype=np.int64)
    for part, a in counts.items():
        want[part] = a
    left = n - want.sum()
    if TEST in asked and asked[TEST] is None:
        want[TEST] = min(left, _apportion(np.array([test * n]))[0])
        left -= want[TEST]
    rest = next((part for part, a in asked.items() if a == "rest"), None)
    if rest is None:
        rest = TRAIN if asked[TRAIN] is None else UNUSED
    want[rest] += left
    if VALIDATION in asked and asked[VALIDATION] is None and want[TRAIN] > 1:
        want[VALIDATION] = _apportion(np.array([validation * want[TRAIN]]))[0]
        want[TRAIN] -= want[VALIDATION]
    if want[TRAIN] < 1:
        raise UserError(
            f"{rows.dataset}: split.quotas leaves class {rows.classes[c]!r} ({_count(n, 'image')}) "
            "without a training image; name a number for train, or lower the others"
        )
    return want


# ---------------------------------------------------------------- the drawing


def _deal(unit: Ints, stratum: Ints, want: Ints, key: NDArray[np.uint64]) -> Ints:
    """Place whole units so that each stratum fills its parts as wanted.

    Units of several strata go first, largest first, each to the part where it lessens
    Σ (filled − wanted)² / (wanted · n) over its strata most; it is the greedy rule of
    scikit-learn's StratifiedGroupKFold with parts of unequal size. Units of one stratum
    and size are dealt in proportion to what each part still lacks.

    Parameters
    ----------
    unit, stratum : (N,) of each row. want : (S, P) rows, summing to each stratum's.
    key : (N,) random order.

    Returns
    -------
    (N,) part of each row. Exact where every unit is one row.
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
    """Give a part that got nothing of a stratum the smallest unit that can be spared; in place.

    Rare: a few large groups in a class and a small fraction.
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


def _every_class_trains(rows: _Rows, place: Ints, fold: str, spec: dict[str, Any]) -> None:
    """Refuse a fold in which a class has no training row."""
    count = np.bincount(rows.label[place == TRAIN], minlength=len(rows.classes))
    for c in np.flatnonzero(count == 0):
        change = (
            "set split.given: ignore, or leave the class out (classes)"
            if spec["stratify"]
            else "set split.stratify: true, or leave the class out (classes)"
        )
        total = (rows.label == c).sum()
        raise UserError(
            f"{rows.dataset}: class {rows.classes[c]!r} has {_count(total, 'image')}, none of "
            f"them for training in {fold}; {change}"
        )


# ---------------------------------------------------------------- words


def _none(part: int) -> str:
    what = {TEST: "evaluation is on validation only", VALIDATION: "training watches none"}[part]
    return f"there is no {PARTS[part]} set: {what}"


def _tell_missed(cut: _Cut, place: Ints, notes: list[str]) -> None:
    """Say where whole groups kept the counts from what was asked: quotas, or by over 5 %."""
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


def _tell_gaps(rows: _Rows, places: dict[str, Ints], notes: list[str]) -> None:
    """Say which classes a test or validation set lacks."""
    for part in (VALIDATION, TEST):
        lacks: set[int] = set()
        for place in places.values():
            count = np.bincount(rows.label[place == part], minlength=len(rows.classes))
            if count.any():
                lacks |= set(np.flatnonzero(count == 0).tolist())
        if lacks:
            some = ", ".join(rows.classes[c] for c in sorted(lacks)[:10])
            more = f" and {len(lacks) - 10} more" if len(lacks) > 10 else ""
            notes.append(
                f"the {PARTS[part]} set has no image of {some}{more}: no recall or ROC AUC there"
            )


def _tell(plan: _Plan, dataset: str) -> None:
    """Log notes and the counts by class and part."""
    for note in plan.notes:
        log.info("%s: %s", dataset, note)
    label = plan.frame["class"].to_numpy()
    shown = plan.classes[:SHOWN]
    width = max(map(len, [*shown, "class"]))
    for fold in plan.folds:
        place = plan.frame[fold].to_numpy(dtype=object)
        parts = [p for p in PARTS if (place == p).any()]
        totals = ", ".join(f"{p} {(place == p).sum():,}" for p in parts)
        log.info("%s: %s of %d classes: %s", dataset, fold, len(plan.classes), totals)
        if fold != plan.folds[0]:
            continue
        log.info("  %-*s %s", width, "class", " ".join(f"{p:>10}" for p in parts))
        counts = [np.bincount(label[place == p], minlength=len(plan.classes)) for p in parts]
        for c, name in enumerate(shown):
            log.info("  %-*s %s", width, name, " ".join(f"{n[c]:>10,}" for n in counts))
        if len(plan.classes) > SHOWN:
            log.info("  … and %d more classes", len(plan.classes) - SHOWN)


def _write(plan: _Plan, output: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"row": pa.int64(), "class": pa.int16()}
    columns = {
        str(name): pa.array(column, type=types.get(str(name), pa.string()), from_pandas=True)
        for name, column in plan.frame.items()
    }
    table = pa.table(columns)
    meta = {"classes": plan.classes, "folds": plan.folds, "notes": plan.notes}
    table = table.replace_schema_metadata({"darkroom": json.dumps(meta)})
    with disk.whole(output) as part:
        pq.write_table(table, part)


def _have(rows: _Rows, images: Any, units: Any) -> str:
    """`3 images`, or with groups `30 images in 3 groups`."""
    have = _count(images, "image")
    if units == images:
        return have
    if rows.grouped:
        return f"{have} in {_count(units, 'group')}"
    return f"{have} ({int(units):,} without exact duplicates)"


def _count(n: Any, what: str) -> str:
    return f"{int(n):,} {what}{'' if n == 1 else 's'}"


def _natural(name: str) -> tuple[Any, ...]:
    """Sort key: numbers first and by value, then words with their numbers by value."""
    if re.fullmatch(r"-?\d+(\.\d+)?", name):
        return (0, float(name), name)
    pieces = re.split(r"(\d+)", name)
    return (1, *((int(p) if i % 2 else p.casefold()) for i, p in enumerate(pieces)), name)
