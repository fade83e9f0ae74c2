"""Which column of a table names the files, and which gives label, split and group."""

from __future__ import annotations

import re

from darkroom.errors import UserError, nearest
from darkroom.index.csv_file import Table
from darkroom.index.finder import Finder
from darkroom.index.listing import Layout, few, given_part, words

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


def find_columns(table: Table, finder: Finder, cfg: Layout, required: bool) -> None:
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


def _one_hot(table: Table) -> list[int]:
    """Columns of 0 and 1 with one 1 in each row: their names are the labels."""
    found = [
        i
        for i in range(len(table.header))
        if i != table.path and {r[i] for r in table.rows} <= {"0", "1", "0.0", "1.0"}
    ]
    if len(found) > 1 and all(sum(r[i][:1] == "1" for i in found) == 1 for r in table.rows):
        return found
    return []


def are_labels(table: Table) -> bool:
    """Whether values repeat, as labels do and sizes do not."""
    if table.onehot:
        return True
    values = [r[table.label] for r in table.rows]
    return len(values) <= 20 or 2 * len(set(values)) <= len(values)


def _all_parts(values: set[str]) -> bool:
    return bool(values) and all(given_part(v) for v in values)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
