"""The manifest: one row per file, with its properties, label and usability."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np

from darkroom.decode.file import ONE_COLOR
from darkroom.decode.pixels import white_level
from darkroom.decode.policy import DEPTH_OF_ALL, FULL, Policy, scaled_to
from darkroom.errors import UserError
from darkroom.index import layout
from darkroom.index.examine import NUMBERS, Findings, examine_all
from darkroom.index.listing import Layout
from darkroom.machine import disk
from darkroom.sources.folders import printable, walk

log = logging.getLogger(__name__)

_COLOR = ("rgb", "rgba", "palette", "cmyk", "ycbcr")

FEW_LEVELS = 32
"""A 16-bit image that keeps fewer gray levels than this is noted as dark."""


class IndexFiles(TypedDict):
    """Settings of the stage."""

    dataset: str
    layout: Layout
    group: str | None
    decode: Policy


def index_files(
    source: str, manifest: str, thumbnails: str, *, cfg: IndexFiles, threads: int
) -> None:
    """Index all files of a source into `manifest.parquet` and `thumbnails.npy`.

    Parameters
    ----------
    source : source.json.
    manifest, thumbnails : the files to write; see docs/formats.md. Neither depends on `threads`.
    cfg : the settings.
    threads : worker processes.

    Raises
    ------
    UserError
        The layout is not recognised, or a folder cannot be read. An unreadable file raises
        nothing: its `reason` describes it.
    OSError
        A listed file is gone.
    """
    root = root_of(source)
    rows = recognised(root, cfg["layout"], cfg["group"])
    found = examine_all(root, rows.path, rows.trouble, cfg["decode"], threads)
    write_thumbnails(thumbnails, found)
    write_manifest(manifest, rows, found, {"dataset": cfg["dataset"], "root": root})


def root_of(source: str) -> str:
    """The folder that `source.json` points to."""
    return str(json.loads(Path(source).read_text(encoding="utf-8"))["root"])


def recognised(root: str, settings: Layout, group: str | None) -> layout.Recognised:
    """Rows recognised from the names of all files below `root`."""

    def open_text(path: str) -> IO[bytes]:
        try:
            if Path(root, path).is_fifo():  # it would be waited for
                raise UserError(f"{Path(root, path)} cannot be read: it is a pipe, not a file")
            return Path(root, path).open("rb")
        except OSError as error:
            raise UserError(f"{Path(root, path)} cannot be read: {error.strerror}") from None

    paths = sorted(path for path, _ in walk(root))
    rows = layout.recognise(paths, settings, group=group, open_text=open_text)
    log.info("layout: %s", rows.sentence)
    for warning in rows.warnings:
        log.warning("%s", warning)
    return rows


def write_thumbnails(thumbnails: str, found: Findings) -> None:
    """Write the gray thumbnail of every file."""
    with disk.whole(thumbnails) as part:
        np.save(part, found.thumbnails)


def write_manifest(
    manifest: str, rows: layout.Recognised, found: Findings, meta: dict[str, Any]
) -> None:
    """Find duplicates and clashing names among all rows, and write the manifest.

    Parameters
    ----------
    manifest : the file to write.
    rows : recognised from the names.
    found : results of examining the files, in the order of `rows`.
    meta : `dataset` and `root`.
    """
    for i, label in enumerate(rows.label):
        found.trouble[i] = rows.trouble[i] or found.trouble[i] or ("" if label else "no label")
    _odd_names(rows.path, found)
    _one_file_twice(rows.path, rows.label, found)
    alike = _names_alike(rows.path, found)
    level = _scale(found, rows.warnings)
    _gray_among_colors(found)
    duplicate_of = _duplicates(found)
    _write(manifest, rows, found, duplicate_of, meta | level)
    _log(rows, found, duplicate_of, alike)


def _odd_names(paths: list[str], found: Findings) -> None:
    for i, path in enumerate(paths):
        if printable(path) != path:
            strange = any("\udc80" <= c <= "\udcff" for c in path)
            what = "is not valid UTF-8" if strange else "has control characters"
            found.trouble[i] = f"its name {what}: rename it"


def _one_file_twice(paths: list[str], labels: list[str | None], found: Findings) -> None:
    """Mark links to one file unusable, all but the first; with different labels, all."""
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


def _names_alike(paths: list[str], found: Findings) -> int:
    """Mark equal files whose names differ only in case or Unicode form, all but the first.

    Returns
    -------
    Count of such names whose files differ: they stay usable.
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


def _scale(found: Findings, warnings: list[str]) -> dict[str, int]:
    """Find the white level of a data set's 16-bit files, and note it for each of them.

    A level below that of 16 bits is a further warning.

    Returns
    -------
    `white_level`, for the manifest's metadata; empty without 16-bit files.
    """
    maximum = found.numbers[:, NUMBERS.index("maximum")]
    deep = [i for i in np.flatnonzero(maximum >= 0).tolist() if not found.trouble[i]]
    if not deep:
        return {}
    largest = int(maximum[deep].max())
    level, scaled = white_level(largest), 0
    for i in deep:
        notes = found.conversions[i].split("; ")
        if DEPTH_OF_ALL not in notes:
            continue
        scaled += 1
        notes[notes.index(DEPTH_OF_ALL)] = scaled_to(level)
        levels = (int(maximum[i]) * 255 + level // 2) // level + 1
        if levels == 1 and ONE_COLOR not in notes:
            notes.append(ONE_COLOR)
        elif 1 < levels < FEW_LEVELS:
            notes.append(f"dark: {levels} of 256 levels")
        found.conversions[i] = "; ".join(notes)
    if scaled and level < FULL:
        warnings.append(
            f"the values of the {scaled:,} 16-bit files end at {largest:,}: 0..{level:,} becomes "
            "0..255 in all of them"
        )
        log.warning("%s", warnings[-1])
    return {"white_level": level}


def _gray_among_colors(found: Findings) -> None:
    """Note the conversion of grey images where the data set also has coloured ones."""
    usable = [i for i, t in enumerate(found.trouble) if not t]
    if not any(found.kinds[i][0] in _COLOR for i in usable):
        return
    note = "gray among colour images: repeated in three channels where the view is rgb"
    for i in usable:
        if found.kinds[i][0] not in _COLOR:
            before = found.conversions[i]
            found.conversions[i] = f"{before}; {note}" if before else note


def _duplicates(found: Findings) -> np.ndarray:
    """(N,) int64, first row with the same bytes; -1 for a first row or an unhashed file."""
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
    found: Findings,
    duplicate_of: np.ndarray,
    meta: dict[str, Any],
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    def text(values: list[str | None]) -> pa.Array:
        return pa.array([v if v is None else printable(v) for v in values], pa.string())

    def known(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, mask=values < 0)

    width, height, depth, frames, orientation, maximum = found.numbers.T
    usable = [not t for t in found.trouble]
    reasons = [t or c for t, c in zip(found.trouble, found.conversions, strict=True)]
    status = [
        "unusable" if t else "converted" if c else "ok"
        for t, c in zip(found.trouble, found.conversions, strict=True)
    ]
    labels = sorted({lb for lb, ok in zip(rows.label, usable, strict=True) if ok and lb})
    meta |= {
        "layout": rows.sentence,
        "warnings": rows.warnings,
        "labels": [printable(lb) for lb in labels],
    }
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
            "maximum": known(maximum, pa.int32()),
            "frames": pa.array(frames, pa.int32()),
            "orientation": pa.array(orientation, pa.int16()),
            "sha256": pa.array([d.tobytes().hex() if h else None for d, h in digests], pa.string()),
            "duplicate_of": known(duplicate_of, pa.int64()),
            "status": text(list(status)),
            "reason": text(list(reasons)),
        }
    ).replace_schema_metadata({"darkroom": json.dumps(meta, ensure_ascii=False)})
    with disk.whole(manifest) as part:
        parquet.write_table(table, part)


def _log(rows: layout.Recognised, found: Findings, duplicate_of: np.ndarray, alike: int) -> None:
    """Log a summary in a few lines."""
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
        log.info("exact copies of another file: %s", f"{copies:,}")
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
