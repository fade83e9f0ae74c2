"""Split rows into training, validation and test.

The split draws units: single rows, or all rows of a group and of copies. A unit is
never divided between parts. Units of one class and size are dealt in proportion, so that large
groups do not all end in training; the remainder goes where most is lacking. With units of one
row the counts are exact. The draw depends on the seed and the paths, not on the order of the
rows, and an added image moves few others.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError, nearest
from darkroom.index.listing import few
from darkroom.index.suspicious import FORM, alike
from darkroom.machine import disk, parquet_file
from darkroom.machine.units import plural
from darkroom.split.assign import random_order
from darkroom.split.folds import folds
from darkroom.split.groups import contradicting, pictures, spare, unit_names, units
from darkroom.split.holdout import holdout
from darkroom.split.rows import PARTS, TEST, TRAIN, VALIDATION, Ints, Rows, Split

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MOST_CLASSES = np.iinfo(np.int16).max
SHOWN = 30  # classes in the table of the log


class SplitRows(TypedDict):
    """Settings of the stage: the data set's name, `classes`, `duplicates` and `split`."""

    dataset: str
    classes: dict[str, list[str]] | None
    duplicates: str
    split: Split


def split_rows(manifest: str, copies: str, output: str, *, indices: str, cfg: SplitRows) -> None:
    """Split the usable rows of a manifest, and log the counts by class and part.

    Without given parts, `test` is drawn as a fraction of all rows, then `validation` as a
    fraction of the rest, within each class (`stratify`). A given test set is kept, and a
    missing validation set is drawn from training. A given validation set without a test set
    is kept too, and `test` is drawn from the training rows. `given: ignore` draws all parts
    anew; `given: {validation: test}` uses the source's validation set as the test set.

    With `folds: k`, fold-i tests part i and draws its validation rows from the others. With a
    given test set, every fold tests that set and part i is the validation set. Given
    validation rows are then pooled with the training rows.

    A quota sets the number of a class's images in a part; `rest` is the remainder. An unnamed
    validation part is drawn from the class's training images by its fraction, so
    `train: 300` counts both; an unnamed test part takes its fraction; an unnamed training
    part takes the remainder; images of no part are unused. Within a given test or validation
    set a quota chooses only among its images.

    Exact duplicates whose classes differ are unused. Where given parts separate copies
    or a group, the rows in test (then validation) are kept and the others are unused.
    `duplicates` is `group`: copies stay together; `drop`: one of them is used; `warn`: they are
    split like different images, in all of which nothing is unused; `fail`: there may be none.

    Parameters
    ----------
    manifest, copies : `manifest.parquet`, `copies.parquet`.
    output : `splits.parquet` to write; see docs/formats.md.
    indices : `class_indices.json` to write, the number of each class.
    cfg : the settings. `classes` maps a final name to labels of the source, in order; None: all.

    Raises
    ------
    UserError
        The images cannot meet the settings; the message names class, counts and remedy.
    """
    columns = ["row", "path", "label", "group", "split", "sha256", "status"]
    table = parquet_file.read(manifest, columns=columns).to_pandas()
    found = parquet_file.read(copies, columns=["row", "of"]).to_pandas()
    table["picture"] = table["row"].replace(dict(zip(found["row"], found["of"], strict=True)))
    plan = make_plan(table, cfg)
    _write(plan, output)
    numbers = {name: number for number, name in enumerate(plan.classes)}
    text = json.dumps(numbers, ensure_ascii=False, indent=1) + "\n"
    with disk.whole(indices) as part:
        part.write_text(text, encoding="utf-8")
    _log(plan, cfg["dataset"])


def check(table: pd.DataFrame, *, cfg: SplitRows) -> dict[str, set[str]]:
    """Try a split on a listing, before a run.

    Parameters
    ----------
    table : columns `path`, `label`, `group`, `split` (null where unknown); a manifest's
        `sha256` and `status` are read too where they exist, and `picture`, an equal number for copies.
    cfg : as for `split_rows`.

    Returns
    -------
    For each fold the parts that have rows.

    Raises
    ------
    UserError
        As `split_rows`, except for the effects of duplicates and unusable files.
    """
    plan = make_plan(table, cfg)
    return {fold: set(plan.frame[fold]) for fold in plan.folds}


@dataclass(frozen=True)
class Plan:
    """A split: one row per usable image of a chosen class, and notes for log and report."""

    frame: pd.DataFrame
    classes: list[str]
    folds: list[str]
    notes: list[str]


def make_plan(table: pd.DataFrame, cfg: SplitRows) -> Plan:
    """Assign all rows of a table; see `split_rows`."""
    import pandas as pd

    dataset, spec, notes = cfg["dataset"], cfg["split"], list[str]()
    classes, label = _classes(table, cfg["classes"], dataset, notes)
    kept = label >= 0
    table, label = table[kept].reset_index(drop=True), label[kept]
    sha = table["sha256"] if "sha256" in table else pd.Series([None] * len(table), dtype=object)
    picture = table["picture"] if "picture" in table else pictures(sha)
    policy = cfg["duplicates"]
    alone = pd.Series(np.arange(len(table)))
    unit = units(table["group"], picture if policy == "group" else alone)
    used = ~contradicting(sha, label) if policy != "warn" else np.ones(len(table), dtype=bool)
    if not used.all():
        notes.append(
            f"{plural((~used).sum(), 'image')} unused: exact duplicates with contradicting labels"
        )
    names = {part: i for i, part in enumerate(PARTS[:3])}
    moved = spec["given"] if isinstance(spec["given"], dict) else {}
    for part, to in moved.items():
        n = int((table["split"] == part).sum())
        if not n:
            raise UserError(f"{dataset}: split.given: the source gives no {part} set")
        notes.append(f"the source's {part} set ({plural(n, 'image')}) is taken as {to}")
    names |= {part: names[to] for part, to in moved.items()}
    given = np.asarray(table["split"].map(names).fillna(-1), dtype=np.int64)
    if spec["given"] == "ignore":
        if (given >= 0).any():
            notes.append("the source's own split is ignored")
        given = np.full(len(table), -1, dtype=np.int64)
    _copies(table, picture, given, used, policy, dataset, notes)
    keys = random_order(table["path"], int(spec["seed"]))
    grouped = bool(table["group"].notna().any())
    rows = Rows(dataset, classes, label, unit, given, used, keys, grouped)
    for c in np.flatnonzero(np.bincount(label[used], minlength=len(classes)) == 0):
        raise UserError(
            f"{dataset}: class {classes[c]!r} has no usable image that is not a duplicate with "
            "a contradicting label; leave it out of classes, or repair its files"
        )
    images = dict(zip(classes, np.bincount(label, minlength=len(classes)).tolist(), strict=True))
    same = few(alike(images))
    try:
        k = spec["folds"]
        places = folds(rows, spec, k, notes) if k else {"holdout": holdout(rows, spec, notes)}
        for fold, place in places.items():
            _every_class_trains(rows, place, fold, spec)
    except UserError as error:
        if not same:
            raise
        raise UserError(
            f"{error}. These classes differ only in {FORM}: {same}; to "
            "merge some, set classes: {new: [one, other]}"
        ) from None
    _note_gaps(rows, places, notes)

    words = np.array(PARTS, dtype=object)
    frame = pd.DataFrame(
        {
            "row": table["row"] if "row" in table else np.arange(len(table)),
            "label": np.array(classes, dtype=object)[label],
            "class": label.astype(np.int16),
            "group": unit_names(table, unit),
            "given": table["split"],
            **{fold: words[place] for fold, place in places.items()},
        }
    )
    return Plan(frame, classes, list(places), notes)


def _copies(
    table: pd.DataFrame,
    picture: pd.Series,
    given: Ints,
    used: NDArray[np.bool_],
    policy: str,
    dataset: str,
    notes: list[str],
) -> None:
    """Note the copies, and treat them by the policy; `used` is changed in place."""
    second = picture.duplicated()
    if not second.any():
        return
    n = int(second.sum())
    counted = f"{plural(n, 'image')} {'shows' if n == 1 else 'show'} the same picture as another"
    if policy == "fail":
        last = second[second].index[0]
        path, of = table["path"][last], table["path"][picture == picture[last]].iloc[0]
        raise UserError(
            f"{dataset}: {counted}, for example {path} and {of}, and datasets.{dataset}.duplicates is "
            "fail: copies.csv in its results lists all; remove them, or set duplicates: group, which "
            "keeps each set in one part, or drop"
        )
    if policy == "drop":
        lost = spare(picture, given) & used
        used &= ~lost
        notes.append(f"{plural(lost.sum(), 'image')} unused: copies of others (duplicates: drop)")
    elif policy == "warn":
        notes.append(f"{counted}; they are split like different ones (duplicates: warn)")
    else:
        notes.append(f"{counted}: each set of copies stays in one part")


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
                    f"{dataset}: classes: no image has the label {name!r}{_meant(name, known)}"
                )
            target[index[name]] = c
        if not sum(images[index[name]] for name in labels):
            raise UserError(
                f"{dataset}: class {classes[c]!r} has no usable image; leave it out of classes, "
                "or repair its files"
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


def _meant(name: str, known: list[str]) -> str:
    """The end of a sentence on an unknown label: YAML reads 001 as 1, and 010 as 8."""
    if name.isdigit():
        same = [other for other in known if other.isdigit() and int(other) == int(name)]
        octal = [
            other
            for other in known
            if re.fullmatch("0[0-7]+", other) and int(other, 8) == int(name)
        ]
        if meant := same or octal:
            return f": quote {meant[0]!r} in the settings, where YAML reads it as a number"
    return nearest(name, known)


def _every_class_trains(rows: Rows, place: Ints, fold: str, spec: Split) -> None:
    """Raise UserError for a fold in which a class has no training row."""
    count = np.bincount(rows.label[place == TRAIN], minlength=len(rows.classes))
    for c in np.flatnonzero(count == 0):
        change = (
            "set split.given: ignore, or leave the class out (classes)"
            if spec["stratify"]
            else "set split.stratify: true, or leave the class out (classes)"
        )
        total = (rows.label == c).sum()
        raise UserError(
            f"{rows.dataset}: class {rows.classes[c]!r} has {plural(total, 'image')}, none of "
            f"them for training in {fold}; {change}"
        )


def _note_gaps(rows: Rows, places: dict[str, Ints], notes: list[str]) -> None:
    """Note the classes that a test or validation set lacks."""
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


def _write(plan: Plan, output: str) -> None:
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


def _log(plan: Plan, dataset: str) -> None:
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


def _natural(name: str) -> tuple[Any, ...]:
    """Sort key: numbers by value, then words, with numbers within words by value."""
    if re.fullmatch(r"-?\d+(\.\d+)?", name):
        return (0, float(name), name)
    pieces = re.split(r"(\d+)", name)
    return (1, *((int(p) if i % 2 else p.casefold()) for i, p in enumerate(pieces)), name)
