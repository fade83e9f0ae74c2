"""Read label, given split and group of each image from a listing.

`recognise` works on relative paths and opens only CSV files, so it can run before anything
is unpacked or decoded. Supported layouts:

- class folders, at any depth below wrapper folders: `Data/cat/1.jpg`, `cat/kittens/1.jpg`;
- class folders below split folders (`train/cat/1.jpg`, `seg_test/seg_test/cat/1.jpg`,
  `training_set/training_set/cats/1.jpg`), or above them (`cat/train/1.jpg`);
- one flat folder, or one per split, whose file names begin with the label (`cat.0.jpg`);
- a CSV, or a pair such as train.csv and test.csv (`darkroom.index.tables`);
- regular expressions on the path (`kind: pattern`).

Rules for ambiguous listings (docs/data.md has examples); `Recognised.sentence` reports those that
applied:

- hidden files, `__MACOSX` and the like are ignored, and so are companions (text, tables, code,
  archives, arrays) and files of unknown type outside the class folders;
- a file with an image suffix is always a row; so is a file of unknown or no suffix inside a
  class folder (its content decides);
- a whole folder whose name says that it has no labels (test, masks) is left out; any other image
  without a label is a row without one;
- class folders and a table that divide the images alike are one reading: then the folder names
  are the labels. Where they contradict each other, the one with the stronger names is taken, or
  the settings are asked for;
- a given split needs two of train, validation and test; one alone is an ordinary folder.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from darkroom.errors import UserError
from darkroom.index.class_folders import by_folders, refuse_one_class
from darkroom.index.csv_file import OpenText
from darkroom.index.expressions import by_pattern, groups_by_pattern, splits_by_pattern, suggestion
from darkroom.index.listing import PARTS, Layout, Listing, Rows
from darkroom.index.proposed import AUTO, propose, sentence
from darkroom.index.split_lists import by_lists
from darkroom.index.suspicious import suspicious
from darkroom.index.tables import Tables, by_tables
from darkroom.sources.folders import printable

_TABLE_SETTINGS = ("table", "path_column", "label_column", "split_column", "group_column")


@dataclass(frozen=True)
class Recognised:
    """The rows of a data set before any file is opened, ascending by path.

    `path` is relative to the source's root; `label`, `split` (train, validation or test) and
    `group` are None where unknown; `trouble` is the reason of a row that is already unusable
    (missing, listed twice), else empty. `ignored` counts the files that are not rows. `kind`
    is folders, table or pattern. `sentence` says where the labels come from, with examples;
    `warnings` what looks like a mistake; both in one line.
    """

    kind: str
    path: list[str]
    label: list[str | None]
    split: list[str | None]
    group: list[str | None]
    trouble: list[str]
    sentence: str
    ignored: int
    warnings: list[str] = field(default_factory=list)

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
    group : regular expression on the path; its group 1 keeps rows together. `auto`: the groups that
        names suggest, if any.
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
        raise UserError(
            f"layout: no image files were found{listing.seen()}{listing.unread_files()}"
        )
    rows: Rows | None
    level = cfg["class_level"]
    if cfg["label"] is not None:
        rows = by_pattern(listing, cfg["label"])
    elif kind == "folders":
        rows = by_folders(listing, required=True, level=level)
    elif kind == "table":
        rows = _one_of(by_tables(listing, cfg, open_text, required=True).readings)
    else:
        folders = by_folders(listing, required=False, level=level)
        tables = by_tables(listing, cfg, open_text, required=False)
        rows = _better(listing, folders, tables)
    if rows is None:
        refuse_one_class(listing)
        raise UserError(
            f"layout: no labels were recognised{listing.seen()}. Put the images of each class into a "
            "folder of its own, or set layout.table to a CSV of path and label, or layout.label "
            "to a regular expression on the path whose group 1 is the label"
            f"{suggestion(listing.images)}{listing.unread()}"
        )
    if rows.doubt:
        raise UserError(f"layout: {rows.doubt}")
    rows.label = [label and unicodedata.normalize("NFC", label) for label in rows.label]
    if cfg["split"] is not None:
        rows.split = splits_by_pattern(rows.path, cfg["split"])
    elif open_text is not None and not any(rows.split):
        by_lists(listing, rows, open_text)
    if group not in (None, AUTO):
        rows.group = groups_by_pattern(rows.path, str(group))
    elif not any(rows.group) and (found := propose(rows.path, len(rows.labels))) is not None:
        if group == AUTO:
            rows.group = groups_by_pattern(rows.path, found.expression)
            rows.sentences.append(f"group: auto takes {found.expression!r}")
        else:
            rows.warnings.append(sentence(found))
    return _finish(listing, rows)


def _kind(cfg: Layout, group: str | None) -> str:
    kind = str(cfg["kind"])
    of_table = next((f"layout.{k}" for k, v in cfg.items() if v and k in _TABLE_SETTINGS), None)
    other = "layout.label" if cfg["label"] is not None else of_table
    if kind == "table":
        other = other or "layout.kind: table"
    if cfg["class_level"] != "auto" and other:
        raise UserError(f"layout.class_level is for class folders and contradicts {other}: set one")
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


# ---------------------------------------------------------------- folders or table


def _better(listing: Listing, folders: Rows | None, tables: Tables) -> Rows | None:
    """The reading that the evidence supports: class folders, a table, or None.

    Raises
    ------
    UserError
        Several readings are as good, or the one that was meant does not fit.
    """
    if not tables.readings:
        rival = tables.likely and 2 * tables.named >= 1
        if folders is not None and rival:
            rival = not any(_says_the_same(_labelled(folders), cells) for cells in tables.cells)
        meant = folders is None or folders.doubt or tables.unclear or (folders.weak and rival)
        if tables.why and meant:
            also = ""
            if folders is not None:
                other = f"or take {folders.sentences[0]}, {_examples(folders)}: {folders.choose}"
                also = f"; {folders.doubt or other}"
            raise UserError(f"layout: {tables.why}{also}")
        if folders is not None and tables.why and 2 * tables.named >= 1:
            folders.sentences.append(f"not used: {tables.why.partition(';')[0]}")
        return folders
    table = _one_of(tables.readings)
    if folders is None:
        return table
    named = _labelled(table)
    if folders.doubt:
        if 2 * len(named) < len(listing.images):
            return folders
        if table.weak:
            folders.doubt += f"; or take {table.sentences[0]}, {_examples(table)}: {table.choose}"
            return folders
        return table
    if 2 * len(named) < len(listing.images):
        folders.sentences.append(
            f"not used: a table that names {len(named):,} of the images; {table.choose} takes it"
        )
        return folders
    own = _labelled(folders)
    if _agree(own, named):
        adds_split = any(table.split) and not any(folders.split)
        wrong = any(t and not t.startswith("no label") for t in table.trouble)
        adds = adds_split or any(table.group) or wrong or len(named) > len(own)
        return table if adds else folders
    if folders.weak and not table.weak:
        return table
    if table.weak and not folders.weak:
        folders.warnings.append(
            f"a table gives other labels, {_examples(table)}, and is not used; {table.choose} takes it"
        )
        return folders
    raise _ask(folders, table)


def _one_of(readings: list[Rows]) -> Rows:
    """The reading that labels most images; another that labels about as many must agree."""
    best = readings[0]
    named = _labelled(best)
    for other in readings[1:]:
        theirs = _labelled(other)
        if 10 * len(theirs) < 9 * len(named) or (other.weak and not best.weak):
            continue
        if best.weak and not other.weak:
            best, named = other, theirs
        elif not _agree(named, theirs):
            raise _ask(best, other)
        elif any(other.split) and not any(best.split):
            best, named = other, theirs
    return best


def _ask(one: Rows, other: Rows) -> UserError:
    readings = [f"{rows.sentences[0]}, {_examples(rows)}: {rows.choose}" for rows in (one, other)]
    return UserError(
        f"layout: two readings are possible, and one must be set. {'. '.join(readings)}"
    )


def _labelled(rows: Rows) -> dict[str, str]:
    """The label of each file that has one."""
    columns = zip(rows.path, rows.label, rows.trouble, strict=True)
    return {path: label for path, label, trouble in columns if label is not None and not trouble}


def _says_the_same(labels: dict[str, str], cells: dict[str, str]) -> bool:
    """Whether a column repeats the names of the class folders."""
    both = [(labels[path], cell) for path, cell in cells.items() if path in labels]
    return bool(both) and all(label == cell for label, cell in both)


def _agree(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two readings divide the files that both label into the same classes."""
    pairs = Counter((label, other[path]) for path, label in one.items() if path in other)
    usual = sum(pairs.values()) / 1000
    often = [pair for pair, n in pairs.items() if n > usual]
    return len({a for a, _ in often}) == len(often) == len({b for _, b in often})


def _examples(rows: Rows) -> str:
    """Three files and their labels, of different classes where there are."""
    first: dict[str, str] = {}
    for path, label in sorted(_labelled(rows).items()):
        first.setdefault(label, path)
        if len(first) == 3:
            break
    return "for example " + ", ".join(f"{path} is {label!r}" for label, path in first.items())


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
    first, *sentences = rows.sentences
    sentences = [f"{first}, {_examples(rows)}", *sentences]
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
        printable("; ".join(sentences)),
        ignored,
        [printable(warning) for warning in (*rows.warnings, *suspicious(rows.label))],
    )
