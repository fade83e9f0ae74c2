"""Parquet files of images and labels, the format of data sets on the Hugging Face Hub.

Each row has an image and a label. The image is a file of its own (PNG, JPEG, …), as bytes or in a
struct of `bytes` and `path`; it is written as it is. The label is a number, whose names stand in the
schema's metadata (`huggingface`), or a text. The part of a file is in its name
(`train-00000-of-00002.parquet`) or in that of its folder (`default/train/0000.parquet`)
(https://huggingface.co/docs/datasets/image_dataset).
"""

# ruff: noqa: PTH118
from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.errors import UserError
from darkroom.sources.arrays import Arrays, Part, folder_names, part_of
from darkroom.sources.formats import Damaged, brief

if TYPE_CHECKING:
    import pyarrow as pa

    from darkroom.sources.arrays import Batch, Read

SUFFIX = ".parquet"
ROWS = 256
"""Rows read at a time."""

_IMAGES = ("image", "img", "picture", "photo", "pixel_values")
_LABELS = ("label", "labels", "class", "category", "target", "y")


@dataclass(frozen=True)
class _Columns:
    """Which column is which; `names` are those of the classes, None where the labels are texts."""

    image: str
    label: str
    names: tuple[str, ...] | None


def find(root: str, paths: Iterable[str]) -> list[Arrays]:
    """The data sets in Parquet files, one for each folder; none where they hold no images.

    Parameters
    ----------
    root : folder of the source.
    paths : Parquet files below `root`.

    Raises
    ------
    Damaged
        A file is truncated or no Parquet file.
    UserError
        A file has images, but no column that is the label; or its files differ in their columns.
    """
    sets: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        folder, _, name = path.rpartition("/")
        part = part_of(name.split("-")[0].split(".")[0])
        above, _, last = folder.rpartition("/")
        if part is None and (part := part_of(last)):
            folder = above
        sets[folder][part or "train"].append(path)
    found = (_one_set(root, folder, parts) for folder, parts in sets.items())
    return [data for data in found if data is not None]


def _one_set(root: str, folder: str, files: dict[str, list[str]]) -> Arrays | None:
    every = [path for part in files.values() for path in part]
    columns = _columns(root, every[0])
    if columns is None:
        return None
    seen: set[Any] = set()
    counts: dict[str, int] = {}
    lacking = 0
    for part, paths in files.items():
        labels = [value for path in paths for value in _labels(root, path, columns)]
        given = [value for value in labels if _is_label(value)]
        lacking += len(labels) - len(given)
        if given:
            counts[part] = len(given)
        seen.update(given)
    names = columns.names or tuple(sorted(map(str, seen)))
    number = {name: i for i, name in enumerate(names)} if columns.names is None else None
    parts: dict[str, Part] = {
        part: Part(counts[part], _reader(root, files[part], columns, number))
        for part in ("train", "validation", "test")
        if part in counts
    }
    notes = [f"images in {columns.image!r}, labels in {columns.label!r}"]
    if lacking:
        notes.append(f"{lacking:,} images without a label left out")
    return Arrays(folder, "Parquet", tuple(every), folder_names(names), parts, tuple(notes))


def _is_label(value: Any) -> bool:
    return value is not None and value != -1


def _columns(root: str, path: str) -> _Columns | None:
    with _opened(root, path) as file:
        schema = file.schema_arrow
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = features.get("info", {}).get("features", {})
    types = {field.name: field.type for field in schema}
    images = [name for name, kind in types.items() if _has_bytes(kind)]
    marked = [
        n
        for n in images
        if isinstance(features.get(n), dict) and features[n].get("_type") == "Image"
    ]
    named = [name for name in images if name.lower() in _IMAGES]
    image = next(iter(marked or named or (n for n in images if _is_struct(types[n]))), None)
    if image is None:
        return None
    classes = {
        name: tuple(map(str, one["names"]))
        for name, one in features.items()
        if isinstance(one, dict) and one.get("_type") == "ClassLabel" and one.get("names")
    }
    usual = [name for word in _LABELS for name in types if name.lower() == word]
    label = next(iter([n for n in usual if n in classes] or [*classes] or usual), None)
    if label is None or label == image:
        raise UserError(
            f"{path} has images in {image!r}, but none of its columns ({', '.join(types)}) is named as a "
            f"label ({', '.join(_LABELS)}): rename the column of the labels"
        )
    return _Columns(image, label, classes.get(label))


def _is_struct(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind))


def _has_bytes(kind: pa.DataType) -> bool:
    """Whether values are bytes, or a struct that has them."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _has_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _labels(root: str, path: str, columns: _Columns) -> list[Any]:
    with _opened(root, path) as file:
        missing = {columns.image, columns.label} - set(file.schema_arrow.names)
        if missing:
            raise UserError(
                f"{path} has no column {', '.join(sorted(missing))}, which the other files beside it have: "
                "give layout.root, or remove the file"
            )
        values: list[Any] = file.read([columns.label]).column(0).to_pylist()
    if any(isinstance(value, list | dict | float) for value in values[:1000]):
        raise UserError(
            f"{path}: column {columns.label!r} holds {type(values[0]).__name__} values, but an image has one "
            "label here, a number or a text"
        )
    return values


def _reader(root: str, paths: list[str], columns: _Columns, number: dict[str, int] | None) -> Read:
    def read() -> Iterator[Batch]:
        import numpy as np

        for path in paths:
            with _opened(root, path) as file:
                for batch in file.iter_batches(ROWS, columns=[columns.image, columns.label]):
                    rows = batch.to_pylist()
                    kept = [row for row in rows if _is_label(row[columns.label])]
                    labels = [row[columns.label] for row in kept]
                    if number is not None:
                        labels = [number[str(label)] for label in labels]
                    yield [_content(row[columns.image], path) for row in kept], np.array(labels)

    return read


def _content(value: Any, path: str) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not content:
        where = f" ({value['path']})" if isinstance(value, dict) and value.get("path") else ""
        raise UserError(
            f"{path} names images{where} that it does not hold: embed them (datasets does with "
            "to_parquet after cast_column), or give the folder of the images"
        )
    return bytes(content)


@contextmanager
def _opened(root: str, path: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(os.path.join(root, path)) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise Damaged(
            f"{path} is damaged, truncated or no Parquet file ({brief(error)}): download it again"
        ) from None
