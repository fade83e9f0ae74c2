"""The index: one row for every file, with what it is and whether it can be used.

Each file is read once, whole, and decoded in a worker process. Nothing that is in a file
ends the run: damage, a crash of the decoder, a name that cannot be opened are that file's
`reason`. `check` then decides whether too much is unusable to go on.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from darkroom import shards
from darkroom.decode.file import THUMBNAIL, Probe, probe, trouble_of
from darkroom.decode.header import DecodeError
from darkroom.decode.policy import Policy
from darkroom.errors import UserError
from darkroom.index import layout
from darkroom.machine import disk, workers
from darkroom.machine.progress import progress
from darkroom.sources.folders import printable, walk

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 30
"""Size that a file may have: it is read whole."""

BLOCK = 128
"""Most files that are handed to a worker at a time."""

_COLOR = ("rgb", "rgba", "palette", "cmyk", "ycbcr")


def write_manifest(source: str, manifest: str, *, cfg: dict[str, Any], threads: int) -> None:
    """Index all files of a source into `manifest.parquet`.

    Parameters
    ----------
    source : source.json.
    manifest : the file to make; see docs/formats.md. It does not depend on `threads`.
    cfg : `dataset`, `layout` and `decode` (settings, every key given), `group`.
    threads : worker processes.

    Raises
    ------
    UserError
        The layout is not recognised, or a folder cannot be read. Never for a file: that is
        the file's `reason`.
    OSError
        A file that was listed went away.
    """
    root = _root(source)
    rows = _listed(root, cfg)
    found = _examined(root, rows.path, rows.trouble, cfg["decode"], threads)
    _manifest(manifest, rows, found, {"dataset": cfg["dataset"], "root": root})


def _root(source: str) -> str:
    return str(json.loads(Path(source).read_text(encoding="utf-8"))["root"])


def _listed(root: str, cfg: dict[str, Any]) -> layout.Recognised:
    """What the names tell of all files."""

    def open_text(path: str) -> IO[bytes]:
        try:
            return Path(root, path).open("rb")
        except OSError as error:
            raise UserError(f"{Path(root, path)} cannot be read: {error.strerror}") from None

    rows = layout.recognise(
        sorted(path for path, _ in walk(root)),
        cfg["layout"],
        group=cfg["group"],
        open_text=open_text,
    )
    log.info("layout: %s", rows.sentence)
    return rows


def _examined(
    root: str,
    paths: list[str],
    trouble: list[str],
    policy: Policy,
    threads: int,
) -> _Findings:
    """What the content of files tells; those that are missing are left as they are."""
    found = _Findings(len(paths))
    readable = [i for i, t in enumerate(trouble) if not t.startswith("missing")]
    _examine_all(root, [paths[i] for i in readable], readable, policy, threads, found)
    return found


def _manifest(
    manifest: str, rows: layout.Recognised, found: _Findings, meta: dict[str, Any]
) -> None:
    """What only all rows together tell, and the file."""
    for i, label in enumerate(rows.label):
        found.trouble[i] = rows.trouble[i] or found.trouble[i] or ("" if label else "no label")
    _odd_names(rows.path, found)
    _one_file_twice(rows.path, rows.label, found)
    alike = _names_alike(rows.path, found)
    _gray_among_colors(found)
    duplicate_of = _duplicates(found)
    _write(manifest, rows, found, duplicate_of, meta)
    _tell(rows, found, duplicate_of, alike)


# ---------------------------------------------------------------- one file


@dataclass(slots=True)
class _Block:
    """What was found of some files, column by column: this travels between processes."""

    size: list[int] = field(default_factory=list)
    inode: list[tuple[int, int]] = field(default_factory=list)
    sha256: list[bytes] = field(default_factory=list)
    numbers: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    kinds: list[tuple[str | None, str | None]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)
    phash: list[int | None] = field(default_factory=list)


class _Findings:
    """What was found of all files; about 150 bytes a file. -1 stands for unknown."""

    def __init__(self, n: int) -> None:
        self.size = np.zeros(n, np.int64)
        self.inode = np.zeros((n, 2), np.uint64)
        self.sha256 = np.zeros((n, 32), np.uint8)
        self.hashed = np.zeros(n, bool)
        # width, height, bit depth, frames, orientation
        self.numbers = np.tile(np.array([-1, -1, -1, 1, 1], np.int32), (n, 1))
        self.kinds: list[tuple[str | None, str | None]] = [(None, None)] * n
        self.trouble = [""] * n
        self.conversions = [""] * n
        self.phash = np.zeros(n, np.uint64)
        self.seen = np.zeros(n, bool)
        self._shared: dict[Any, Any] = {}

    def put(self, places: list[int], block: _Block) -> None:
        """Take over what a worker found of the files at these places."""
        self.size[places] = block.size
        self.inode[places] = block.inode
        digests = b"".join(d or bytes(32) for d in block.sha256)
        self.sha256[places] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        self.hashed[places] = [bool(d) for d in block.sha256]
        self.numbers[places] = block.numbers
        self.phash[places] = np.array([h or 0 for h in block.phash], np.uint64)
        self.seen[places] = [h is not None for h in block.phash]
        shared = self._shared.setdefault  # few different ones: one object each
        for k, i in enumerate(places):
            self.kinds[i] = shared(block.kinds[k], block.kinds[k])
            self.trouble[i] = shared(block.trouble[k], block.trouble[k])
            self.conversions[i] = shared(block.conversions[k], block.conversions[k])

    def put_shard(self, start: int, table: Any, path: str) -> int:
        """Take over what a shard found of the files from `start` on; returns where it ends."""
        end: int = start + table.num_rows
        if end > len(self.size):
            raise UserError(f"{path} has more files than the listing: delete it and run again")
        here = slice(start, end)
        self.size[here] = table["size"]
        self.inode[here, 0], self.inode[here, 1] = table["device"], table["inode"]
        digests = table["sha256"].to_pylist()
        joined = b"".join(d or bytes(32) for d in digests)
        self.sha256[here] = np.frombuffer(joined, np.uint8).reshape(-1, 32)
        self.hashed[here] = [d is not None for d in digests]
        for k, name in enumerate(_NUMBERS):
            self.numbers[here, k] = table[name]
        self.phash[here] = table["phash"].fill_null(0)
        self.seen[here] = table["phash"].is_valid()
        shared = self._shared.setdefault
        kinds = zip(table["mode"].to_pylist(), table["format"].to_pylist(), strict=True)
        self.kinds[here] = [shared(kind, kind) for kind in kinds]
        self.trouble[here] = [shared(t, t) for t in _as_text(table["trouble"])]
        self.conversions[here] = [shared(c, c) for c in _as_text(table["conversions"])]
        return end


def examine(root: str, paths: list[str], policy: Policy) -> _Block:
    """Read, hash and decode some files; never raises for what is in them or their access.

    Raises
    ------
    OSError
        A file that was listed went away, or its file server did: of it nothing is known.
    """
    block = _Block()
    thumbnails = np.zeros((len(paths), THUMBNAIL, THUMBNAIL), np.uint8)
    for k, path in enumerate(paths):
        size, inode, digest = 0, (0, 0), b""
        try:
            data, size, inode = read_file(f"{root}/{path}")
            digest = hashlib.sha256(data).digest() if data else b""
            found = probe(data, path, policy)
        except (OSError, ValueError, MemoryError) as error:
            if _went_away(error, f"{root}/{path}"):
                raise
            found = Probe(trouble=trouble_of(error))
        block.size.append(size)
        block.inode.append(inode)
        block.sha256.append(digest)
        block.numbers.append(
            (
                -1 if found.width is None else found.width,
                -1 if found.height is None else found.height,
                -1 if found.bit_depth is None else found.bit_depth,
                found.frames,
                found.orientation,
            )
        )
        block.kinds.append((found.mode, found.format))
        block.trouble.append(found.trouble)
        block.conversions.append(found.conversions)
        if found.thumbnail is not None:
            thumbnails[k] = found.thumbnail
    hashes = perceptual_hash(thumbnails)
    block.phash = [
        None if trouble else int(h) for h, trouble in zip(hashes, block.trouble, strict=True)
    ]
    return block


def _went_away(error: Exception, path: str) -> bool:
    """Whether a file is gone that was listed; a link to nothing was never there."""
    number = getattr(error, "errno", None)
    return number in disk.LOST or (number == errno.ENOENT and not Path(path).is_symlink())


def read_file(path: str) -> tuple[bytes, int, tuple[int, int]]:
    """All bytes, the size, and which file it really is (device and inode).

    Raises
    ------
    DecodeError
        Not a regular file, or larger than `MAX_BYTES`. Else an `OSError` or `ValueError`.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe must not wait for a writer
    try:
        info = os.fstat(file)
        identity = (info.st_dev, info.st_ino)
        if not stat.S_ISREG(info.st_mode):
            raise DecodeError("cannot be read: not a regular file")
        if info.st_size > MAX_BYTES:
            raise DecodeError(f"too large: {info.st_size:,} bytes; a file may have {MAX_BYTES:,}")
        parts = []
        while part := os.read(file, max(info.st_size, 1 << 16) + 1):
            parts.append(part)
    finally:
        os.close(file)
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return data, len(data), identity


def perceptual_hash(thumbnails: np.ndarray) -> np.ndarray:
    """64-bit perceptual hashes of small grey images.

    The discrete cosine transform's 8 x 8 lowest frequencies but for the constant row and
    column, each compared with their median (Zauner 2010, "Implementation and benchmarking
    of perceptual image hash functions", section 3.2.1, whose mean filter the area resize to
    32 x 32 stands for). Images that look alike differ in few bits; a flat image gives 0.

    Parameters
    ----------
    thumbnails : (N, 32, 32) uint8.

    Returns
    -------
    np.ndarray (N,) uint64; the most significant bit is the lowest frequency.
    """
    n = thumbnails.shape[1]
    k, x = np.arange(1, 9)[:, None], np.arange(n)[None]
    basis = np.cos(np.pi * k * (2 * x + 1) / (2 * n))
    low = np.einsum("kx,nxy,ly->nkl", basis, thumbnails.astype(np.float64), basis, optimize=True)
    # Rounded, so that sums in another order (another machine) do not turn a bit.
    low = np.round(low.reshape(len(low), 64), 3)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


# ---------------------------------------------------------------- all files


def _examine_all(
    root: str,
    paths: list[str],
    places: list[int],
    policy: Policy,
    threads: int,
    found: _Findings,
) -> None:
    """Examine files in worker processes; a worker that dies costs one file at most.

    The files of its block are tried again one by one, each by itself, so that the one which
    crashes the decoder (or takes all memory) is known.
    """
    n = len(paths)
    size = max(1, min(BLOCK, -(-n // (8 * threads))))
    blocks = [(start, min(start + size, n)) for start in range(0, n, size)]
    cv2.setNumThreads(1)

    def work(start: int, stop: int) -> _Block:
        return examine(root, paths[start:stop], policy)

    def crashed(start: int, how: str) -> str:
        return f"crashed: the decoder ended by {how}"

    with (
        progress("index", n, "files") as bar,
        workers.Pool(work, min(threads, len(blocks)), crashed) as pool,
    ):
        for start, stop, answer in pool.each(blocks):
            if isinstance(answer, str):
                found.trouble[places[start]] = answer
            else:
                found.put(places[start:stop], answer)
            bar.update(stop - start)


# ---------------------------------------------------------------- what only all rows tell


def _odd_names(paths: list[str], found: _Findings) -> None:
    for i, path in enumerate(paths):
        if not path.isascii() and printable(path) != path:
            found.trouble[i] = "its name is not valid UTF-8: rename it"


def _one_file_twice(paths: list[str], labels: list[str | None], found: _Findings) -> None:
    """Several paths to one file (links): the first stays, unless their labels differ."""
    where: dict[tuple[int, int], list[int]] = defaultdict(list)
    fine = [i for i, t in enumerate(found.trouble) if not t]
    _, inverse, counts = np.unique(
        found.inode[fine], axis=0, return_inverse=True, return_counts=True
    )
    for i in np.flatnonzero(counts[inverse.ravel()] > 1).tolist():
        a, b = found.inode[fine[i]].tolist()
        where[a, b].append(fine[i])
    for rows in where.values():
        clash = len({labels[i] for i in rows}) > 1
        for i in rows if clash else rows[1:]:
            other = paths[rows[0] if i != rows[0] else rows[1]]
            found.trouble[i] = f"duplicate path: a link to the same file as {other}"
            if clash:
                found.trouble[i] += ", under another label"


def _names_alike(paths: list[str], found: _Findings) -> int:
    """Names equal up to case or Unicode form: of equal bytes, the first stays.

    Returns
    -------
    Count of such names whose files differ: those are used.
    """
    folded: dict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(paths):
        if not found.trouble[i]:
            key = path if path.isascii() else unicodedata.normalize("NFC", path)
            folded[key.casefold()].append(i)
    differ = 0
    for rows in folded.values():
        first: dict[bytes, int] = {}
        for i in rows if len(rows) > 1 else []:
            before = first.setdefault(found.sha256[i].tobytes(), i)
            if before != i:
                found.trouble[i] = (
                    f"duplicate path: the same bytes as {paths[before]}, whose name differs only "
                    "in case or Unicode form"
                )
        differ += len(first) if len(first) > 1 else 0
    return differ


def _gray_among_colors(found: _Findings) -> None:
    """Grey images are worth a word where the data set has coloured ones."""
    usable = [i for i, t in enumerate(found.trouble) if not t]
    if not any(found.kinds[i][0] in _COLOR for i in usable):
        return
    said = "gray among colour images: repeated in three channels where the view is rgb"
    for i in usable:
        if found.kinds[i][0] not in _COLOR:
            before = found.conversions[i]
            found.conversions[i] = f"{before}; {said}" if before else said


def _duplicates(found: _Findings) -> np.ndarray:
    """First row with the same bytes; -1 where this is the first, or has none."""
    out = np.full(len(found.hashed), -1, np.int64)
    rows = np.flatnonzero(found.hashed)
    if len(rows):
        keys = np.ascontiguousarray(found.sha256[rows]).view("V32")[:, 0]
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        before = rows[first[inverse]]
        out[rows] = np.where(before < rows, before, -1)
    return out


def _write(
    manifest: str,
    rows: layout.Recognised,
    found: _Findings,
    duplicate_of: np.ndarray,
    meta: dict[str, Any],
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    def text(values: list[str | None]) -> pa.Array:
        return pa.array([v if v is None else printable(v) for v in values], pa.string())

    def known(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, mask=values < 0)

    width, height, depth, frames, orientation = found.numbers.T
    usable = [not t for t in found.trouble]
    reasons = [t or c for t, c in zip(found.trouble, found.conversions, strict=True)]
    status = [
        "unusable" if t else "converted" if c else "ok"
        for t, c in zip(found.trouble, found.conversions, strict=True)
    ]
    labels = sorted({lb for lb, ok in zip(rows.label, usable, strict=True) if ok and lb})
    meta |= {"layout": printable(rows.sentence), "labels": [printable(lb) for lb in labels]}
    digests = zip(found.sha256, found.hashed, strict=True)
    table = pa.table(
        {
            "row": pa.array(np.arange(len(rows.path))),
            "path": text(list(rows.path)),
            "label": text(rows.label),
            "group": text(rows.group),
            "split": text(rows.split),
            "bytes": pa.array(found.size),
            "width": known(width, pa.int32()),
            "height": known(height, pa.int32()),
            "mode": text([mode for mode, _ in found.kinds]),
            "format": text([kind for _, kind in found.kinds]),
            "bit_depth": known(depth, pa.int16()),
            "frames": pa.array(frames, pa.int32()),
            "orientation": pa.array(orientation, pa.int16()),
            "sha256": pa.array([d.tobytes().hex() if h else None for d, h in digests], pa.string()),
            "phash": pa.array(
                [f"{p:016x}" if s else None for p, s in zip(found.phash, found.seen, strict=True)],
                pa.string(),
            ),
            "duplicate_of": known(duplicate_of, pa.int64()),
            "status": text(list(status)),
            "reason": text(list(reasons)),
        }
    ).replace_schema_metadata({"darkroom": json.dumps(meta, ensure_ascii=False)})
    with disk.whole(manifest) as part:
        parquet.write_table(table, part)


def _tell(rows: layout.Recognised, found: _Findings, duplicate_of: np.ndarray, alike: int) -> None:
    """What was found, in a few lines."""
    unusable = Counter(t.split(":")[0] for t in found.trouble if t)
    converted = Counter(
        part.split(":")[0]
        for t, c in zip(found.trouble, found.conversions, strict=True)
        if c and not t
        for part in c.split("; ")
    )
    n, bad = len(rows.path), sum(unusable.values())
    changed = sum(bool(c) and not t for t, c in zip(found.trouble, found.conversions, strict=True))
    log.info(
        "indexed %s files: %s ok, %s converted%s, %s unusable%s",
        f"{n:,}",
        f"{n - bad - changed:,}",
        f"{changed:,}",
        _counts(converted),
        f"{bad:,}",
        _counts(unusable),
    )
    usable = np.array([not t for t in found.trouble], bool)
    if copies := int((usable & (duplicate_of >= 0)).sum()):
        log.info("exact copies of another file: %s; a split keeps them together", f"{copies:,}")
    if alike:
        log.info(
            "%s names differ from another only in case or Unicode form: all are used here, but "
            "such files overwrite each other on Windows and macOS",
            f"{alike:,}",
        )
    good = {lb for lb, t in zip(rows.label, found.trouble, strict=True) if not t}
    for label in rows.labels:
        if label not in good:
            log.warning("class %r has no usable image and is left out", label)


def _counts(reasons: Counter[str]) -> str:
    if not reasons:
        return ""
    return " (" + ", ".join(f"{what} {n:,}" for what, n in reasons.most_common(6)) + ")"


# ---------------------------------------------------------------- by shards


def write_listing(source: str, output: str, *, cfg: dict[str, Any]) -> None:
    """What the names tell of all files, for the shards of an index; no image is opened.

    Parameters
    ----------
    source : source.json. output : a Parquet file, a row a file as in the manifest.
    cfg : as for `write_manifest`.

    Raises
    ------
    UserError
        As of `write_manifest`.
    """
    import pyarrow as pa

    rows = _listed(_root(source), cfg)
    names = ("path", "label", "split", "group", "trouble")
    columns = {name: pa.array(_as_bytes(getattr(rows, name)), pa.binary()) for name in names}
    about = {"kind": rows.kind, "sentence": printable(rows.sentence), "ignored": rows.ignored}
    _write_parquet(output, columns, about)


def write_findings(
    source: str, listing: str, output: str, *, cfg: dict[str, Any], threads: int
) -> None:
    """What the content tells of the files of one shard.

    Parameters
    ----------
    source, listing : source.json, and what `write_listing` made of it.
    output : a Parquet file, a row a file of the shard.
    cfg : `decode`, `shard` and `shards`. threads : worker processes.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    root = _root(source)
    file = parquet.ParquetFile(listing)
    first, end = shards.bounds(file.metadata.num_rows, cfg["shard"], cfg["shards"])
    paths, trouble = _rows_of(file, first, end)
    found = _examined(root, paths, trouble, cfg["decode"], threads)
    # A network's file system has another number on each node: that of the source's root is 0.
    own = Path(root).stat().st_dev
    device = np.where(found.inode[:, 0] == own, 0, found.inode[:, 0])
    digests = zip(found.sha256, found.hashed, strict=True)
    columns = {
        "size": pa.array(found.size),
        "device": pa.array(device),
        "inode": pa.array(found.inode[:, 1]),
        "sha256": pa.array([d.tobytes() if h else None for d, h in digests], pa.binary()),
        **{name: pa.array(found.numbers[:, k]) for k, name in enumerate(_NUMBERS)},
        "mode": pa.array([mode for mode, _ in found.kinds], pa.string()),
        "format": pa.array([kind for _, kind in found.kinds], pa.string()),
        "trouble": pa.array(_as_bytes(found.trouble), pa.binary()),
        "conversions": pa.array(_as_bytes(found.conversions), pa.binary()),
        "phash": pa.array(found.phash, mask=~found.seen),
    }
    _write_parquet(output, columns, {})
    log.info("examined files %d to %d of the listing", first, end)


def join(source: str, listing: str, parts: Sequence[str], manifest: str, dataset: str) -> None:
    """The manifest of shards: what `write_manifest` makes without them, to the last byte.

    Copies, links and names that differ in case alone are told here, of all files at once.

    Parameters
    ----------
    source, listing : source.json, and what `write_listing` made of it.
    parts : what `write_findings` made of each shard, in their order.
    manifest : the file to make. dataset : its name.

    Raises
    ------
    UserError
        The shards do not have as many files as the listing.
    """
    import pyarrow.parquet as parquet

    table = parquet.read_table(listing)
    about = json.loads(table.schema.metadata[b"darkroom"])
    read: dict[str, Any] = {name: _as_text(table[name]) for name in table.column_names}
    rows = layout.Recognised(**{**read, **about})
    found = _Findings(len(rows.path))
    start = 0
    for path in parts:
        start = found.put_shard(start, parquet.read_table(path), path)
    if start != len(rows.path):
        raise UserError(
            f"{listing} has {len(rows.path):,} files and its shards {start:,}: delete "
            f"{Path(listing).parent} and run again"
        )
    _manifest(manifest, rows, found, {"dataset": dataset, "root": _root(source)})


_NUMBERS = ("width", "height", "bit_depth", "frames", "orientation")


def _rows_of(file: Any, first: int, end: int) -> tuple[list[str], list[str]]:
    """Paths and troubles of rows [first, end) of a listing; no more of it is read."""
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
    """Names as the file system has them, which need be no text."""
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
