"""Read label, given split and group of each image from a listing.

`recognise` works on relative paths and opens only CSV files, so it can run before anything
is unpacked or decoded. Supported layouts:

- class folders, at any depth below wrapper folders: `Data/cat/1.jpg`, `cat/kittens/1.jpg`;
- class folders below split folders (`train/cat/1.jpg`, `seg_test/seg_test/cat/1.jpg`,
  `training_set/training_set/cats/1.jpg`), or above them (`cat/train/1.jpg`);
- one flat folder, or one per split, whose file names begin with the label (`cat.0.jpg`);
- a CSV, or a pair such as train.csv and test.csv (`darkroom.index.tables`);
- regular expressions on the path (`kind: pattern`).

Rules for ambiguous listings; `Recognised.sentence` reports those that applied:

- hidden files, `__MACOSX` and the like are ignored, and so are companions (text, tables, code,
  archives, arrays) and files of unknown type outside the class folders;
- a file with an image suffix is always a row; so is a file of unknown or no suffix inside a
  class folder (its content decides);
- a whole folder without any label (a competition's test set, `masks/` beside `images/`) is
  left out; a single file without one, among labelled files, is a row without a label;
- a CSV that names at least half of the images has priority over class folders, unless both
  give the same classes: then the folder names are the labels;
- a given split needs two of train, validation and test; one alone is an ordinary folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from darkroom.errors import UserError
from darkroom.index.class_folders import by_folders, refuse_one_class
from darkroom.index.csv_file import OpenText
from darkroom.index.listing import (
    PARTS,
    Layout,
    Listing,
    Rows,
    few,
    given_part,
)
from darkroom.index.tables import by_table

_TABLE_SETTINGS = ("table", "path_column", "label_column", "split_column", "group_column")


@dataclass(frozen=True)
class Recognised:
    """The rows of a data set before any file is opened, ascending by path.

    `path` is relative to the source's root; `label`, `split` (train, validation or test) and
    `group` are None where unknown; `trouble` is the reason of a row that is already unusable
    (missing, listed twice), else empty. `ignored` counts the files that are not rows. `kind`
    is folders, table or pattern.
    """

    kind: str
    path: list[str]
    label: list[str | None]
    split: list[str | None]
    group: list[str | None]
    trouble: list[str]
    sentence: str
    ignored: int

    @property
    def labels(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for label in self.label if label is not None})


def recognise(
    paths: Iterable[str],
    cfg: Layout,
    *,
    group: str | None = None,
    open_text: OpenText | None = None,
) -> Recognised:
    """Find label, given split and group of every file of a listing.

    Parameters
    ----------
    paths : files, relative to the source's root, with `/`.
    cfg : the settings `layout`, every key given.
    group : regular expression on the path; its group 1 keeps rows together.
    open_text : opens a CSV of the listing by its path; returns text, bytes or an open file.
        None: tables are not read.

    Returns
    -------
    Recognised

    Raises
    ------
    UserError
        The listing is not a labelled data set, or contradicts the settings. The message
        describes the listing and names the setting to change.
    """
    kind = _kind(cfg, group)
    listing = Listing(paths, cfg["root"], cfg["ignore"])
    if not listing.images and kind != "table":
        raise UserError(f"layout: no image files were found{listing.seen()}")
    rows: Rows | None
    if cfg["label"] is not None:
        rows = _by_pattern(listing, cfg["label"])
    elif kind == "folders":
        rows = by_folders(listing, required=True)
    elif kind == "table":
        rows = by_table(listing, cfg, open_text, required=True)
    else:
        folders = by_folders(listing, required=False)
        rows = by_table(listing, cfg, open_text, required=False, folders=folders) or folders
    if rows is None:
        refuse_one_class(listing)
        raise UserError(
            f"layout: no labels were recognised{listing.seen()}. Put the images of each class into a "
            "folder of its own, or set layout.table to a CSV of path and label, or layout.label "
            "to a regular expression on the path whose group 1 is the label"
        )
    if cfg["split"] is not None:
        rows.split = _splits_by_pattern(rows.path, cfg["split"])
    if group is not None:
        expression = re.compile(group)
        rows.group = [_group_1(expression, p) for p in rows.path]
        if not any(rows.group):
            raise UserError(
                f"group: the expression {group!r} matches no path, for example {rows.path[0]!r}"
            )
    return _finish(listing, rows)


def _kind(cfg: Layout, group: str | None) -> str:
    kind = str(cfg["kind"])
    of_table = next((f"layout.{k}" for k, v in cfg.items() if v and k in _TABLE_SETTINGS), None)
    if cfg["label"] is not None:
        if kind in ("folders", "table") or of_table:
            other = of_table or f"kind {kind}"
            raise UserError(
                f"layout.label reads labels from the path and contradicts {other}: set one"
            )
        return "pattern"
    if kind == "pattern":
        raise UserError("layout.kind is pattern: set layout.label to a regular expression")
    if of_table:
        if kind == "folders":
            raise UserError(f"{of_table} needs kind table, not folders: set one")
        kind = "table"
    if group is not None and cfg["group_column"]:
        raise UserError("group and layout.group_column both define groups: set one")
    return kind


# ---------------------------------------------------------------- expressions


def _by_pattern(listing: Listing, pattern: str) -> Rows:
    """Rows by a regular expression on the path, whose group 1 is the label."""
    expression = re.compile(pattern)
    rows = Rows("pattern")
    for path in listing.images:
        rows.add(path, _group_1(expression, path))
    for path in listing.unknown:
        label = _group_1(expression, path)
        if label is None:
            rows.ignored += 1
        else:
            rows.add(path, label)
    labels = rows.labels
    if not labels:
        raise UserError(f"layout.label: the expression {pattern!r} matches no path{listing.seen()}")
    rows.sentences.append(
        f"{len(labels)} labels by the expression {pattern!r} ({few(labels)}; {len(rows.path):,} files)"
    )
    return rows


def _group_1(expression: re.Pattern[str], path: str) -> str | None:
    found = expression.search(path)
    return found[1] or None if found else None


def _splits_by_pattern(paths: list[str], pattern: str) -> list[str | None]:
    expression = re.compile(pattern)
    known: dict[str | None, str | None] = {None: None}
    out = []
    for path in paths:
        word = _group_1(expression, path)
        if word is not None and word not in known:
            known[word] = given_part(word)
            if known[word] is None:
                raise UserError(
                    f"layout.split: the expression {pattern!r} matches {word!r} in {path!r}, which is no "
                    "name of train, validation or test"
                )
        out.append(known[word])
    if not any(out):
        raise UserError(
            f"layout.split: the expression {pattern!r} matches no path, for example {paths[0]!r}"
        )
    return out


# ---------------------------------------------------------------- summary


def _finish(listing: Listing, rows: Rows) -> Recognised:
    labels = rows.labels
    if len(labels) < 2:
        count = sum(label is not None for label in rows.label)
        only = (
            f"only one label was found, {labels[0]!r} ({count:,} files)" if labels else "no labels"
        )
        raise UserError(
            f"layout: {only}{listing.seen()}: at least two classes are needed; "
            "check the source, layout.root, or set layout.label"
        )
    sentences = list(rows.sentences)
    if any(rows.split):
        parts = Counter(s for s in rows.split if s)
        given = ", ".join(f"{p} {parts[p]:,}" for p in PARTS if parts[p])
        sentences.append(f"given split: {given}")
    if any(rows.group):
        groups = {g for g in rows.group if g is not None}
        alone = sum(g is None for g in rows.group)
        sentences.append(
            f"{len(groups):,} groups" + (f", {alone:,} files in none" if alone else "")
        )
    if listing.globbed:
        sentences.append(f"{listing.globbed:,} files left out by layout.ignore")
    sentences += [f"the pattern {p!r} of layout.ignore matches nothing" for p in listing.unmatched]
    if listing.outside:
        sentences.append(f"{listing.outside:,} files outside {listing.root} left out")
    ignored = rows.ignored + listing.globbed + listing.outside + len(listing.companions)
    order = sorted(range(len(rows.path)), key=rows.path.__getitem__)
    return Recognised(
        rows.kind,
        [rows.path[i] for i in order],
        [rows.label[i] for i in order],
        [rows.split[i] for i in order],
        [rows.group[i] for i in order],
        [rows.trouble[i] for i in order],
        "; ".join(sentences),
        ignored,
    )
