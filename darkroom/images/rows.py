"""Rows of a manifest, for the stages that prepare images."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from darkroom.errors import UserError
from darkroom.index import shards


class Rows(NamedTuple):
    """The usable rows of a manifest.

    Attributes
    ----------
    row : (n,) int64.
    label : (n,) int32, index into `labels`.
    bytes : (n,) int64, size of the file when it was indexed.
    place : (n,) int64, index into `path`.
    path : Arrow strings of all rows: a quarter of the memory of Python strings.
    labels : the source's labels.
    dataset : name of the data set.
    white_level : value of 16-bit files that becomes 255; None where there are none.
    """

    row: np.ndarray
    label: np.ndarray
    bytes: np.ndarray
    place: np.ndarray
    path: Any
    labels: list[str]
    dataset: str
    white_level: int | None

    def shard(self, number: int, count: int) -> Rows:
        """The rows of one of `count` shards, 1 … `count`."""
        part = slice(*shards.bounds(len(self.row), number, count))
        names = ("row", "label", "bytes", "place")
        return self._replace(**{name: getattr(self, name)[part] for name in names})


def usable(manifest: str) -> Rows:
    """Read the usable rows of a manifest.

    Raises
    ------
    UserError
        No row is usable.
    """
    import pyarrow.parquet as pq

    # Arrow's filters and `to_numpy` would load its compute library and pandas, which takes as
    # long as a thousand images. No threads, as workers are forked later.
    file = pq.ParquetFile(manifest, read_dictionary=["label", "status"], pre_buffer=False)
    table = file.read(["row", "path", "label", "bytes", "status"], use_threads=False)
    table = table.unify_dictionaries().combine_chunks()
    meta = json.loads(table.schema.metadata[b"darkroom"])
    place = np.zeros(0, np.int64)
    if table.num_rows:
        status = table["status"].chunk(0)
        good = np.array([name != "unusable" for name in status.dictionary.to_pylist()])
        place = np.flatnonzero(good[np.from_dlpack(status.indices)])
    if not len(place):
        raise UserError(f"{manifest} lists no usable image: its `reason` column says why")
    label = table["label"].chunk(0)
    number = {name: i for i, name in enumerate(meta["labels"])}
    codes = np.array([number.get(name, -1) for name in label.dictionary.to_pylist()], np.int32)
    # An unusable row may have no label: its code is never read.
    codes_of = np.frombuffer(label.indices.buffers()[1], np.int32, len(label), label.offset)
    return Rows(
        row=np.from_dlpack(table["row"].chunk(0))[place],
        label=codes[codes_of[place]],
        bytes=np.from_dlpack(table["bytes"].chunk(0))[place],
        place=place,
        path=table["path"].chunk(0),
        labels=list(meta["labels"]),
        dataset=str(meta["dataset"]),
        white_level=meta.get("white_level"),
    )


def given_as(manifest: str, names: set[str]) -> np.ndarray:
    """(n,) bool: rows of a manifest whose given part is in `names`."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(manifest)
    batches = file.iter_batches(columns=["split"], use_threads=False)
    parts = [[name in names for name in b.column(0).to_pylist()] for b in batches]
    return np.concatenate([np.array(p, bool) for p in parts] or [np.zeros(0, bool)])
