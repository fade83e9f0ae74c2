"""A table of a data set: a CSV in any usual dialect and encoding, or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import IO, Any

from darkroom.errors import UserError
from darkroom.index.listing import part_and_rest

Opened = str | bytes | IO[str] | IO[bytes]
OpenText = Callable[[str], Opened]

JSON_LINES = (".jsonl", ".ndjson")
"""Suffixes of files with a JSON object in each line, such as Hugging Face's metadata.jsonl."""

_SAMPLE_BYTES = 200_000
TITLES = 5  # lines above a header, at most
_END = "\0end"  # a line added after the last: it joins a field where a quote is still open

csv.field_size_limit(2**31 - 1)  # the default refuses fields over 128 KiB


@dataclass
class Table:
    """A CSV and the indices of its columns, -1: none.

    Attributes
    ----------
    name, header, rows : path of the file; cells without blanks at their ends.
    part : given part, from the table's name.
    first_line : line of the first row, for messages.
    path, label, split, group : columns.
    folder : column of the files' folders, where `path` has their names alone.
    onehot : columns of 0 and 1 whose names are the labels, in place of `label`.
    flags : columns of yes and no, such as `is_test`, and the given part of each.
    loose : folders in its paths may differ from those of the files.
    named : share of its rows that name a file, by a sample.
    weak : the name of the label's column may mean something else.
    encoding : that its text was read by, where nothing proves it.
    told : what looks like a mistake, for the log.
    likely : some column may be the label, though none is taken for it.
    unclear : folders beside it may be no classes: it names them, several files in a row, or groups.
    """

    name: str
    header: list[str]
    rows: list[list[str]]
    part: str | None
    first_line: int = 2
    path: int = -1
    folder: int = -1
    label: int = -1
    onehot: list[int] = field(default_factory=list)
    split: int = -1
    flags: dict[int, str] = field(default_factory=dict)
    group: int = -1
    loose: bool = False
    named: float = 0.0
    weak: bool = False
    encoding: str = ""
    told: list[str] = field(default_factory=list)
    likely: bool = False
    unclear: bool = False

    def file(self, cells: list[str]) -> str:
        """The file that a row names, with its folder."""
        name = cells[self.path]
        return f"{cells[self.folder]}/{name}" if self.folder >= 0 else name


def read_table(name: str, opened: Opened, limit: int | None) -> Table | None:
    """Header and rows (at most `limit`) of a CSV in any common dialect and encoding, or of JSON lines.

    An unmatched quote ends a sample; without a limit, or in the first rows, it is an error.
    """
    if isinstance(opened, (str, bytes)):
        text, encoding = _text(opened)
    else:
        with opened:
            block = opened.read() if limit is None else opened.read(_SAMPLE_BYTES)
        text, encoding = _text(block)
        if limit is not None and len(block) == _SAMPLE_BYTES:
            text = text.rpartition("\n")[0]
    part = part_and_rest(PurePosixPath(name).stem)[0]
    if name.lower().endswith(JSON_LINES):
        rows = _json_lines(name, text)[: limit and limit + 1]
        return Table(name, rows[0], rows[1:], part, first_line=1) if len(rows) > 1 else None
    text, line = _without_comments(text)
    first = text.split("\n", 1)[0]
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's hint
        text, delimiter = text.split("\n", 1)[-1], first[4]
        first = text.split("\n", 1)[0]
    else:
        delimiter = _delimiter(text)
    if delimiter not in first and (spaced := _by_blanks(text)) is not None:
        text, delimiter = spaced, "\t"
        first = text.split("\n", 1)[0]
    while delimiter not in first and line < TITLES:
        _, _, text = text.partition("\n")
        first, line = text.split("\n", 1)[0], line + 1
        delimiter = max(",;\t|", key=first.count)
    if delimiter not in first:
        return None
    rows = []
    reader = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=delimiter)
    before = 1
    for row in reader:
        if row == [_END]:
            break
        if reader.line_num > before and _unmatched(row, delimiter, first.count(delimiter)):
            if limit is None or len(rows) < 2:
                raise UserError(
                    f'layout: {name} has an unmatched quote (") about line {before + line:,}, and the lines '
                    "after it are read as part of one field; close the quote or remove it, or set "
                    "layout.kind to folders to ignore the table"
                )
            break
        before = reader.line_num + 1
        cells = [cell.strip() for cell in row]
        if any(cells):
            rows.append(cells)
        if limit is not None and len(rows) > limit:
            break
    if len(rows) < 2:
        return None
    width = max(map(len, rows[: TITLES + 1]))
    rows = [r + [""] * (width - len(r)) for r in rows]
    rows[0][0] = rows[0][0].removeprefix("#").lstrip()  # a header that is written as a comment
    return Table(name, rows[0], rows[1:], part, first_line=2 + line, encoding=encoding)


def _delimiter(text: str) -> str:
    """The delimiter that the first two lines have most of; a header alone may have others in its names."""
    first, second = [*text.split("\n", 2)[:2], ""][:2]
    return max(",;\t|", key=lambda d: (min(first.count(d), second.count(d)), first.count(d)))


def _json_lines(name: str, text: str) -> list[list[str]]:
    """The keys of all objects as a header, and a row of values for each object."""
    objects: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            value = line
        if value is not None and not isinstance(value, dict):
            raise UserError(
                f"layout: {name}, line {number}: not a JSON object; correct the line or remove the file"
            )
        objects.append(value or {})
    header = list(dict.fromkeys(key for one in objects for key in one))
    return [header, *([_cell(one.get(key)) for key in header] for one in objects)] if header else []


def _cell(value: Any) -> str:
    """A value as a cell of a CSV has it: `true` is 1, and a missing one is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _without_comments(text: str) -> tuple[str, int]:
    """The text from its header on, and the number of comment lines (`# …`) before it."""
    text, line = text.lstrip("\r\n"), 0
    while text.startswith("#"):
        first, _, rest = text.partition("\n")
        after = rest.split("\n", 1)[0]
        if not after or max(map(first.count, ",;\t|")) >= max(map(after.count, ",;\t|")) > 0:
            break  # the header itself
        text, line = rest, line + 1
    return text, line


def _by_blanks(text: str) -> str | None:
    """Lines of `path label`, with tabs between; None where the lines are not such."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or len(lines[0]) < 2 or len({len(line) for line in lines}) > 1:
        return None
    return "\n".join("\t".join(line) for line in lines) + "\n"


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


def text_of(opened: Opened) -> str:
    """The text of a file, whatever its encoding."""
    if isinstance(opened, (str, bytes)):
        return _text(opened)[0]
    with opened:
        return _text(opened.read())[0]


def _text(data: str | bytes) -> tuple[str, str]:
    """The text of a block, and its encoding where it was not told by the bytes."""
    if isinstance(data, str):
        return data.removeprefix("\ufeff"), ""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), ""
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", "replace"), ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:  # the block ends within a character
            return data[: error.start].decode("utf-8-sig"), ""
        return data.decode("cp1252", "replace"), "Windows-1252"
