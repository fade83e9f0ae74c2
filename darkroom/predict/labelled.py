"""The true classes of new pictures: by their folders, their names, or a table."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import UserError
from darkroom.index.expressions import groups_by_pattern
from darkroom.index.layout import recognise
from darkroom.index.listing import Layout, few
from darkroom.predict.unseen import Pictures

LAYOUT: Layout = {
    "kind": "auto", "class_level": "auto", "root": None, "ignore": [], "table": None,
    "path_column": None, "label_column": None, "split_column": None, "group_column": None,
    "label": None, "split": None,
}  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """The labels of the pictures of a folder.

    Attributes
    ----------
    code : of each picture the number of its class, or None.
    group : what each belongs to; None: to nothing.
    how : where the labels come from, in words.
    """

    code: list[int | None]
    group: list[str | None]
    how: str


def by_folders(found: Pictures, classes: Sequence[str], group: str | None) -> Labels | str:
    """Labels by folders that are called like classes, or as a data set's own are recognised.

    Parameters
    ----------
    found : the pictures of one folder.
    classes : names that the model knows.
    group : regular expression on the path, whose group 1 is the group; None: none.

    Returns
    -------
    Or, where there are no such labels, why: empty where nothing looks like a label at all.
    """
    number = _numbers(classes)
    code: list[int | None] = []
    for path in found.paths:
        mine = {number(part) for part in path.split("/")[:-1]} - {None}
        code.append(mine.pop() if len(mine) == 1 else None)
    groups = _groups(found.paths, group)
    if any(k is not None for k in code):
        return Labels(code, groups, "by their folders")
    try:
        rows = recognise(
            [*found.paths, *found.left],
            LAYOUT,
            open_text=lambda name: Path(found.root, name).read_bytes(),
        )
    except (UserError, OSError):
        return ""
    label = dict(zip(rows.path, rows.label, strict=True))
    if all(number(name) is not None for name in rows.labels):
        code = [number(label.get(path)) for path in found.paths]
        return Labels(code, groups, rows.sentence)
    return (
        f"not scored: the pictures look as if their classes were {_named(rows.labels)}, and the model "
        f"knows {_named(classes)}; call the folders so, or give --labels"
    )


def by_table(
    found: Pictures,
    classes: Sequence[str],
    table: str,
    columns: dict[str, str | None],
    group: str | None,
) -> Labels:
    """Labels by a CSV of paths and classes, which is read as that of a data set.

    Parameters
    ----------
    found : the pictures of one folder. classes : names that the model knows.
    table : path of the CSV, in the folder or elsewhere.
    columns : of `path_column`, `label_column` and `group_column` those that are named.
    group : as for `by_folders`.

    Raises
    ------
    UserError
        It cannot be read, does not name the pictures, or has other classes.
    """
    if not Path(table).is_file():
        raise UserError(f"--labels: {table} is not there")
    place, root = Path(table).resolve(), Path(found.root).resolve()
    name = place.relative_to(root).as_posix() if place.is_relative_to(root) else place.name
    settings: Layout = {**LAYOUT, "kind": "table", "table": name, **columns}  # type: ignore[typeddict-item]
    try:
        rows = recognise([*found.paths, name], settings, open_text=lambda _: place.read_bytes())
    except UserError as error:
        words = str(error).removeprefix("layout: ")
        for column in ("path_column", "label_column", "group_column"):
            words = words.replace(f"layout.{column}", "--" + column.replace("_", "-"))
        raise UserError(f"--labels: {words}") from None
    number = _numbers(classes)
    if others := [label for label in rows.labels if number(label) is None]:
        raise UserError(
            f"--labels: {table} has classes that the model does not know, {_named(others)}; it knows "
            f"{_named(classes)}"
        )
    label = dict(zip(rows.path, rows.label, strict=True))
    groups = dict(zip(rows.path, rows.group, strict=True))
    return Labels(
        [number(label.get(path)) for path in found.paths],
        _groups(found.paths, group) if group else [groups.get(path) for path in found.paths],
        rows.sentence,
    )


def unlabelled(labels: Labels, paths: Sequence[str]) -> str:
    """Which pictures have no label, in words; empty where all have one."""
    without = [path for path, k in zip(paths, labels.code, strict=True) if k is None]
    if not without:
        return ""
    folders = Counter(path.rpartition("/")[0] for path in without)
    where = few([f"{folder or '.'}/" for folder, _ in folders.most_common(5)])
    return f"{len(without):,} of {len(paths):,} pictures have no label and are not scored ({where})"


def _groups(paths: list[str], group: str | None) -> list[str | None]:
    return [None] * len(paths) if group is None else groups_by_pattern(paths, group)


def _numbers(classes: Sequence[str]) -> Callable[[str | None], int | None]:
    """From a name to the number of the class, in any case where no two classes differ by case alone."""
    exact = {unicodedata.normalize("NFC", name): k for k, name in enumerate(classes)}
    folded = {name.casefold(): k for name, k in exact.items()}
    anyhow = folded if len(folded) == len(exact) else {}

    def number(name: str | None) -> int | None:
        plain = unicodedata.normalize("NFC", name or "")
        return exact.get(plain, anyhow.get(plain.casefold()))

    return number


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
