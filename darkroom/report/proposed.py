"""Groups that the file names suggest and the split does not keep: what the score may owe to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom.index.proposed import propose
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.words import number

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.report.results import Results

MOST = 2000  # images that are compared
SIDE = 8  # pixels of their thumbnails


def caveats(results: Results) -> list[Caveat]:
    """One where names suggest groups and there are none."""
    manifest = results.manifest[results.manifest["status"] != "unusable"]
    if manifest["group"].notna().any():
        return []
    found = propose(manifest["path"].tolist(), len(results.split.classes))
    if found is None:
        return []
    names = manifest.set_index("row")["path"].str.extract(found.expression, expand=False)
    shown, name = found.examples
    return [
        Caveat(
            Weight.FLATTERS,
            f"{found.what.partition(',')[0].capitalize()} on both sides of the split",
            f"File names look like {found.groups:,} {found.what} of several images each "
            f"({', '.join(shown)}), which the split does not keep together.",
            "settings",
            f"{_owed(results, names)}If they are, set group: auto, or group: '{found.expression}'; "
            f"{shown[0]} is then of group {name}.",
        )
    ]


def _owed(results: Results, names: pd.Series) -> str:
    """A sentence on what a nearest neighbour owes to other images of the same group."""
    table = results.split.table
    rows = table["row"].to_numpy()
    group = names.reindex(rows).astype(str).to_numpy(np.str_)
    order = np.random.default_rng(0).permutation(np.unique(group))
    rank = {name: k for k, name in enumerate(order.tolist())}
    chosen = np.argsort([rank[name] for name in group.tolist()], kind="stable")[:MOST]
    pixels = [results.image(int(row)) for row in rows[chosen]]
    seen = np.array([p is not None for p in pixels], bool)
    small = [_small(p) for p in pixels if p is not None]
    if len(small) < 2:
        return ""
    label, group = table["class"].to_numpy()[chosen][seen], group[chosen][seen]
    known, unknown = neighbours(np.array(small, np.float32).reshape(len(small), -1), label, group)
    return (
        "By its nearest neighbour among thumbnails, an image's class has a balanced accuracy of "
        f"{number(known)} where others of its group are known, and of {number(unknown)} where none is. "
    )


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(8, 8, C) means of about equal parts of an image."""
    out: NDArray[np.floating] = pixels.astype(np.float32)
    for axis in (0, 1):
        edges = np.linspace(0, out.shape[axis], SIDE + 1).astype(int)
        count = np.maximum(np.diff(edges), 1).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        out = np.add.reduceat(out, edges[:-1], axis=axis) / count
    return np.asarray(out, np.float32)


def neighbours(
    vectors: NDArray[np.float32], label: NDArray[np.integer], group: NDArray[np.str_]
) -> tuple[float, float]:
    """Balanced accuracy of the nearest neighbour: among all others, and among those of other groups.

    Parameters
    ----------
    vectors : (N, D) float32. label, group : (N,) of each.
    """
    square = (vectors * vectors).sum(axis=1)
    apart = square[:, None] + square[None] - 2 * vectors @ vectors.T
    out = []
    for hidden in (np.eye(len(label), dtype=bool), group[:, None] == group[None]):
        right = label[np.where(hidden, np.inf, apart).argmin(axis=1)] == label
        out.append(float(np.mean([right[label == c].mean() for c in np.unique(label)])))
    return out[0], out[1]
