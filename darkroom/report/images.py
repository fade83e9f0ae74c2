"""The section of images: their number by class and part, samples, stored variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.report import drawing
from darkroom.report.results import Results
from darkroom.report.sheets import SHEET_SIDE, Sheet, fit, sheet, thumbnail
from darkroom.report.words import count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_BARS = 40  # classes named one by one in the figure; more become a curve
# Bounds on what the page carries: it must stay below 15 MB whatever the data.
MOST_SAMPLES = 360
MOST_COLUMNS = 24
MOST_VARIANTS = (6, 12)  # images, variants of each


def section(results: Results) -> dict[str, Any]:
    """Counts, samples and variants."""
    return {
        "counts": _counts(results),
        "samples": _samples(results),
        "variants": _variants(results),
    }


def _counts(results: Results) -> dict[str, Any]:
    """Images by class and part, and stored variants."""
    table, split = results.counts, results.split
    variants = np.zeros(len(split.classes), int)
    if results.augmented is not None and len(results.augmented):
        _, label = split.lookup(results.augmented.row, split.folds[0])
        variants = np.bincount(label[label >= 0], minlength=len(split.classes))
    parts = ["train", "validation", "test"] + (["unused"] if table["unused"].any() else [])
    usable = int((results.manifest["status"] != "unusable").sum())
    return {
        "parts": parts,
        "rows": [
            (
                name,
                [count(v) for v in table.loc[:, parts].iloc[i]],
                count(float(table.iloc[i].sum())),
                f"{variants[i]:,}",
            )
            for i, name in enumerate(table.index)
        ],
        "variants": bool(variants.any()),
        "unchosen": usable - len(split.table),
    }


def _samples(results: Results) -> dict[str, Any]:
    rows = [
        (name, [thumbnail(image, str(results.paths.get(row, ""))) for row, image in images])
        for name, images in samples(results)
    ]
    size = results.images.images.shape[1:]
    return {"rows": rows, "shown": len(rows), "classes": len(results.split.classes), "size": size}


def samples(results: Results) -> list[tuple[str, list[tuple[int, NDArray[np.uint8]]]]]:
    """Rows and images spread evenly over each class, of as many classes as fit, spread evenly too."""
    columns = min(results.cfg["samples"], MOST_COLUMNS)
    classes = results.split.classes
    table = results.split.table
    held = table[np.isin(table["row"].to_numpy(), results.images.row[results.originals])]
    label, rows = held["class"].to_numpy(), held["row"].to_numpy()
    out = []
    for c in spread(len(classes), max(1, MOST_SAMPLES // columns)):
        own = rows[label == c]
        chosen = [int(own[i]) for i in spread(len(own), columns)]
        images = [(row, image) for row in chosen if (image := results.image(row)) is not None]
        out.append((classes[c], images))
    return out


def samples_figure(results: Results) -> Figure:
    """The samples of each class."""
    rows = [(name, [fit(i, SHEET_SIDE) for _, i in images]) for name, images in samples(results)]
    rows = [(name, images) for name, images in rows if images]
    if not rows:
        return drawing.in_words("No image of the chosen classes can be shown.")
    return sheet(Sheet(rows))


def _variants(results: Results) -> dict[str, Any]:
    heads, lines = variants(results)
    return {
        "heads": heads,
        "rows": [
            (c, [thumbnail(i, f"{c}: {h}") for i, h in zip(line, heads, strict=True)])
            for c, line in lines
        ],
        "stored": 0 if results.augmented is None else len(results.augmented),
    }


def variants(results: Results) -> tuple[list[str], list[tuple[str, list[NDArray[np.uint8]]]]]:
    """Column heads, and for a few images of different classes the image and its variants."""
    if results.augmented is None or not len(results.augmented):
        return [], []
    stored = results.augmented
    numbers = np.unique(stored.variant)[: MOST_VARIANTS[1]]
    heads = ["original", *(stored.variants[int(v)] for v in numbers)]
    parents = np.unique(stored.row)
    _, label = results.split.lookup(parents, results.split.folds[0])
    have = np.unique(label[label >= 0])
    # One of each class first; of a second round where there are few classes.
    order: list[int] = []
    wanted = min(MOST_VARIANTS[0], len(parents))
    turn = 0
    while len(order) < wanted and turn < wanted:
        for c in have[spread(len(have), wanted)]:
            own = parents[label == c]
            if turn < len(own) and len(order) < wanted:
                order.append(int(own[(len(own) // 3 + turn) % len(own)]))
        turn += 1
    out = []
    for row in order:
        original = results.image(row)
        if original is None:
            continue
        line = [original]
        for v in numbers:
            at = np.flatnonzero((stored.row == row) & (stored.variant == v))
            blank = np.full_like(original, 255)
            line.append(np.asarray(stored.images[at[0]]) if len(at) else blank)
        _, c = results.split.lookup([row], results.split.folds[0])
        out.append((results.split.classes[int(c[0])], line))
    return heads, out


def variants_figure(results: Results) -> Figure:
    """A few images and their stored variants."""
    heads, lines = variants(results)
    if not lines:
        return drawing.in_words("No variants are stored for this data set.")
    rows = [(c, [fit(i, SHEET_SIDE) for i in line]) for c, line in lines]
    return sheet(Sheet(rows, heads=heads))


def spread(n: int, most: int) -> list[int]:
    """At most `most` of n positions, evenly apart, ascending."""
    if n <= most:
        return list(range(n))
    return sorted({round(i * (n - 1) / max(most - 1, 1)) for i in range(most)})


def class_counts_figure(results: Results) -> Figure:
    """Images of each class by part."""
    return class_counts(results.counts)


def class_counts(counts: pd.DataFrame) -> Figure:
    """Images of each class by part: bars, or sorted curves where there are many classes.

    Parameters
    ----------
    counts : one row a class (index: its name), one column a part, the mean over folds.
    """
    from matplotlib.figure import Figure

    shown = [p for p in drawing.PARTS if p in counts and counts[p].sum() > 0]
    if not len(counts) or not shown:
        return drawing.in_words("No image has a class, so there is nothing to count.")
    if len(counts) <= MOST_BARS:
        figure = Figure(
            figsize=(drawing.WIDTH, 0.95 + 0.23 * max(len(counts), 2)), layout="constrained"
        )
        axis = figure.subplots()
        at = np.arange(len(counts))
        left = np.zeros(len(counts))
        for part in shown:
            width = counts[part].to_numpy(float)
            axis.barh(at, width, 0.72, left=left, color=drawing.PARTS[part], label=part, lw=0)
            left += width
        for y, total in zip(at, left, strict=True):
            axis.annotate(
                count(total),
                (total, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=drawing.MUTED,
                fontsize=8,
            )
        axis.set_yticks(at, [drawing.plain(n) for n in counts.index])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(counts) - 0.4, -0.6)
        axis.set_xlim(0, 1.09 * left.max())
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("images")
    else:
        figure = Figure(figsize=(drawing.WIDTH, 3.0), layout="constrained")
        axis = figure.subplots()
        sums = counts[shown].sum(axis=1).to_numpy(float)
        order = np.argsort(-sums, kind="stable")
        ordered = counts[shown].to_numpy(float)[order]
        largest, smallest = order[0], order[-1]
        edges = np.arange(len(counts) + 1) + 0.5
        base = np.zeros(len(counts))
        for i, part in enumerate(shown):
            top = base + ordered[:, i]
            axis.stairs(top, edges, baseline=base, fill=True, color=drawing.PARTS[part], label=part)
            base = top
        axis.set_xlim(edges[0], edges[-1])
        axis.set_xlabel(f"{len(counts):,} classes, the largest first")
        axis.set_ylabel("images")
        ends = (
            f"largest: {drawing.plain(counts.index[largest], 34)}, {count(sums[largest])}\n"
            f"smallest: {drawing.plain(counts.index[smallest], 34)}, {count(sums[smallest])}"
        )
        axis.text(
            0.995, 0.96, ends, transform=axis.transAxes, ha="right", va="top", fontsize=8,
            bbox={"facecolor": drawing.PAPER, "edgecolor": "none", "pad": 2, "alpha": 0.85},
        )  # fmt: skip
    figure.legend(loc="outside upper right", ncols=4, handlelength=1.0)
    return figure
