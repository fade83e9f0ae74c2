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

import csv
import io
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import PurePosixPath
from typing import IO

from darkroom.errors import UserError, nearest
from darkroom.index.listing import (
    Layout,
    Listing,
    Rows,
    few,
    given_part,
    joined,
    left_out,
    part_and_rest,
    words,
)

_Opened = str | bytes | IO[str] | IO[bytes]
OpenText = Callable[[str], _Opened]

_SUFFIXES = (".csv", ".tsv")
_SAMPLE = 300  # rows that decide whether a CSV is a table of images and labels
_SAMPLE_BYTES = 200_000
_END = "\0end"  # a line added after the last: it joins a field where a quote is still open
_PATH_NAMES = words(
    """
    path paths filepath filepaths file_path file_paths image_path img_path image_paths rel_path
    relative_path filename filenames file_name file_names file files fname image_file image_filename
    image_file_name image_name img_name imagename image img images picture photo image_id imageid
    img_id image_index id_code isic_id id uuid name
    """
)
_LABEL_NAMES = words(
    """
    label_name class_name classname category_name label labels class classes category categories
    species breed diagnosis dx finding finding_label finding_labels target targets tag tags y type
    class_id classid label_id labelid category_id class_index
    """
)
_LABEL_WORDS = {"label", "labels", "class", "category", "species", "target", "diagnosis"}
_SPLIT_NAMES = words(
    "split splits set subset part partition data_set dataset dataset_type usage phase fold"
)
_GROUP_NAMES = words(
    """
    group group_id groupid patient patient_id patientid patient_nr subject subject_id subjectid
    lesion_id person person_id case_id caseid individual_id individual participant participant_id
    """
)

csv.field_size_limit(2**31 - 1)  # the default refuses fields over 128 KiB


@dataclass
class _Table:
    """A CSV and the indices of its columns, -1: none.

    `part` comes from the table's name. `loose`: the folders in its paths may differ from those
    of the files.
    """

    name: str
    header: list[str]
    rows: list[list[str]]
    part: str | None
    first_line: int = 2
    path: int = -1
    label: int = -1
    onehot: list[int] = field(default_factory=list)
    split: int = -1
    group: int = -1
    loose: bool = False


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
    finder = _Finder(listing)
    tables, why = [], ""
    for name in names:
        opened = open_text(name)
        try:
            table = _read_table(name, opened, None if cfg["table"] else _SAMPLE)
            if table is not None:
                _find_columns(table, finder, cfg, required)
                if required or _are_labels(table):
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


# ---------------------------------------------------------------- reading


def _table_names(listing: Listing, cfg: Layout) -> list[str]:
    """Candidate tables: the configured one, or the CSV files nearest to the top."""
    tables = [p for p in listing.companions if p.lower().endswith(_SUFFIXES)]
    if cfg["table"]:
        wanted = listing.root + _clean(cfg["table"])
        if wanted not in listing.companions + listing.unknown:
            raise UserError(
                f"layout.table is {cfg['table']!r}: no such file"
                + nearest(cfg["table"], [p.removeprefix(listing.root) for p in tables])
            )
        return [wanted]
    tables = [p for p in tables if "submission" not in p.rpartition("/")[2].lower()]
    return sorted(tables, key=lambda p: (p.count("/"), len(p), p))[:20]


def _read_table(name: str, opened: _Opened, limit: int | None) -> _Table | None:
    """Header and rows (at most `limit`) of a CSV in any common dialect and encoding.

    An unmatched quote ends a sample; without a limit, or in the first rows, it is an error.
    """
    if isinstance(opened, (str, bytes)):
        text = _text(opened)
    else:
        with opened:
            block = opened.read() if limit is None else opened.read(_SAMPLE_BYTES)
        text = _text(block)
        if limit is not None and len(block) == _SAMPLE_BYTES:
            text = text.rpartition("\n")[0]
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's hint
        text, delimiter = text.split("\n", 1)[-1], first[4]
        first = text.split("\n", 1)[0]
    else:
        delimiter = max(",;\t|", key=first.count)
    if delimiter not in first:
        return None
    rows: list[list[str]] = []
    reader = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=delimiter)
    line = 1
    for row in reader:
        if row == [_END]:
            break
        if reader.line_num > line and _unmatched(row, delimiter, first.count(delimiter)):
            if limit is None or len(rows) < 2:
                raise UserError(
                    f'layout: {name} has an unmatched quote (") about line {line:,}, and the lines '
                    "after it are read as part of one field; close the quote or remove it, or set "
                    "layout.kind to folders to ignore the table"
                )
            break
        line = reader.line_num + 1
        cells = [cell.strip() for cell in row]
        if any(cells):
            rows.append(cells)
        if limit is not None and len(rows) > limit:
            break
    if len(rows) < 2:
        return None
    width = len(rows[0])
    rows = [r + [""] * (width - len(r)) for r in rows]
    return _Table(name, rows[0], rows[1:], part_and_rest(PurePosixPath(name).stem)[0])


def _unmatched(row: list[str], delimiter: str, usual: int) -> bool:
    """Whether a quote is open at the end, or a field contains many lines that look like rows."""
    if row[-1].endswith(_END):
        return True
    for cell in row:
        lines = cell.splitlines()[1:-1]
        if len(lines) >= 10:
            alike = sum(line.count(delimiter) == usual for line in lines)
            if 10 * alike >= 9 * len(lines):
                return True
    return False


def _text(data: str | bytes) -> str:
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:  # the block ends within a character
            return data[: error.start].decode("utf-8-sig")
        return data.decode("cp1252", "replace")


def _choose(tables: list[_Table], finder: _Finder, open_text: OpenText) -> list[_Table]:
    """The tables to use, read completely: a pair of parts, or the table that lists most files."""
    pairs: dict[str, dict[str, _Table]] = defaultdict(dict)
    for table in tables:
        full = _read_table(table.name, open_text(table.name), None)
        assert full is not None
        table.rows = full.rows if table.first_line == 2 else [full.header, *full.rows]
        if table.part:
            rest = part_and_rest(PurePosixPath(table.name).stem)[1]
            pairs[rest].setdefault(table.part, table)
    for parts in pairs.values():
        if len(parts) > 1:
            return list(parts.values())

    def named(table: _Table) -> int:
        found = (finder.find(r[table.path], table, None) for r in table.rows)
        return len({i for i in found if isinstance(i, int)})

    return [max(tables, key=named)] if len(tables) > 1 else tables


# ---------------------------------------------------------------- columns


def _find_columns(table: _Table, finder: _Finder, cfg: Layout, required: bool) -> None:
    """Set the columns of the table; raises UserError without a path or a label column."""
    sample = table.rows[:: max(1, len(table.rows) // 200)][:200]

    def is_file(cell: str) -> bool:
        return finder.find(cell, table, None) is not None

    if not cfg["path_column"] and any("." in cell and is_file(cell) for cell in table.header):
        table.rows.insert(0, table.header)  # no header: the first line names a file
        table.first_line = 1
        table.header = [str(i + 1) for i in range(len(table.header))]
    plain = [_plain(h) for h in table.header]

    def set_column(key: str, wanted: str | None) -> int:
        if not wanted:
            return -1
        if wanted in table.header:
            return table.header.index(wanted)
        if _plain(wanted) in plain:
            return plain.index(_plain(wanted))
        raise UserError(
            f"layout.{key} is {wanted!r}: {table.name} has no such column"
            + nearest(wanted, table.header)
        )

    table.path = set_column("path_column", cfg["path_column"])
    table.label = set_column("label_column", cfg["label_column"])
    likely = {table.path} if table.path >= 0 else set(range(len(plain))) - {table.label}
    for table.loose in (False, True):
        shares = [
            sum(is_file(r[i]) for r in sample) / len(sample) if i in likely else 0.0
            for i in range(len(plain))
        ]
        if max(shares) >= 0.5:
            break
    if table.path < 0:
        table.path = _path_column(plain, shares, required)
    if table.path < 0:
        raise UserError(
            f"layout: no column of {table.name} ({few(table.header)}) names the image files; "
            "set layout.path_column"
        )
    if table.label < 0:
        table.label = _label_column(plain, table.path)
    if table.label < 0:
        table.onehot = _one_hot(table)
        if not table.onehot:
            raise UserError(
                f"layout: no column of {table.name} ({few(table.header)}) is the label; "
                "set layout.label_column"
            )
    taken = {-1, table.path, table.label, *table.onehot}
    table.split = set_column("split_column", cfg["split_column"])
    if table.split < 0 and cfg["split"] is None:
        split = _first_named(_SPLIT_NAMES, plain)
        if split not in taken and _all_parts({r[split] for r in table.rows if r[split]}):
            table.split = split
    table.group = set_column("group_column", cfg["group_column"])
    if table.group < 0:
        table.group = _first_named(_GROUP_NAMES, plain)
    if table.group in taken:
        table.group = -1


def _first_named(names: list[str], plain: list[str]) -> int:
    return next((plain.index(n) for n in names if n in plain), -1)


def _path_column(plain: list[str], shares: list[float], required: bool) -> int:
    """Path column by its name, else by `shares`: the fraction of a column's cells that are files."""
    best = max(shares)
    named = [plain.index(n) for n in _PATH_NAMES if n in plain]
    good = [i for i in named if shares[i] >= 0.5 and shares[i] > 0.8 * best]
    if good:
        return good[0]
    if best >= 0.9:
        return shares.index(best)
    return named[0] if named and required else -1


def _label_column(plain: list[str], path: int) -> int:
    for name in _LABEL_NAMES:
        if name in plain and plain.index(name) != path:
            return plain.index(name)
    loose = [i for i, p in enumerate(plain) if i != path and _LABEL_WORDS & set(p.split("_"))]
    if len(loose) == 1:
        return loose[0]
    return 1 - path if len(plain) == 2 else -1


def _one_hot(table: _Table) -> list[int]:
    """Columns of 0 and 1 with one 1 in each row: their names are the labels."""
    found = [
        i
        for i in range(len(table.header))
        if i != table.path and {r[i] for r in table.rows} <= {"0", "1", "0.0", "1.0"}
    ]
    if len(found) > 1 and all(sum(r[i][:1] == "1" for i in found) == 1 for r in table.rows):
        return found
    return []


def _are_labels(table: _Table) -> bool:
    """Whether values repeat, as labels do and sizes do not."""
    if table.onehot:
        return True
    values = [r[table.label] for r in table.rows]
    return len(values) <= 20 or 2 * len(set(values)) <= len(values)


def _all_parts(values: set[str]) -> bool:
    return bool(values) and all(given_part(v) for v in values)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


# ---------------------------------------------------------------- files


class _Finder:
    """Looks up files of the listing by the paths or names in a table."""

    def __init__(self, listing: Listing) -> None:
        self.files = listing.images + listing.unknown
        self.root = listing.root
        self.exact = {path: i for i, path in enumerate(self.files)}

    def find(self, value: str, table: _Table, label: str | None) -> int | list[int] | None:
        """Index of a value's file; a list of indices where it is ambiguous; None: missing."""
        value = _clean(value)
        if not value:
            return None
        folder = table.name.rpartition("/")[0]
        for base in (folder + "/" if folder else "", self.root, ""):
            if (i := self.exact.get(base + value)) is not None:
                return i
        name = value.rpartition("/")[2]
        candidates = (
            self._by_name.get(name) or self._by_stem.get(name) or self._by_folded.get(_fold(name))
        )
        if not candidates:
            return None
        return self._best(candidates, value, folder, table, label)

    def _best(
        self, candidates: list[int], value: str, folder: str, table: _Table, label: str | None
    ) -> int | list[int] | None:
        wanted = _fold(value.rpartition("/")[0]).split("/")[::-1]

        def common(i: int) -> int:
            have = _fold(self.files[i].rpartition("/")[0]).split("/")[::-1]
            n = 0
            while n < min(len(wanted), len(have)) and wanted[n] and wanted[n] == have[n]:
                n += 1
            return n

        if wanted != [""] and not table.loose:  # train/1.jpg is never test/1.jpg
            candidates = [i for i in candidates if common(i) or "/" not in self.files[i]]
            if not candidates:
                return None
        if len(candidates) > 1:
            tests: list[Callable[[int], int]] = [common]
            if table.part:
                tests.append(
                    lambda i: table.part in {given_part(p) for p in self.files[i].split("/")[:-1]}
                )
            if label:
                tests.append(lambda i: _fold(label) in _fold(self.files[i]).split("/")[:-1])
            if folder:
                tests.append(lambda i: self.files[i].startswith(folder + "/"))
            for test in tests:
                best = max(map(test, candidates))
                candidates = [i for i in candidates if test(i) == best]
        return candidates[0] if len(candidates) == 1 else candidates

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        names: dict[str, list[int]] = defaultdict(list)
        for i, path in enumerate(self.files):
            names[path.rpartition("/")[2]].append(i)
        return names

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        stems: dict[str, list[int]] = defaultdict(list)
        for name, found in self._by_name.items():
            stems[name.rpartition(".")[0] or name] += found
        return stems

    @cached_property
    def _by_folded(self) -> dict[str, list[int]]:
        folded: dict[str, list[int]] = defaultdict(list)
        for names in (self._by_name, self._by_stem):
            for name, found in names.items():
                folded[_fold(name)] += found
        # A name without a suffix is its own stem.
        return {name: list(dict.fromkeys(found)) for name, found in folded.items()}


def _clean(value: str) -> str:
    value = value.strip().replace("\\", "/")
    while value.startswith("./"):
        value = value[2:]
    return re.sub(r"/{2,}", "/", value).strip("/")


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


# ---------------------------------------------------------------- rows


def _table_rows(listing: Listing, finder: _Finder, tables: list[_Table], cfg: Layout) -> Rows:
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
            path, trouble = _clean(cells[table.path]), ""
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


def _without_row(finder: _Finder, rows: Rows, named: set[int], listing: Listing) -> None:
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
