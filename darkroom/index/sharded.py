"""The index in shards: a listing, a table of each shard, and one manifest of all."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from darkroom.decode.file import THUMBNAIL
from darkroom.decode.policy import Policy
from darkroom.errors import UserError
from darkroom.index import layout, shards
from darkroom.index.examine import NUMBERS, Findings, examine_all
from darkroom.index.listing import Layout
from darkroom.index.manifest import recognised, root_of, write_manifest, write_thumbnails
from darkroom.machine import disk, parquet_file

log = logging.getLogger(__name__)


class ListFiles(TypedDict):
    """Settings of the listing."""

    layout: Layout
    group: str | None


class IndexShard(TypedDict):
    """Settings of one shard: the policy, the shard's number from 1, and the count of shards."""

    decode: Policy
    shard: int
    shards: int


class JoinIndex(TypedDict):
    """Settings of the join: the data set's name."""

    dataset: str


def list_files(source: str, output: str, *, cfg: ListFiles) -> None:
    """List all files, with label, split and group from their names; no image is opened.

    Parameters
    ----------
    source : source.json.
    output : Parquet file to write, one row per file, as in the manifest.
    cfg : the settings.

    Raises
    ------
    UserError
        The layout is not recognised, or a folder cannot be read.
    """
    import pyarrow as pa

    rows = recognised(root_of(source), cfg["layout"], cfg["group"])
    names = ("path", "label", "split", "group", "trouble")
    columns = {name: pa.array(_as_bytes(getattr(rows, name)), pa.binary()) for name in names}
    about = {
        "kind": rows.kind,
        "sentence": rows.sentence,
        "ignored": rows.ignored,
        "warnings": rows.warnings,
    }
    _write_parquet(output, columns, about)


def index_shard(source: str, listing: str, output: str, *, cfg: IndexShard, threads: int) -> None:
    """Examine the files of one shard.

    Parameters
    ----------
    source : source.json.
    listing : output of `list_files`.
    output : Parquet file to write, one row per file of the shard.
    cfg : the settings.
    threads : worker processes.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    root = root_of(source)
    file = parquet.ParquetFile(listing)
    first, end = shards.bounds(file.metadata.num_rows, cfg["shard"], cfg["shards"])
    paths, trouble = _rows_of(file, first, end)
    found = examine_all(root, paths, trouble, cfg["decode"], threads)
    # Nodes number a network file system differently: the device of the source's root becomes 0.
    own = Path(root).stat().st_dev
    device = np.where(found.inode[:, 0] == own, 0, found.inode[:, 0])
    digests = zip(found.sha256, found.hashed, strict=True)
    columns = {
        "size": pa.array(found.size),
        "device": pa.array(device),
        "inode": pa.array(found.inode[:, 1]),
        "sha256": pa.array([d.tobytes() if h else None for d, h in digests], pa.binary()),
        **{name: pa.array(found.numbers[:, k]) for k, name in enumerate(NUMBERS)},
        "mode": pa.array([mode for mode, _ in found.kinds], pa.string()),
        "format": pa.array([kind for _, kind in found.kinds], pa.string()),
        "trouble": pa.array(_as_bytes(found.trouble), pa.binary()),
        "conversions": pa.array(_as_bytes(found.conversions), pa.binary()),
        "thumbnail": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(THUMBNAIL**2), len(paths), [None, pa.py_buffer(found.thumbnails)]
        ),
    }
    _write_parquet(output, columns, {})
    log.info("examined files %d to %d of the listing", first, end)


def join_index(
    source: str,
    listing: str,
    parts: Sequence[str],
    manifest: str,
    thumbnails: str,
    *,
    cfg: JoinIndex,
) -> None:
    """Join the shards into one manifest and thumbnails, byte for byte those of `index_files`.

    Copies, links and names that differ only in case are found here, among all files.

    Parameters
    ----------
    source : source.json.
    listing : output of `list_files`.
    parts : outputs of `index_shard`, in the order of the shards.
    manifest, thumbnails : the files to write.
    cfg : the settings.

    Raises
    ------
    UserError
        Shards and listing differ in their number of files.
    """
    table = parquet_file.read(listing)
    about = json.loads(table.schema.metadata[b"darkroom"])
    read: dict[str, Any] = {name: _as_text(table[name]) for name in table.column_names}
    rows = layout.Recognised(**{**read, **about})
    found = Findings(len(rows.path))
    start = 0
    for path in parts:
        start = _put(found, start, parquet_file.read(path), path)
    if start != len(rows.path):
        raise UserError(
            f"{listing} has {len(rows.path):,} files, but its shards have {start:,}: delete "
            f"{Path(listing).parent} and run again"
        )
    write_thumbnails(thumbnails, found)
    write_manifest(manifest, rows, found, {"dataset": cfg["dataset"], "root": root_of(source)})


def _put(found: Findings, start: int, table: Any, path: str) -> int:
    """Store a shard's table for the files from `start` on; returns the index after its last."""
    end: int = start + table.num_rows
    if end > len(found.size):
        raise UserError(f"{path} has more files than the listing: delete it and run again")
    here = slice(start, end)
    found.size[here] = table["size"]
    found.inode[here, 0], found.inode[here, 1] = table["device"], table["inode"]
    digests = table["sha256"].to_pylist()
    joined = b"".join(d or bytes(32) for d in digests)
    found.sha256[here] = np.frombuffer(joined, np.uint8).reshape(-1, 32)
    found.hashed[here] = [d is not None for d in digests]
    for k, name in enumerate(NUMBERS):
        found.numbers[here, k] = table[name]
    thumbnails = b"".join(table["thumbnail"].to_pylist())
    found.thumbnails[here] = np.frombuffer(thumbnails, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)
    kinds = zip(table["mode"].to_pylist(), table["format"].to_pylist(), strict=True)
    found.kinds[here] = [found.same(kind) for kind in kinds]
    found.trouble[here] = [found.same(t) for t in _as_text(table["trouble"])]
    found.conversions[here] = [found.same(c) for c in _as_text(table["conversions"])]
    return end


def _rows_of(file: Any, first: int, end: int) -> tuple[list[str], list[str]]:
    """Paths and troubles of rows [first, end) of a listing; only their row groups are read."""
    paths: list[Any] = []
    trouble: list[Any] = []
    start = 0
    for group in range(file.metadata.num_row_groups):
        n = file.metadata.row_group(group).num_rows
        low, high = max(first - start, 0), min(end - start, n)
        if low < high:
            table = file.read_row_group(group, columns=["path", "trouble"]).slice(low, high - low)
            paths += _as_text(table["path"])
            trouble += _as_text(table["trouble"])
        start += n
    return paths, trouble


def _as_bytes(values: Sequence[str | None]) -> list[bytes | None]:
    """Names as bytes: file names need not be valid UTF-8."""
    return [None if v is None else v.encode("utf-8", "surrogateescape") for v in values]


def _as_text(column: Any) -> list[Any]:
    values = column.to_pylist()
    return [None if v is None else v.decode("utf-8", "surrogateescape") for v in values]


def _write_parquet(path: str, columns: dict[str, Any], about: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table(columns).replace_schema_metadata({"darkroom": json.dumps(about)})
    with disk.whole(path) as part:
        parquet.write_table(table, part, row_group_size=1 << 16)
