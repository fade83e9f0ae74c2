"""Images that are copies of another one, or look like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

NEAR = 4  # bits of 64 in which two perceptual hashes may differ and still be alike


@dataclass(frozen=True)
class Copies:
    """Files whose bytes are those of another.

    Attributes
    ----------
    table : one row a copy: `row`, `path`, `of` (path of the first), `label`, `of_label`.
    disputed : copies whose label differs from that of the first.
    across : test images that are a copy of a training image, counted once a fold.
    """

    table: pd.DataFrame
    disputed: int
    across: int


def copies(manifest: pd.DataFrame, split: pd.DataFrame, folds: Sequence[str]) -> Copies:
    """Exact duplicates, those labelled differently, and those on both sides of the split."""
    import pandas as pd

    second = manifest[manifest["duplicate_of"].notna()]
    of = second["duplicate_of"].astype("int64").to_numpy()
    by_row = manifest.set_index("row")
    table = pd.DataFrame(
        {
            "row": second["row"].to_numpy(),
            "path": second["path"].to_numpy(),
            "of": by_row["path"].reindex(of).to_numpy(),
            "label": second["label"].to_numpy(),
            "of_label": by_row["label"].reindex(of).to_numpy(),
        }
    )
    ours, theirs = table["label"], table["of_label"]
    disputed = int((ours.notna() & theirs.notna() & (ours != theirs)).sum())
    first = manifest["duplicate_of"].fillna(manifest["row"]).astype("int64")
    first.index = manifest["row"]
    across = 0
    for fold in folds:
        name = first.reindex(split["row"]).to_numpy()
        place = split[fold].to_numpy(dtype=object)
        test, train = name[place == "test"], name[place == "train"]
        across += int(np.isin(test, train).sum())
    return Copies(table, disputed, across)


def look_alikes(
    manifest: pd.DataFrame, split: pd.DataFrame, folds: Sequence[str], part: str
) -> pd.DataFrame:
    """Images of a part that look like a training image, by their perceptual hashes.

    Returns
    -------
    One row an image and fold: `row`, `of` (the training row), `distance` in bits, `fold`.
    """
    import pandas as pd

    hashed = manifest.set_index("row")["phash"].reindex(split["row"])
    values, held = hashes(hashed.reset_index(drop=True))
    rows = split["row"].to_numpy()[held]
    out = []
    for fold in folds:
        place = split[fold].to_numpy(dtype=object)[held]
        own, train = place == part, place == "train"
        distance, match = near_duplicates(values[own], values[train])
        near = match >= 0
        out.append(
            pd.DataFrame(
                {
                    "row": rows[own][near],
                    "of": rows[train][match[near]],
                    "distance": distance[near],
                    "fold": fold,
                }
            )
        )
    return pd.concat(out, ignore_index=True)


def hashes(text: pd.Series) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Perceptual hashes as numbers, and the positions that have one."""
    held = np.flatnonzero(text.notna().to_numpy())
    values = [int(t, 16) for t in text.to_numpy(dtype=object)[held]]
    return np.array(values, np.uint64), held.astype(np.int64)


def near_duplicates(
    asked: NDArray[np.uint64], known: NDArray[np.uint64], limit: int = NEAR, block: int = 1 << 22
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each hash the nearest known one, where it is at most `limit` bits away.

    Two hashes that differ in `limit` bits agree in one of `limit + 1` pieces (Norouzi,
    Punjani and Fleet 2012, CVPR, "Fast search in Hamming space with multi-index hashing"),
    so only pairs that share a piece are compared, at most about `block` of them at a time.

    Parameters
    ----------
    asked : (N,) uint64. known : (M,) uint64.

    Returns
    -------
    distance : (N,) bits; -1 where nothing is near. match : (N,) index into `known`, or -1.
    """
    own, inverse = np.unique(asked, return_inverse=True)
    others, first = np.unique(known, return_index=True)
    best = np.full(len(own), limit + 1, np.int64)
    match = np.full(len(own), -1, np.int64)
    if len(own) and len(others):
        edges = np.linspace(0, 64, limit + 2).astype(int)
        for low, high in pairwise(edges.tolist()):
            mask = np.uint64((1 << (high - low)) - 1)
            wanted = (own >> np.uint64(low)) & mask
            held = (others >> np.uint64(low)) & mask
            order = np.argsort(held, kind="stable")
            left = np.searchsorted(held[order], wanted, "left")
            count = np.searchsorted(held[order], wanted, "right") - left
            ends = np.cumsum(count)
            start = 0
            while start < len(own):
                before = int(ends[start - 1]) if start else 0
                stop = max(start + 1, int(np.searchsorted(ends, before + block, "right")))
                _compare(own, others, order, left, count, start, stop, best, match)
                start = stop
    found = match >= 0
    distance = np.where(found, best, -1)
    original = np.where(found, first[np.maximum(match, 0)] if len(first) else -1, -1)
    return distance[inverse], original[inverse]


def _compare(
    own: NDArray[np.uint64],
    others: NDArray[np.uint64],
    order: NDArray[np.int64],
    left: NDArray[np.int64],
    count: NDArray[np.int64],
    start: int,
    stop: int,
    best: NDArray[np.int64],
    match: NDArray[np.int64],
) -> None:
    """Distances of own[start:stop] to the hashes that share a piece; the nearest are kept."""
    n = count[start:stop]
    total = int(n.sum())
    if not total:
        return
    a = np.repeat(np.arange(start, stop), n)
    within = np.arange(total) - np.repeat(np.cumsum(n) - n, n)
    k = order[np.repeat(left[start:stop], n) + within]
    d = np.bitwise_count(own[a] ^ others[k]).astype(np.int64)
    closer = d < best[a]
    a, k, d = a[closer], k[closer], d[closer]
    nearest = np.lexsort((k, d, a))
    a, k, d = a[nearest], k[nearest], d[nearest]
    head = np.flatnonzero(np.diff(a, prepend=-1))
    best[a[head]] = d[head]
    match[a[head]] = k[head]
