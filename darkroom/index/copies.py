"""Images that show the same picture: equal files, equal pixels, near copies."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections import Counter
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from darkroom.index import alike
from darkroom.machine import disk, parquet_file
from darkroom.machine.units import plural
from darkroom.names import cell

log = logging.getLogger(__name__)

Ints = NDArray[np.int64]

LEAST_SIDE = 32
"""Of smaller images only equal ones count as copies: too few pixels tell two digits apart."""

CHAIN, SHARE = 100, 0.05
"""Images that near copies may chain together: so many, or this share of all."""

COLUMNS = (
    "path", "copy_of", "kind", "how", "likeness", "label", "label_of", "other_label", "split", "split_of"
)  # fmt: skip
BYTES, PIXELS, NEAR = "bytes", "pixels", "near"


class FindCopies(TypedDict):
    """Settings of the stage: the data set's name."""

    dataset: str


def find_copies(
    manifest: str, thumbnails: str, output: str, *, table: str, cfg: FindCopies, threads: int
) -> None:
    """Find the sets of images that show one picture.

    Parameters
    ----------
    manifest, thumbnails : `manifest.parquet`, `thumbnails.npy`.
    output : `copies.parquet` to write; see docs/formats.md.
    table : the same as CSV, with paths and labels.
    cfg : the settings.
    threads : of the comparison.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    names = ["path", "label", "split", "width", "height", "duplicate_of", "status"]
    columns = parquet_file.read(manifest, columns=names)
    usable = np.array([s != "unusable" for s in columns["status"].to_pylist()], bool)
    number = {k: columns[k].fill_null(-1).to_numpy().astype(np.int64) for k in names[3:6]}
    sizes = np.stack([number["width"], number["height"]], axis=1)
    pictures = np.load(thumbnails, mmap_mode="r")
    rows, of, kind, how, likeness = copies(pictures, sizes, number["duplicate_of"], usable, threads)
    found = pa.table({"row": rows, "of": of, "kind": kind, "how": how, "likeness": likeness})
    with disk.whole(output) as part:
        parquet.write_table(found, part)
    texts = [columns[k].to_pylist() for k in ("path", "label", "split")]
    with disk.whole(table) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row, first, *rest in zip(rows, of, kind, how, likeness, strict=True):
            (path, path_of), (label, label_of), (split, split_of) = (
                (text[row], text[first]) for text in texts
            )
            differ = "yes" if label != label_of else ""
            line = [path, path_of, *rest[:2], f"{rest[2]:.3f}", label, label_of, differ]
            writer.writerow([cell(value or "") for value in [*line, split, split_of]])
    counts = Counter(kind)
    log.info(
        "%s: %s: %s of the same bytes, %s of the same pixels, %s nearly the same",
        cfg["dataset"],
        plural(len(rows), "copy of another image", "copies of other images"),
        *(f"{counts[k]:,}" for k in (BYTES, PIXELS, NEAR)),
    )


def copies(
    thumbnails: NDArray[np.uint8],
    sizes: Ints,
    duplicate_of: Ints,
    usable: NDArray[np.bool_],
    threads: int = 1,
    first_of: int | None = None,
) -> tuple[Ints, Ints, list[str], list[str], list[float]]:
    """The copies among some images.

    Parameters
    ----------
    thumbnails : (N, 32, 32) uint8.
    sizes : (N, 2) int64, width and height of the images in pixels.
    duplicate_of : (N,) int64, first image of the same bytes, or -1.
    usable : (N,) bool, images that count.
    threads : of the comparison.
    first_of : near copies are looked for only of the first so many images; None: of all.

    Returns
    -------
    row : (C,) images that are a copy, ascending. of : (C,) the first image of each one's set.
    kind : `bytes`, `pixels` or `near`. how : what differs, in words. likeness : 0 to 1.
    """
    n = len(usable)
    kind, how, likeness = [""] * n, [""] * n, np.ones(n)
    of, by_bytes, by_look = np.arange(n), dict[int, int](), dict[bytes, int]()
    clear = alike.detail(thumbnails) >= alike.LEAST_DETAIL
    for row in np.flatnonzero(usable).tolist():
        source = int(duplicate_of[row]) if duplicate_of[row] >= 0 else row
        if (first := by_bytes.setdefault(source, row)) != row:
            of[row], kind[row] = of[first], BYTES
        elif clear[row]:
            look = hashlib.sha256(thumbnails[row].tobytes() + sizes[row].tobytes()).digest()
            if (first := by_look.setdefault(look, row)) != row:
                of[row], kind[row] = first, PIXELS
    parent = of
    short = sizes.min(axis=1)
    near = np.flatnonzero(usable & clear & (of == np.arange(n)) & (short >= LEAST_SIDE // 2))
    if len(near) and short[near].max() >= LEAST_SIDE:
        asked = None if first_of is None else int(np.searchsorted(near, first_of))
        pairs = alike.near_copies(thumbnails[near], threads, asked)
        a, b = near[pairs.first], near[pairs.second]
        large = np.maximum(short[a], short[b]) >= LEAST_SIDE
        parent = _united(of, a[large], b[large], max(CHAIN, SHARE * usable.sum()))
        resized = (sizes[a] != sizes[b]).any(axis=1)
        for k in np.flatnonzero(large & (parent[a] == parent[b])):
            for row in (a[k], b[k]):
                if not kind[row] or pairs.likeness[k] > likeness[row]:
                    kind[row], likeness[row] = NEAR, pairs.likeness[k]
                    how[row] = _differ(int(pairs.turn[k]), pairs.cropped[k], resized[k])
    rows = np.flatnonzero(usable & (parent != np.arange(n)))
    return (
        rows,
        parent[rows],
        [kind[r] for r in rows],
        [how[r] for r in rows],
        likeness[rows].tolist(),
    )


def _united(of: Ints, a: Ints, b: Ints, most: float) -> Ints:
    """(N,) int64, the first row of each row's set after joining pairs; no chain of more than `most`.

    Scenes of a video may lead from one to the next through a whole data set: such a chain is no
    copy of one picture, and as one unit it could not be split.
    """
    parent = of.tolist()

    def root(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        x, y = sorted((root(x), root(y)))
        parent[y] = x
    out = np.array([root(x) for x in range(len(parent))], np.int64)
    count = np.bincount(out[of == np.arange(len(of))], minlength=len(out))
    large = count[out] > most
    if large.any():
        log.warning(
            "%d images look alike in a chain that is too long to be copies of one picture: they are "
            "taken as different ones. If they are frames of a video, name their groups (group)",
            large.sum(),
        )
    return np.where(large, of, out)


def _differ(turn: int, cropped: np.bool_, resized: np.bool_) -> str:
    """How a near copy differs, in words."""
    mirrored = bin(turn).count("1") % 2 == 1
    words = ["turned"] if turn & 4 or turn == 3 else []
    words += ["mirrored"] if mirrored else []
    words += ["cropped"] if cropped else []
    words += ["of another size"] if resized and not cropped else []
    return ", ".join(words) or "saved anew"
