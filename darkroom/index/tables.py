"""Labels, splits and groups from the tables of a data set: CSV, or JSON lines.

A table has a path column and a label column, or one column of 0 and 1 per label; split and
group are optional. Tables that divide the images are read together: train.csv and test.csv, or
one of the same columns in each folder. All common dialects and encodings are read, with or
without a header. Columns are recognised by name and content.

- A path may be relative to the table or the root, absolute on another machine, without a
  suffix, or in another case.
- Images that no table lists are rows without a label; a whole folder of them is left out where
  its name says that they have none (test, masks).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from darkroom.errors import UserError, nearest
from darkroom.index.columns import are_labels, find_columns, ones, part_of_flags
from darkroom.index.csv_file import JSON_LINES, OpenText, Table, read_table
from darkroom.index.finder import Finder, clean
from darkroom.index.folder_names import MASKS, unlabelled
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

_SUFFIXES = (".csv", ".tsv", *JSON_LINES)
_SAMPLE = 300  # rows that decide whether a CSV is a table of images and labels
_MOST = 200  # tables looked at
_SEVERAL = "may mean several files"
_MISSING = {"nan", "<na>", "#n/a", "n/a", "nat"}  # as pandas and spreadsheets write no value


@dataclass
class Tables:
    """What the tables of a listing give.

    Attributes
    ----------
    readings : rows from the table that names most files, or from several read together; second,
        rows from another that names about as many.
    why : why the best of the other tables cannot be used, and what to set; empty without any.
    named : share of that table's rows that name a file.
    likely : some column of that table may be the label.
    cells : of that table's first rows: the cell of each file, a mapping for each column.
    unclear : folders beside that table may be no classes, by what it names.
    """

    readings: list[Rows] = field(default_factory=list)
    why: str = ""
    named: float = -1.0
    likely: bool = False
    cells: list[dict[str, str]] = field(default_factory=list)
    unclear: bool = False

    def refuse(
        self,
        why: str,
        named: float,
        likely: bool = False,
        cells: list[dict[str, str]] | None = None,
        unclear: bool = False,
    ) -> None:
        """Note why a table cannot be used; the one that names most files counts."""
        if named > self.named:
            self.why, self.named, self.likely, self.cells = why, named, likely, cells or []
            self.unclear = unclear


def by_tables(
    listing: Listing, cfg: Layout, open_text: OpenText | None, *, required: bool
) -> Tables:
    """Rows from the tables of a listing.

    Parameters
    ----------
    listing : the files.
    cfg : the settings `layout`, every key given.
    open_text : opens a CSV of the listing by its path. None: no table can be read.
    required : the settings require a table.

    Raises
    ------
    UserError
        A required table or a configured column is missing.
    """
    found = Tables()
    names = _table_names(listing, cfg)
    if open_text is None or not names:
        if required:
            raise UserError(f"layout: no CSV was found{listing.seen()}; set layout.table")
        return found
    finder = Finder(listing)
    tables = []
    for name in names:
        try:
            table = read_table(name, open_text(name), None if cfg["table"] else _SAMPLE)
            if table is None:
                found.refuse(f"{name} has no column beside the first, or no rows", -0.5)
                continue
            why = find_columns(table, finder, cfg, required)
            if not why and not cfg["table"]:  # the sample may be of one label alone
                table = read_table(name, open_text(name), None) or table
                why = find_columns(table, finder, cfg, required)
        except UserError as error:
            if cfg["table"] or (required and len(names) == 1):
                raise
            found.refuse(str(error).removeprefix("layout: "), 0.0)
            continue
        if why or not (required or are_labels(table)):
            why = why or (
                f"nearly every row of {name} has a label of its own in column "
                f"{table.header[table.label]!r}; set layout.label_column"
            )
            found.refuse(
                why, table.named, table.likely, _cells(table, finder), unclear=table.unclear
            )
        else:
            tables.append(table)
    tables = _with_labels(tables)
    together = [tables] if cfg["table"] and tables else _together(tables)
    for some in together:
        rows = _table_rows(listing, finder, some, cfg)
        if why := _unfit(rows, some[0], listing):
            found.refuse(why, some[0].named, unclear=some[0].unclear)
            continue
        _without_row(finder, rows, listing, joined([table.name for table in some][:3]))
        found.readings.append(rows)
    found.readings.sort(key=_covered, reverse=True)
    if not found.readings and required:
        raise UserError(
            f"layout: {found.why or f'no CSV of path and label was found among {few(names)}'}"
        )
    return found


def _with_labels(tables: list[Table]) -> list[Table]:
    """Without those whose guessed label is a further column of a table that has the label.

    `test.csv` of `id,age` beside `train.csv` of `id,age,target`.
    """
    others = {
        cell.casefold()
        for table in tables
        if not table.weak
        for i, cell in enumerate(table.header)
        if i != table.label
    }
    return [t for t in tables if not t.weak or t.header[t.label].casefold() not in others]


def _cells(table: Table, finder: Finder) -> list[dict[str, str]]:
    if not table.likely or table.path < 0:
        return []
    rows = table.rows[:_SAMPLE]
    files = [finder.find(table.file(row), table, None) for row in rows]
    there = [
        (finder.files[i], row) for i, row in zip(files, rows, strict=True) if isinstance(i, int)
    ]
    return [
        {path: row[i] for path, row in there} for i in range(len(table.header)) if i != table.path
    ]


def _covered(rows: Rows) -> int:
    """Images that the rows give a label."""
    pairs = zip(rows.label, rows.trouble, strict=True)
    return sum(label is not None and not trouble for label, trouble in pairs)


def _unfit(rows: Rows, table: Table, listing: Listing) -> str:
    """Why rows cannot be what the table is meant for; empty where they can."""
    missing = [p for p, t in zip(rows.path, rows.trouble, strict=True) if t.startswith("missing")]
    unclear = [t.removeprefix("missing: ") for t in rows.trouble if _SEVERAL in t]
    if 2 * len(unclear) > len(rows.path):
        once = len(set(rows.path)) == len(rows.path)  # else a row for each file, without its folder
        table.unclear = once and not table.weak
        return (
            f"{len(unclear):,} of the {len(rows.path):,} rows name no single file: {unclear[0]}; write the "
            f"folder into column {table.header[table.path]!r}, or set layout.root"
        )
    if 2 * len(missing) > len(rows.path):
        found = len(rows.path) - len(missing)
        return (
            f"only {found:,} of the {len(rows.path):,} files in {table.name} (column "
            f"{table.header[table.path]!r}) are among the files; not there is, for example, "
            f"{missing[0]!r}{listing.seen()}; set layout.path_column or layout.root, or add the files"
        )
    labels = rows.labels
    several = sum("with the labels" in trouble for trouble in rows.trouble)
    if 2 * several > len(rows.path):
        return (
            f"{table.name} gives most images several rows, with different labels (for boxes or findings?), and "
            "an image has one label here: write a CSV of one row an image"
        )
    if len(labels) < 2:
        return (
            f"{table.name} has one label only, {few([repr(lb) for lb in labels]) or 'none'} ({len(rows.path):,} "
            "rows): at least two classes are needed; set layout.label_column"
        )
    return ""


def _table_names(listing: Listing, cfg: Layout) -> list[str]:
    """Candidate tables: the configured ones, or the CSV files nearest to the top."""
    tables = [p for p in listing.companions if p.lower().endswith(_SUFFIXES)]
    if cfg["table"]:
        asked = [cfg["table"]] if isinstance(cfg["table"], str) else cfg["table"]
        there = {*listing.companions, *listing.unknown}
        for name in asked:
            if listing.root + clean(name) not in there:
                raise UserError(
                    f"layout.table is {name!r}: no such file"
                    + nearest(name, [p.removeprefix(listing.root) for p in tables])
                )
        return [listing.root + clean(name) for name in asked]
    tables = [p for p in tables if "submission" not in p.rpartition("/")[2].lower()]
    return sorted(tables, key=lambda p: (p.count("/"), len(p), p))[:_MOST]


def _together(tables: list[Table]) -> list[list[Table]]:
    """The tables of one data set together, then each by itself."""
    pairs: dict[str, dict[str, Table]] = defaultdict(dict)
    alike: dict[tuple[str, ...], dict[str, Table]] = defaultdict(dict)
    for table in tables:
        path = PurePosixPath(table.name)
        if table.part:
            pairs[part_and_rest(path.stem)[1]].setdefault(table.part, table)
        stem = "".join(c for c in path.stem.casefold() if not c.isdigit())
        for key in ((stem,), ("columns", *(h.casefold() for h in table.header))):
            alike[key].setdefault(str(path.parent), table)
    several = [list(some.values()) for some in (*pairs.values(), *alike.values()) if len(some) > 1]
    several = list({tuple(t.name for t in some): some for some in several}.values())
    used = {table.name for some in several for table in some}
    return several + [[table] for table in tables if table.name not in used]


# ---------------------------------------------------------------- rows


def _table_rows(listing: Listing, finder: Finder, tables: list[Table], cfg: Layout) -> Rows:
    rows = Rows("table", weak=any(table.weak for table in tables))
    first: dict[int, tuple[int, str]] = {}  # file -> its first row, and table and line of that row
    parts = {table.name: table.part or _part_of_folder(table.name) for table in tables}
    if len(set(parts.values())) < 2:
        parts = {}
    repeated = 0
    for table in tables:
        for line, cells in enumerate(table.rows, table.first_line):
            where = f"{table.name}, row {line}"
            label, trouble = _label(table, cells, where)
            part = parts.get(table.name)
            if table.split >= 0 and cells[table.split]:
                part = given_part(cells[table.split])
                if part is None:
                    raise UserError(
                        f"layout: {where}: {cells[table.split]!r} in column "
                        f"{table.header[table.split]!r} is none of train, validation and test; choose "
                        "another with layout.split_column"
                    )
            elif table.flags:
                part = part_of_flags(table, cells)
            group = cells[table.group] or None if table.group >= 0 else None
            found = finder.find(table.file(cells), table, label)
            path = clean(table.file(cells))
            if found is None:
                trouble = f"missing: named in {where}, and not there"
            elif isinstance(found, list):
                several = few([finder.files[i] for i in found])
                trouble = f"missing: {where} {_SEVERAL}: {several}"
            else:
                path = finder.files[found]
                row, there = first.setdefault(found, (len(rows.path), where))
                if row < len(rows.path) and (rows.label[row], rows.split[row]) == (label, part):
                    repeated += 1  # an image of several boxes of one class, say
                    continue
                if row < len(rows.path):
                    trouble = f"duplicate path: in {there} and {where}"
                    if rows.label[row] != label:
                        trouble += f", with the labels {rows.label[row]!r} and {label!r}"
                        rows.trouble[row] = trouble
            rows.add(path, label, part, group, trouble)
    rows.sentences.append(_sentence(rows, tables))
    if repeated:
        rows.sentences.append(f"{repeated:,} rows repeat a file with its label, and count once")
    rows.warnings += _told(tables, rows.labels)
    names = [table.name.removeprefix(listing.root) for table in tables]
    several = f"[{', '.join(names)}]" if len(names) > 1 else names[0]
    rows.choose = f"layout: {{table: {several}}}" if len(names) < 6 else "layout: {kind: table}"
    if not any(rows.split) and cfg["split"] is None:
        _splits_by_folder(rows)
    return rows


def _label(table: Table, cells: list[str], where: str) -> tuple[str | None, str]:
    """The label of a row, and what is wrong with it."""
    if not table.onehot:
        name = cells[table.label]
        if name and name.casefold() not in _MISSING:
            return name, ""
        return None, f"no label: {where} has {name!r}"
    found = ones(table, cells, table.onehot)
    if len(found) == 1:
        return table.header[found[0]], ""
    return None, f"no label: {where} has {len(found) or 'none'} of its columns of labels set to 1"


def _told(tables: list[Table], labels: list[str]) -> list[str]:
    """What looks like a mistake in the tables that give the labels."""
    told = list(dict.fromkeys(one for table in tables for one in table.told))
    odd = [label for label in labels if not label.isascii()]
    for table in tables:
        if table.weak:
            column = table.header[table.label]
            told.append(
                f"column {column!r} of {table.name} is taken for the label, and its name does not say so: "
                f"set layout.label_column: {column} if it is, or another"
            )
        if table.encoding and odd:
            told.append(
                f"{table.name} is not UTF-8, and is read as {table.encoding}: if a label is wrong, such as "
                f"{odd[0]!r}, save the file as UTF-8"
            )
    return told


def _part_of_folder(path: str) -> str | None:
    """The given part that the innermost such folder of a path names."""
    folders = path.split("/")[-2::-1]
    return next(filter(None, map(given_part, folders)), None)


def _sentence(rows: Rows, tables: list[Table]) -> str:
    one = tables[0]
    columns = "one column per label" if one.onehot else repr(one.header[one.label])
    names = [table.name for table in tables]
    listed = joined(names) if len(names) < 6 else f"{joined(names[:3])} and {len(names) - 3} more"
    sentence = (
        f"{len(rows.labels)} labels from {listed} (paths in {one.header[one.path]!r}, labels in "
        f"{columns}"
    )
    splits = [one.split] if one.split >= 0 else list(one.flags)
    if splits:
        sentence += f", splits in {joined([repr(one.header[i]) for i in splits])}"
    if one.group >= 0:
        sentence += f", groups in {one.header[one.group]!r}"
    return f"{sentence}; {len(rows.path):,} rows)"


def _splits_by_folder(rows: Rows) -> None:
    """Set given parts from folder names; for a table without any."""
    folders = [path.rpartition("/")[0] for path in rows.path]
    parts = {folder: _part_of_folder(f"{folder}/") for folder in dict.fromkeys(folders)}
    if len(set(parts.values()) - {None}) > 1:
        rows.split = [parts[folder] for folder in folders]
        rows.sentences.append("splits from the folders' names")


def _without_row(finder: Finder, rows: Rows, listing: Listing, tables: str) -> None:
    """Add images that no table lists as rows without a label.

    A whole folder of them is left out where its name says that they have none.
    """
    named = set(rows.path)
    used = {path.rpartition("/")[0] for path in finder.files if path in named}
    left: Counter[str] = Counter()
    lacking = 0
    for i, path in enumerate(finder.files):
        if path in named:
            continue
        folder = path.rpartition("/")[0]
        if i >= len(listing.images):
            rows.ignored += 1
        elif folder in used or not _no_labels_there(folder):
            rows.add(path, None, trouble=f"no label: not named in {tables}")
            lacking += 1
        else:
            left[folder] += 1
            rows.ignored += 1
    if lacking:
        rows.warnings.append(f"{lacking:,} images are not named in {tables}, and have no label")
    rows.sentences += left_out(sorted(left.items()), "not in the table")


def _no_labels_there(folder: str) -> bool:
    return any(unlabelled(name) or name.casefold() in MASKS for name in folder.split("/"))
