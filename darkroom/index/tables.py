"""Labels, splits and groups from CSV tables of a data set.

A table has a path column and a label column, or one column of 0 and 1 per label; split and
group are optional. Two tables may be a pair such as train.csv and test.csv. All common dialects
and encodings are read, with or without a header. Columns are recognised by name and content.

- A path may be relative to the table or the root, absolute on another machine, without a
  suffix, or in another case.
- Images that no table lists are rows without a label; a whole folder of them is left out.
- Unless the settings require a table, it must list at least half of the images, and class
  folders with the same classes have priority.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import PurePosixPath

from darkroom.errors import UserError, nearest
from darkroom.index.columns import are_labels, find_columns
from darkroom.index.csv_file import OpenText, Table, read_table
from darkroom.index.finder import Finder, clean
from darkroom.index.listing import (
    Layout,
    Listing,
    Rows,
    few,
    given_part,
    joined,
    left_out,
    part_and_rest,
)

_SUFFIXES = (".csv", ".tsv")
_SAMPLE = 300  # rows that decide whether a CSV is a table of images and labels


def by_table(
    listing: Listing,
    cfg: Layout,
    open_text: OpenText | None,
    *,
    required: bool,
    folders: Rows | None = None,
) -> Rows | None:
    """Rows from a table, or from a pair of tables.

    Parameters
    ----------
    listing : the files.
    cfg : the settings `layout`, every key given.
    open_text : opens a CSV of the listing by its path. None: no table can be read.
    required : the settings require a table.
    folders : rows by class folders, to compare with a table that is not required.

    Returns
    -------
    The rows; None where no table adds to the folders and none is required.

    Raises
    ------
    UserError
        A required table or a configured column is missing.
    """
    names = _table_names(listing, cfg)
    if open_text is None or not names:
        if required:
            raise UserError(f"layout: no CSV was found{listing.seen()}; set layout.table")
        return None
    finder = Finder(listing)
    tables, why = [], ""
    for name in names:
        opened = open_text(name)
        try:
            table = read_table(name, opened, None if cfg["table"] else _SAMPLE)
            if table is not None:
                find_columns(table, finder, cfg, required)
                if required or are_labels(table):
                    tables.append(table)
        except UserError as error:
            why = why or str(error)
    if not tables:
        if required:
            raise UserError(why or f"layout: no CSV of path and label was found among {few(names)}")
        return None
    tables = _choose(tables, finder, open_text)
    rows = _table_rows(listing, finder, tables, cfg)
    found = sum(not t.startswith("missing") for t in rows.trouble)
    if required:
        if 2 * found < len(rows.path):
            table = tables[0]
            values = [r[table.path] for r in table.rows[:3]]
            raise UserError(
                f"layout: only {found:,} of the {len(rows.path):,} files in {table.name} (column "
                f"{table.header[table.path]!r}: {few(values)}) are among the files"
                f"{listing.seen()}; set layout.path_column or layout.root"
            )
        return rows
    labelled = {
        p: lb
        for p, lb, t in zip(rows.path, rows.label, rows.trouble, strict=True)
        if lb is not None and not t
    }
    if 2 * found < len(rows.path) or len(set(labelled.values())) < 2:
        return None
    if folders is not None:
        if 2 * len(labelled) < len(listing.images):
            return None
        adds_split = any(rows.split) and not any(folders.split)
        says_more = adds_split or any(rows.group) or any(rows.trouble)
        if not says_more and _same(labelled, folders):
            return None
    return rows


def _same(labelled: dict[str, str], folders: Rows) -> bool:
    """Whether the folders give the same classes, if under other names, to no fewer files."""
    if sum(label is not None for label in folders.label) < len(labelled):
        return False
    pairs: Counter[tuple[str, str]] = Counter()
    for path, label in zip(folders.path, folders.label, strict=True):
        if label is not None and path in labelled:
            pairs[label, labelled[path]] += 1
    usual = sum(pairs.values()) / 1000
    often = [p for p, n in pairs.items() if n > usual]
    return len({a for a, _ in often}) == len(often) == len({b for _, b in often})


def _table_names(listing: Listing, cfg: Layout) -> list[str]:
    """Candidate tables: the configured one, or the CSV files nearest to the top."""
    tables = [p for p in listing.companions if p.lower().endswith(_SUFFIXES)]
    if cfg["table"]:
        wanted = listing.root + clean(cfg["table"])
        if wanted not in listing.companions + listing.unknown:
            raise UserError(
                f"layout.table is {cfg['table']!r}: no such file"
                + nearest(cfg["table"], [p.removeprefix(listing.root) for p in tables])
            )
        return [wanted]
    tables = [p for p in tables if "submission" not in p.rpartition("/")[2].lower()]
    return sorted(tables, key=lambda p: (p.count("/"), len(p), p))[:20]


def _choose(tables: list[Table], finder: Finder, open_text: OpenText) -> list[Table]:
    """The tables to use, read completely: a pair of parts, or the table that lists most files."""
    pairs: dict[str, dict[str, Table]] = defaultdict(dict)
    for table in tables:
        full = read_table(table.name, open_text(table.name), None)
        assert full is not None
        table.rows = full.rows if table.first_line == 2 else [full.header, *full.rows]
        if table.part:
            rest = part_and_rest(PurePosixPath(table.name).stem)[1]
            pairs[rest].setdefault(table.part, table)
    for parts in pairs.values():
        if len(parts) > 1:
            return list(parts.values())

    def named(table: Table) -> int:
        found = (finder.find(r[table.path], table, None) for r in table.rows)
        return len({i for i in found if isinstance(i, int)})

    return [max(tables, key=named)] if len(tables) > 1 else tables


# ---------------------------------------------------------------- rows


def _table_rows(listing: Listing, finder: Finder, tables: list[Table], cfg: Layout) -> Rows:
    rows = Rows("table")
    first: dict[int, tuple[int, str]] = {}  # file -> its first row, and table and line of that row
    many = len(tables) > 1
    for table in tables:
        for line, cells in enumerate(table.rows, table.first_line):
            if table.onehot:
                name = next((table.header[i] for i in table.onehot if cells[i][:1] == "1"), "")
            else:
                name = cells[table.label]
            label = name or None
            where = f"{table.name}, row {line}"
            split = cells[table.split] if table.split >= 0 else table.part if many else None
            part = given_part(split) if split else None
            if split and part is None:
                raise UserError(
                    f"layout: {where}: {split!r} in column {table.header[table.split]!r} is none of "
                    "train, validation and test; choose another with layout.split_column"
                )
            group = cells[table.group] or None if table.group >= 0 else None
            found = finder.find(cells[table.path], table, label)
            path, trouble = clean(cells[table.path]), ""
            if found is None:
                trouble = f"missing: named in {where}, and not there"
            elif isinstance(found, list):
                several = few([finder.files[i] for i in found])
                trouble = f"missing: {where} may mean several files: {several}"
            else:
                path = finder.files[found]
                row, there = first.setdefault(found, (len(rows.path), where))
                if row < len(rows.path):
                    trouble = f"duplicate path: in {there} and {where}"
                    if rows.label[row] != label:
                        trouble += f", with the labels {rows.label[row]!r} and {label!r}"
                        rows.trouble[row] = trouble
            rows.add(path, label, part, group, trouble)
    one = tables[0]
    columns = "one column per label" if one.onehot else repr(one.header[one.label])
    sentence = f"{len(rows.labels)} labels from {joined([t.name for t in tables])} (paths in {one.header[one.path]!r}, labels in {columns}"
    if one.split >= 0:
        sentence += f", splits in {one.header[one.split]!r}"
    if one.group >= 0:
        sentence += f", groups in {one.header[one.group]!r}"
    rows.sentences.append(f"{sentence}; {len(rows.path):,} rows)")
    if not any(rows.split) and cfg["split"] is None:
        _splits_by_folder(rows)
    _without_row(finder, rows, set(first), listing)
    return rows


def _splits_by_folder(rows: Rows) -> None:
    """Set given parts from folder names; for a table without any."""
    folders = [path.rpartition("/")[0] for path in rows.path]
    parts = {
        folder: next(filter(None, map(given_part, folder.split("/"))), None)
        for folder in dict.fromkeys(folders)
    }
    if len(set(parts.values()) - {None}) > 1:
        rows.split = [parts[folder] for folder in folders]
        rows.sentences.append("splits from the folders' names")


def _without_row(finder: Finder, rows: Rows, named: set[int], listing: Listing) -> None:
    """Add images that no table lists as rows without a label, unless their whole folder is unlisted."""
    used = {finder.files[i].rpartition("/")[0] for i in named}
    left: Counter[str] = Counter()
    for i, path in enumerate(finder.files):
        if i in named:
            continue
        folder = path.rpartition("/")[0]
        if i >= len(listing.images):
            rows.ignored += 1
        elif folder in used:
            rows.add(path, None)
        else:
            left[folder] += 1
            rows.ignored += 1
    rows.sentences += left_out(sorted(left.items()), "not in the table")
