"""Which column of a table names the files, and which gives label, split and group.

A column is chosen by its name and its values together. A name that may mean something else
(`y`, `type`) makes the table `weak`: class folders then have priority.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from darkroom.errors import UserError, nearest
from darkroom.index.csv_file import TITLES, Table
from darkroom.index.finder import Finder, without_zeros
from darkroom.index.listing import Layout, few, given_part, joined, words

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
    class_id classid label_id labelid category_id class_index scientific_name scientificname
    """
)
_WEAK_NAMES = {"y", "type", "tag", "tags"}
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
_NO_LABELS = {*_SPLIT_NAMES, *_GROUP_NAMES}
_FLAGS = {"": {"0", "0.0", "false", "no", "n", "f"}, "1": {"1", "1.0", "true", "yes", "y", "t"}}
_BINARY = {"0", "1", "0.0", "1.0", "true", "false"}
_SETS = {"data_set", "dataset"}  # which may also name where an image comes from
_MOST_PARTS = 10  # values of a column that may be a split
_SOME = 200  # rows that a column is judged by


def find_columns(table: Table, finder: Finder, cfg: Layout, required: bool) -> str:
    """Set the columns of the table.

    Returns
    -------
    Why the table cannot be used, with the setting to change; empty where it can.

    Raises
    ------
    UserError
        A configured column is missing.
    """
    _skip_titles(table)
    sample = _sample(table)

    def is_file(cell: str) -> bool:
        return finder.find(cell, table, None) is not None

    _more_cells(table, is_file)
    titles = {*_PATH_NAMES, *_LABEL_NAMES}
    if not cfg["path_column"] and any(
        cell and _plain(cell) not in titles and is_file(cell) for cell in table.header
    ):
        table.rows.insert(0, table.header)  # no header: the first line names a file
        table.first_line -= 1
        table.header = [str(i + 1) for i in range(len(table.header))]
    plain = [_plain(h) for h in table.header]

    def set_column(key: str, wanted: str | None) -> int:
        if not wanted:
            return -1
        if wanted in table.header:
            return table.header.index(wanted)
        if _plain(wanted) and _plain(wanted) in plain:
            return plain.index(_plain(wanted))
        raise UserError(
            f"layout.{key} is {wanted!r}: {table.name} has no such column"
            + nearest(wanted, table.header)
        )

    asked = cfg["label_column"]
    table.path = set_column("path_column", cfg["path_column"])
    if isinstance(asked, list):
        table.onehot = [set_column("label_column", name) for name in asked]
    else:
        table.label = set_column("label_column", asked)
    of_labels = {table.label, *table.onehot}
    likely = {table.path} if table.path >= 0 else set(range(len(plain))) - of_labels
    for table.loose in (False, True):
        shares = [
            sum(is_file(r[i]) for r in sample) / len(sample) if i in likely else 0.0
            for i in range(len(plain))
        ]
        if max(shares) >= 0.5:
            break
    if table.path < 0:
        if why := _of_folders(table, finder, shares):
            return why
        table.path = _path_column(plain, shares, required)
    if table.path < 0:
        return _no_path(table, plain, shares, finder)
    table.named = shares[table.path]
    _set_folder(table, finder)
    if table.label < 0 and not table.onehot:
        table.label, other = _label_column(table, plain)
        if other >= 0:
            table.likely = True
            either = f"{table.header[table.label]!r} and {table.header[other]!r}"
            return (
                f"columns {either} of {table.name} may both be the label, and divide the images "
                "differently; set layout.label_column to one"
            )
        table.onehot = [] if table.label >= 0 else _one_hot(table)
        if table.label < 0 and not table.onehot:
            table.unclear = _folders_are_groups(table, finder, _first_named(_GROUP_NAMES, plain))
            return _no_label(table)
    taken = {-1, table.path, table.label, *table.onehot}
    table.split = set_column("split_column", cfg["split_column"])
    if table.split < 0 and cfg["split"] is None:
        split = _first_named(_SPLIT_NAMES, plain)
        if split not in taken and _all_parts({r[split] for r in table.rows if r[split]}):
            table.split = split
        else:
            table.flags = {i: p for i, p in _flags(table, plain).items() if i not in taken}
            if not table.flags:
                table.told += _unread_split(table, plain, split, taken)
    table.group = set_column("group_column", cfg["group_column"])
    if table.group < 0:
        table.group = _first_named(_GROUP_NAMES, plain)
    if table.group in taken:
        table.group = -1
    return ""


def _skip_titles(table: Table) -> None:
    """Take the first line that names both a path and a label for the header: titles stand above it."""
    lines = [table.header, *table.rows[:TITLES]]
    for n, line in enumerate(lines):
        names = {_plain(cell) for cell in line}
        if names & {*_PATH_NAMES} and names & {*_LABEL_NAMES}:
            table.header, table.rows = line, table.rows[n:]
            table.first_line += n
            return


def _more_cells(table: Table, is_file: Callable[[str], bool]) -> None:
    """Name the column that R names not, that of the names of rows; else tell of rows of too many cells."""
    names = len(table.header)
    while names > 1 and not table.header[names - 1]:
        names -= 1
    long = [n for n, row in enumerate(table.rows) if any(row[names:])]
    if not long:
        return
    if len(long) == len(table.rows) and all(not any(row[names + 1 :]) for row in table.rows):
        one, next_one = (sum(is_file(row[i]) for row in _sample(table)) for i in (0, 1))
        if next_one >= one or _plain(table.header[0]) not in _PATH_NAMES:
            table.header.insert(0, table.header.pop())
            return
    row = table.rows[long[0]]
    table.told.append(
        f"{len(long):,} rows of {table.name} have more cells than its header, such as line "
        f"{table.first_line + long[0]} ({few(row[: names + 2])}): if a delimiter belongs to a label or a path, "
        "put that in quotes"
    )


def _unread_split(table: Table, plain: list[str], split: int, taken: set[int]) -> list[str]:
    """What to say of columns that may be a given split, and are not read as one."""
    said = []
    for i, name in enumerate(plain):
        values = sorted({r[i] for r in table.rows if r[i]})
        parts = any(map(given_part, values))
        likely = i == split and (parts or name not in _SETS)
        likely |= bool(given_part(name)) and {v.casefold() for v in values} <= _BINARY
        if likely and i not in taken and 1 < len(values) <= _MOST_PARTS:
            said.append(
                f"column {table.header[i]!r} of {table.name} ({few(values)}) is not read as a given split: if "
                "it is one, write train, validation and test there"
            )
    return said


def part_of_flags(table: Table, cells: list[str]) -> str:
    """The given part of a row by columns such as `is_test`; empty for an unknown value."""
    for column, part in table.flags.items():
        if cells[column].casefold() in _FLAGS["1"]:
            return part
    return "test" if set(table.flags.values()) == {"train"} else "train"


def are_labels(table: Table) -> bool:
    """Whether values repeat, as labels do and sizes do not."""
    if table.onehot:
        return True
    values = [r[table.label] for r in table.rows]
    return len(values) <= 20 or 2 * len(set(values)) <= len(values)


# ---------------------------------------------------------------- choice by name and values


def _sample(table: Table) -> list[list[str]]:
    return table.rows[:: max(1, len(table.rows) // _SOME)][:_SOME]


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
    return named[0] if named and (required or best) else -1


def _label_column(table: Table, plain: list[str]) -> tuple[int, int]:
    """Label column by its name, unless its values are measures; and a rival, -1: none.

    A rival may be the label as well, and gives other classes.
    """
    named = [
        i
        for name in _LABEL_NAMES
        for i, title in enumerate(plain)
        if name == title and not (name == "y" and "x" in plain)
    ]
    named = [i for i in named if i != table.path and not _measures(table, i)]
    strong = [i for i in named if plain[i] not in _WEAK_NAMES]
    if strong:
        rivals = [i for i in strong[1:] if not _same_classes(table, strong[0], i)]
        return strong[0], rivals[0] if rivals else -1
    loose = [
        i
        for i, p in enumerate(plain)
        if i != table.path and _LABEL_WORDS & set(p.split("_")) and not _measures(table, i)
    ]
    if len(loose) == 1:
        return loose[0], -1
    if named:
        table.weak = True
        other = {named[0], *_flags(table, plain)}
        rivals = [i for i in _repeated(table) if i not in other]
        return named[0], rivals[0] if rivals else -1
    if (
        len(plain) == 2
        and plain[1 - table.path] not in _NO_LABELS
        and not _measures(table, 1 - table.path)
        and not _is_split(table, 1 - table.path)
    ):
        table.weak = not plain[0].isdigit()  # without a header there is no name to go by
        return 1 - table.path, -1
    return -1, -1


def _same_classes(table: Table, one: int, other: int) -> bool:
    """Whether two columns divide the rows alike, as names and numbers of classes do."""
    pairs = {(r[one], r[other]) for r in table.rows if r[one] and r[other]}
    return len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})


def _repeated(table: Table) -> list[int]:
    """Columns beside the path whose values repeat, as labels do; words before numbers."""
    found = []
    for i, name in enumerate(table.header):
        values = {r[i] for r in table.rows}
        few_enough = 1 < len(values) <= len(table.rows) / 2 and _plain(name) not in _NO_LABELS
        if i != table.path and few_enough and not _measures(table, i) and not _is_split(table, i):
            found.append((all(v.isdigit() for v in values), i))
    return [i for _, i in sorted(found)]


def _measures(table: Table, column: int) -> bool:
    """Whether a column has numbers with decimals: coordinates, ages, scores."""
    values = {r[column] for r in _sample(table)} - {""}
    return any(re.fullmatch(r"-?\d*\.\d*[1-9]\d*(e-?\d+)?", v, re.I) for v in values)


def _one_hot(table: Table) -> list[int]:
    """Columns of 0 and 1 with one 1 in each row: their names are the labels."""
    found = _binary(table)
    if len(found) > 1 and all(len(ones(table, r, found)) == 1 for r in table.rows):
        return found
    return []


def ones(table: Table, cells: list[str], columns: list[int]) -> list[int]:
    """Those of some columns in which a row has a 1."""
    return [i for i in columns if cells[i].casefold() in _FLAGS["1"]]


def _binary(table: Table) -> list[int]:
    other = {table.path, *_flags(table, [_plain(h) for h in table.header])}
    return [
        i
        for i in range(len(table.header))
        if i not in other and {r[i].casefold() for r in table.rows} <= _BINARY
    ]


def _flags(table: Table, plain: list[str]) -> dict[int, str]:
    """Columns such as `is_test` and `is_valid`, of yes and no, and the part that each gives."""
    known = _FLAGS[""] | _FLAGS["1"]
    found = {}
    for i, name in enumerate(plain):
        part = given_part(name[3:]) if name.startswith(("is_", "in_")) else None
        if part and {r[i].casefold() for r in table.rows} <= known:
            found[i] = part
    return found


def _all_parts(values: set[str]) -> bool:
    return bool(values) and all(given_part(v) for v in values)


def _is_split(table: Table, column: int) -> bool:
    """Whether a column names parts of a split in each row."""
    return _all_parts({r[column] for r in table.rows})


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


# ---------------------------------------------------------------- reasons


def _set_folder(table: Table, finder: Finder) -> None:
    """Set the column of the folder, where several files have the names of the path column."""
    sample = _sample(table)
    if not any(isinstance(finder.find(row[table.path], table, None), list) for row in sample):
        return
    for column in {*range(len(table.header))} - {table.path}:
        table.folder = column
        found = [finder.find(table.file(row), table, None) for row in sample]
        if sum(isinstance(one, int) for one in found) >= 0.9 * len(sample):
            return
    table.folder = -1


def _folders_are_groups(table: Table, finder: Finder, group: int) -> bool:
    """Whether each image lies in the folder of its patient or the like, by the column of these."""
    sample = [row for row in _sample(table) if group >= 0 and row[group]]
    files = [finder.find(table.file(row), table, None) for row in sample]
    inside = [
        isinstance(i, int) and row[group] in finder.files[i].split("/")[:-1]
        for i, row in zip(files, sample, strict=True)
    ]
    return bool(inside) and sum(inside) >= 0.9 * len(inside)


def _of_folders(table: Table, finder: Finder, shares: list[float]) -> str:
    """Why a table of folders (patients, videos) cannot be used; empty where it is none."""
    sample = _sample(table)
    for i, name in enumerate(table.header):
        if shares[i] >= 0.5 or len({row[i] for row in sample}) < len(sample):
            continue  # it names files, or a row is not a folder
        share = sum(without_zeros(row[i]) in finder.folders for row in sample) / len(sample)
        others = [column for column in _repeated(table) if column != i]
        words = any(not row[column].isdigit() for row in sample for column in others)
        if share >= 0.9 and others and (words or len(table.header) == 2):  # else counts and sizes
            table.named, table.unclear = share, True
            return (
                f"{table.name} gives labels to folders (column {name!r}: {few([r[i] for r in sample[:3]])} …), not "
                "to files; if these are the labels, write a CSV of path and label with a row for each image"
            )
    return ""


def _no_path(table: Table, plain: list[str], shares: list[float], finder: Finder) -> str:
    best = max(range(len(shares)), key=shares.__getitem__)
    if not shares[best]:
        best = max(0, _first_named(_PATH_NAMES, plain))
    table.named = shares[best]
    return (
        f"no column of {table.name} ({few(table.header)}) names the image files"
        f"{f', such as {finder.files[0]}' if finder.files else ''} (column "
        f"{table.header[best]!r}: {shares[best]:.0%} of {few([r[best] for r in table.rows[:3]])} … are "
        "among them); set layout.path_column"
    )


def _no_label(table: Table) -> str:
    """Why no column is the label, and which may be."""
    why = f"no column of {table.name} ({few(table.header)}) is recognised as the label"
    parts = [table.header[i] for i in range(len(table.header)) if _is_split(table, i)]
    if parts:
        why += f", without which its split in {parts[0]!r} is not read"
    binary = _binary(table)
    table.likely = len(binary) > 1 or bool(_repeated(table))
    if len(binary) > 1:
        names = [table.header[i] for i in binary]
        exact = _exclusive(table, binary)
        hint = f"[{', '.join(table.header[i] for i in exact)}]" if exact else "a list of those"
        return (
            f"{why}: {few(names)} hold 0 and 1, and some rows have several 1s or none; set "
            f"layout.label_column to one of them, or to {hint} of which each row has exactly one"
        )
    repeated = _repeated(table)
    if not repeated:
        return f"{why}; set layout.label_column"
    name = table.header[repeated[0]]
    often = Counter(r[repeated[0]] for r in table.rows).most_common(2)
    some = joined([repr(value) for value, _ in often])
    return f"{why}; if it is {name!r} ({some} …), set layout.label_column: {name}"


def _exclusive(table: Table, binary: list[int]) -> list[int]:
    """The longest run of columns of 0 and 1 of which each row has exactly one 1."""
    binary = binary[:50]
    runs = [binary[a:b] for a in range(len(binary)) for b in range(a + 2, len(binary) + 1)]
    for run in sorted(runs, key=len, reverse=True):
        if all(len(ones(table, r, run)) == 1 for r in table.rows):
            return run
    return []
