"""The figures of the report: drawn from tables, the same on every machine.

Each function returns a matplotlib `Figure` made without pyplot, so nothing is shared
between figures and no display is needed; `save` writes it. Colours are those of Okabe
and Ito (2008, "Color Universal Design"), told apart by people who are colour-blind and
in grey print; lines differ by style too. Text of an SVG stays text: any script shows
where the reader's machine has a font for it, and it can be searched.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.machine import disk

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Always all of them, whatever the data: one with nothing to show says why in words.

INK, MUTED, RULE, PAPER, ON = "#1c1c1a", "#6a6a66", "#d8d8d3", "#ffffff", "#fefefe"
BLUE, ORANGE, GREEN, VERMILION, GRAY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#a3a39d"
PARTS = {"train": BLUE, "validation": ORANGE, "test": GREEN, "unused": GRAY}
PINK, SKY, OLIVE, COAL = "#cc79a7", "#56b4e9", "#8a6d00", "#4d4d4a"

# What the page replaces by its own variables, so that a figure follows light and dark.
THEME = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    VERMILION: "var(--vermilion)",
    GRAY: "var(--gray)",
    PINK: "var(--pink)",
    SKY: "var(--sky)",
    OLIVE: "var(--olive)",
    COAL: "var(--coal)",
    ON: "var(--on)",
}

WIDTH = 7.2  # inches: the page's column
MOST_BARS = 40  # classes named one by one; more become a curve
MOST_CELLS = 30  # classes of a full confusion matrix; more become a list of pairs
MOST_NUMBERS = 16  # classes of a matrix with a number in each cell
MOST_SCORES = 40

# Fonts for what DejaVu lacks, used where the machine has them.
FALLBACK = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Sans Bengali",
    "Arial Unicode MS",
)


@contextmanager
def drawing(name: str = "darkroom") -> Iterator[None]:
    """Matplotlib's settings for one figure, and silence about glyphs that no font has.

    Parameters
    ----------
    name : of the figure; the ids inside an SVG are made from it and from nothing else.
    """
    import matplotlib

    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)  # no font cache, no font of that name: not the reader's concern
    style: dict[Any, Any] = {
        "font.family": _families(),
        "font.size": 9,
        "text.parse_math": False,  # a class may be called $a_1$
        "text.color": INK,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.6,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "axes.axisbelow": True,
        "grid.color": RULE,
        "grid.linewidth": 0.6,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "lines.linewidth": 1.4,
        "svg.fonttype": "none",
        "svg.hashsalt": f"darkroom-{name}",
        "path.simplify": True,
    }
    try:
        with matplotlib.rc_context(style), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
            warnings.filterwarnings("ignore", message=".*font.*")
            warnings.filterwarnings("ignore", message=".*layout.*")
            yield
    finally:
        logger.setLevel(level)


@cache
def _families() -> list[str]:
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in FALLBACK if name in installed)]


def save(figure: Figure, path: str) -> None:
    """Write a figure as SVG or PNG by its suffix, whole or not at all; no date in it."""
    suffix = Path(path).suffix[1:]
    nothing: dict[str, Any] = (
        {"Date": None, "Creator": None, "Format": None, "Type": None}
        if suffix == "svg"
        else {"Software": None}
    )
    with disk.whole(path) as part:
        figure.savefig(part, format=suffix, metadata=nothing)


def plain(text: object, width: int = 28) -> str:
    """A name that fits and that every format can hold: no control characters, cut in the middle."""
    clean = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") else c
        for c in str(text)
    )
    if len(clean) <= width:
        return clean
    head = (width - 1 + 1) // 2
    return f"{clean[:head].rstrip()}…{clean[len(clean) - (width - 1 - head) :].lstrip()}"


def inline(path: str, title: str) -> str:
    """An SVG file's text, to stand inside a page: themed, scaled to its column, ids its own.

    Parameters
    ----------
    path : an SVG that `save` wrote. title : what a screen reader says of it.
    """
    from html import escape

    text = Path(path).read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # matplotlib names every group (figure_1, axes_1): the next figure has the same names.
    text = re.sub(r'(<g\b[^>]*?) id="[^"]*"', r"\1", text)
    match = re.match(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', text)
    if match is None:
        raise ValueError(f"{path} is no SVG of matplotlib's")
    width = float(match[1].split()[2])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{match[1]}" role="img" aria-label="{escape(title)}" '
        f'style="--natural: {width / 72:.2f}in">'
    )
    text = re.sub(r"<style[^>]*>.*?</style>", "", text[match.end() :], flags=re.S)
    return head + re.sub(
        r"((?:fill|stroke): )(#[0-9a-f]{6})",
        lambda m: m[1] + THEME.get(m[2], m[2]),
        text,
    )


def whole_numbers(axis: Axes) -> None:
    """Ticks at whole numbers, for epochs and counts."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))


def in_words(reason: str) -> Figure:
    """A figure that has nothing to show, and says why."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.8))
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=MUTED, style="italic", wrap=True)
    return figure


# ---------------------------------------------------------------- classes


def class_counts(counts: pd.DataFrame) -> Figure:
    """Images of each class by part: bars, or sorted curves where there are many classes.

    Parameters
    ----------
    counts : one row a class (index: its name), one column a part, the mean over folds.
    """
    from matplotlib.figure import Figure

    shown = [p for p in PARTS if p in counts and counts[p].sum() > 0]
    if not len(counts) or not shown:
        return in_words("No image has a class, so there is nothing to count.")
    if len(counts) <= MOST_BARS:
        figure = Figure(figsize=(WIDTH, 0.95 + 0.23 * max(len(counts), 2)), layout="constrained")
        axis = figure.subplots()
        at = np.arange(len(counts))
        left = np.zeros(len(counts))
        for part in shown:
            width = counts[part].to_numpy(float)
            axis.barh(at, width, 0.72, left=left, color=PARTS[part], label=part, lw=0)
            left += width
        for y, total in zip(at, left, strict=True):
            axis.annotate(
                _count(total),
                (total, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=MUTED,
                fontsize=8,
            )
        axis.set_yticks(at, [plain(n) for n in counts.index])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(counts) - 0.4, -0.6)
        axis.set_xlim(0, 1.09 * left.max())
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("images")
    else:
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axis = figure.subplots()
        sums = counts[shown].sum(axis=1).to_numpy(float)
        order = np.argsort(-sums, kind="stable")
        ordered = counts[shown].to_numpy(float)[order]
        largest, smallest = order[0], order[-1]
        edges = np.arange(len(counts) + 1) + 0.5
        base = np.zeros(len(counts))
        for i, part in enumerate(shown):
            top = base + ordered[:, i]
            axis.stairs(top, edges, baseline=base, fill=True, color=PARTS[part], label=part)
            base = top
        axis.set_xlim(edges[0], edges[-1])
        axis.set_xlabel(f"{len(counts):,} classes, the largest first")
        axis.set_ylabel("images")
        ends = (
            f"largest: {plain(counts.index[largest], 34)}, {_count(sums[largest])}\n"
            f"smallest: {plain(counts.index[smallest], 34)}, {_count(sums[smallest])}"
        )
        axis.text(
            0.995, 0.96, ends, transform=axis.transAxes, ha="right", va="top", fontsize=8,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 2, "alpha": 0.85},
        )  # fmt: skip
    figure.legend(loc="outside upper right", ncols=4, handlelength=1.0)
    return figure


def _count(value: float) -> str:
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


# ---------------------------------------------------------------- scores


def scores(
    table: pd.DataFrame, runs: Mapping[tuple[str, str], Sequence[float]], baseline: float | None
) -> Figure:
    """Accuracy of every model and classifier with its interval.

    Parameters
    ----------
    table : rows in the order to show them: `name`, `accuracy`, `accuracy_low`,
        `accuracy_high`, `key` (what `runs` is looked up by), `chosen` (bool), `part`, `group`
        (a heading above the rows that have it; empty: none). The first `MOST_SCORES` are drawn.
    runs : accuracy of each run (seed and fold) by key: small ticks.
    baseline : accuracy of always saying the most frequent training class.
    """
    from matplotlib.figure import Figure

    table = table[table["accuracy"].notna()].head(MOST_SCORES)
    if not len(table):
        return in_words("Nothing was evaluated, so there are no scores.")
    labels: list[str] = []
    heads: list[int] = []
    places: list[int] = []
    for group, name in zip(table["group"], table["name"], strict=True):
        if group and (not heads or labels[heads[-1]] != plain(group, 40)):
            heads.append(len(labels))
            labels.append(plain(group, 40))
        places.append(len(labels))
        labels.append(plain(name, 40))
    height = 0.85 + (0.22 if heads else 0.3) * max(len(labels), 2)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axis = figure.subplots()
    seen: list[float] = []
    for y, (_, line) in zip(places, table.iterrows(), strict=True):
        color = VERMILION if line["chosen"] else BLUE
        low, high, value = (float(line[k]) for k in ("accuracy_low", "accuracy_high", "accuracy"))
        axis.axhline(y, color=RULE, lw=0.6, zorder=0)
        if np.isfinite(low) and np.isfinite(high):
            axis.plot([low, high], [y, y], color=color, lw=1.8, solid_capstyle="butt")
            seen += [low, high]
        single = np.asarray(runs.get(line["key"], ()), float)
        if len(single) > 1:
            axis.plot(single, np.full(len(single), y), "|", color=color, ms=8, mew=0.8, alpha=0.6)
        axis.plot(
            value, y, marker="D" if line["chosen"] else "o", color=color, ms=5.5, mec=PAPER, ls=""
        )
        seen += [value, *single]
    if baseline is not None and np.isfinite(baseline):
        near = baseline > min(seen) - 0.5 * max(max(seen) - min(seen), 0.1)
        if near:
            axis.axvline(baseline, color=MUTED, lw=1, ls=(0, (3, 2)), zorder=0)
            seen.append(baseline)
    low, high = min(seen), max(seen)
    margin = max(0.06 * (high - low), 0.005)
    axis.set_xlim(max(0, low - margin), min(1.0 + 0.3 * margin, high + margin))
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_yticks(range(len(labels)), labels)
    for head in heads:
        axis.get_yticklabels()[head].set_fontweight("bold")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel(f"accuracy on the {table['part'].iloc[0]} images")
    return figure


# ---------------------------------------------------------------- confusion


def confusions(
    panels: Mapping[str, NDArray[np.float64]], classes: Sequence[str], most: int = 25
) -> Figure:
    """Confusion matrices: rows are the truth, and a cell's shade is its share of the row.

    Parameters
    ----------
    panels : title to a (K, K) count of [truth, predicted], the chosen one first. Beside
        few classes up to four stand together; of many only the first is drawn, and of
        very many its most frequent confusions are listed.
    classes : K names. most : confusions listed.
    """
    from matplotlib.figure import Figure

    first = {t: m for t, m in panels.items() if m.sum() > 0}
    if not first:
        return in_words("Nothing was predicted, so nothing can be confused.")
    k = len(classes)
    if k > MOST_CELLS:
        title, matrix = next(iter(first.items()))
        return _worst_pairs(title, matrix, classes, most)
    chosen = dict(list(first.items())[: 4 if k <= 12 else 1])
    columns = min(len(chosen), 4 if k <= 3 else 3 if k <= 5 else 2)
    rows = -(-len(chosen) // columns)
    longest = min(max(len(str(c)) for c in classes), 16)
    room = WIDTH / columns - 0.5 - 0.065 * longest
    cell = min(0.62 if k <= 12 else 0.36, room / k)
    rotate = 0.07 * longest > cell
    below = 0.065 * longest if rotate else 0.13
    margin = 0.45 + 0.065 * longest  # left of a matrix, where its title begins
    titled = margin + 0.08 * min(max(map(len, chosen)), 40)
    width = max(cell * k + 0.1 + margin, min(titled, WIDTH / columns), 1.7)
    figure = Figure(
        figsize=(width * columns, (cell * k + below + 0.55) * rows), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, matrix) in zip(axes, chosen.items(), strict=False):
        _matrix(
            axis, plain(title, max(14, int((width - margin) * 13))), matrix, classes, rotate, cell
        )
    for axis in axes[len(chosen) :]:
        axis.set_visible(False)
    return figure


def _matrix(
    axis: Axes,
    title: str,
    matrix: NDArray[np.float64],
    classes: Sequence[str],
    rotate: bool,
    cell: float,
) -> None:
    """One matrix; `cell` is the side of a cell in inches."""
    from matplotlib.patches import Rectangle

    k = len(classes)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)
    words = {(i, j): _count(float(matrix[i, j])).replace(",", "") for i, j in np.argwhere(matrix)}
    widest = max(len(word) for word in words.values())
    size = min(8.0, cell * 72 * 0.8 / max(0.62 * widest, 1.4))
    for (i, j), word in words.items():
        strength = 0.06 + 0.94 * float(share[i, j]) ** 0.6
        color = BLUE if i == j else VERMILION
        axis.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=color, alpha=strength, linewidth=0)
        )
        if k <= MOST_NUMBERS:
            axis.text(
                j, i, word, ha="center", va="center_baseline", fontsize=size,
                color=ON if strength > 0.62 else INK,
            )  # fmt: skip
    axis.set_xlim(-0.5, k - 0.5)
    axis.set_ylim(k - 0.5, -0.5)
    axis.set_aspect("equal")
    step = [plain(c, 16) for c in classes]
    label = min(8.0, max(5.5, cell * 72 * 0.8))
    axis.set_xticks(range(k), step, rotation=90 if rotate else 0, fontsize=label)
    axis.set_yticks(range(k), step, fontsize=label)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set(visible=True, color=RULE)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true class")
    axis.set_title(title)


def worst_pairs(matrix: NDArray[np.float64], most: int) -> list[tuple[int, int, float, float]]:
    """The most frequent confusions: (truth, predicted, count, share of the truth's rows)."""
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    rows = matrix.sum(axis=1)
    return [
        (int(i), int(j), float(off[i, j]), float(off[i, j] / rows[i]))
        for i, j in zip(*np.unravel_index(order, off.shape), strict=True)
        if off[i, j] > 0
    ]


def _worst_pairs(
    title: str, matrix: NDArray[np.float64], classes: Sequence[str], most: int
) -> Figure:
    from matplotlib.figure import Figure

    pairs = worst_pairs(matrix, most)
    if not pairs:
        return in_words(f"{title}: no image was taken for another class.")
    figure = Figure(figsize=(WIDTH, 0.9 + 0.22 * max(len(pairs), 2)), layout="constrained")
    axis = figure.subplots()
    counts = [count for _, _, count, _ in pairs]
    axis.barh(range(len(pairs)), counts, 0.66, color=VERMILION, lw=0)
    names = [f"{plain(classes[i], 26)} → {plain(classes[j], 26)}" for i, j, _, _ in pairs]
    axis.set_yticks(range(len(pairs)), names)
    for y, (_, _, count, share) in enumerate(pairs):
        axis.annotate(
            f"{_count(count)}  ({share:.0%})",
            (count, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            fontsize=8,
        )
    axis.set_xlim(0, 1.18 * max(counts))
    axis.set_ylim(len(pairs) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    whole_numbers(axis)
    axis.set_xlabel("images (share of the true class's images)")
    axis.set_title(f"{plain(title, 40)}: most frequent confusions, true → predicted")
    return figure


# ---------------------------------------------------------------- calibration


@dataclass(frozen=True)
class Reliability:
    """How often a classifier is right when it is so sure; (B,) arrays over bins of confidence.

    The expected calibration error is the mean distance of the two over all images (Naeini,
    Cooper and Hauskrecht 2015, AAAI, "Obtaining well calibrated probabilities").
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.float64]
    error: float


def reliability(
    confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Bin predictions by the probability of the predicted class.

    Parameters
    ----------
    confidence : (N,) in 0..1. right : (N,) bool. bins : of equal width.
    """
    at = np.clip((np.asarray(confidence, float) * bins).astype(int), 0, bins - 1)
    count = np.bincount(at, minlength=bins).astype(float)
    safe = np.maximum(count, 1)
    mean = np.bincount(at, weights=confidence, minlength=bins) / safe
    hits = np.bincount(at, weights=right.astype(float), minlength=bins) / safe
    error = float((count * abs(mean - hits)).sum() / max(count.sum(), 1))
    return Reliability(mean, hits, count, error)


def calibration(panels: Mapping[str, Reliability]) -> Figure:
    """Reliability diagrams, up to four beside each other: on the line, a probability means what it says.

    Parameters
    ----------
    panels : title to its bins; how many images a bin holds stands below as bars.
    """
    from matplotlib.figure import Figure

    shown = {t: r for t, r in panels.items() if r.count.sum() > 0}
    shown = dict(list(shown.items())[:4])
    if not shown:
        return in_words("Nothing was predicted, so there is no calibration to show.")
    columns = max(2, min(len(shown), 4))
    figure = Figure(figsize=(WIDTH, 3.5 if columns == 2 else 2.6), layout="constrained")
    grid = figure.subplots(
        2, columns, squeeze=False, sharex=True, height_ratios=[4, 1], sharey="row"
    )
    for i, (title, r) in enumerate(shown.items()):
        top, bottom = grid[0, i], grid[1, i]
        top.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=(0, (3, 2)))
        filled = r.count > 0
        spread = 1.96 * np.sqrt(
            np.maximum(r.accuracy * (1 - r.accuracy), 0)[filled] / r.count[filled]
        )
        color = VERMILION if i == 0 else BLUE
        top.vlines(
            r.confidence[filled],
            np.clip(r.accuracy[filled] - spread, 0, 1),
            np.clip(r.accuracy[filled] + spread, 0, 1),
            color=color,
            lw=1,
        )
        top.plot(r.confidence[filled], r.accuracy[filled], "-o", color=color, ms=4, mec=PAPER)
        top.set_xlim(0, 1)
        top.set_ylim(0, 1.02)
        top.set_title(f"{plain(title, 72 // columns)}\nerror {r.error:.3f}", fontsize=8)
        edges = np.linspace(0, 1, len(r.count) + 1)
        share = r.count / r.count.sum()
        bottom.stairs(share, edges, fill=True, color=GRAY)
        bottom.set_xlabel("probability given")
        bottom.set_yticks([])
        bottom.spines["left"].set_visible(False)
    for j in range(len(shown), columns):
        grid[0, j].set_visible(False)
        grid[1, j].set_visible(False)
    grid[0, 0].set_ylabel("share that was right")
    grid[1, 0].set_ylabel("images", rotation=0, ha="right", va="center")
    return figure


# ---------------------------------------------------------------- sheets of images


@dataclass(frozen=True)
class Sheet:
    """Rows of images with words beside or below them.

    Attributes
    ----------
    rows : a label and the (H, W, 3) or (H, W) uint8 images of each row.
    heads : words above the columns. captions : words below each image, row by row.
    """

    rows: list[tuple[str, list[NDArray[np.uint8]]]]
    heads: list[str] = field(default_factory=list)
    captions: list[list[str]] = field(default_factory=list)


def sheet(content: Sheet, side: int = 72, gap: int = 6) -> Figure:
    """Draw images in rows; one pixel of the figure is one pixel of the file.

    Parameters
    ----------
    side : longest side that the images have been fitted to. gap : pixels between them.
    """
    from matplotlib.figure import Figure

    width = max(len(images) for _, images in content.rows)
    label = 14 + 6 * max((len(plain(name, 26)) for name, _ in content.rows), default=0)
    label = label if any(name for name, _ in content.rows) else gap
    head = 20 if content.heads else gap
    below = 30 if content.captions else 0
    tall = head + len(content.rows) * (side + gap + below)
    wide = max(label + width * (side + gap), 360)
    canvas = np.full((tall, wide, 3), 255, np.uint8)
    figure = Figure(figsize=(wide / 100, tall / 100), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    for i, (name, images) in enumerate(content.rows):
        y = head + i * (side + gap + below)
        if name:
            axis.text(label - 8, y + side / 2, plain(name, 26), ha="right", va="center", size=7)
        for j, image in enumerate(images):
            x = label + j * (side + gap)
            picture = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
            h, w = picture.shape[:2]
            oy, ox = y + (side - h) // 2, x + (side - w) // 2
            canvas[oy : oy + h, ox : ox + w] = picture
            if content.captions:
                axis.text(
                    x + side / 2, y + side + 3, content.captions[i][j],
                    ha="center", va="top", size=6, linespacing=1.15,
                )  # fmt: skip
    for j, text in enumerate(content.heads):
        middle = label + j * (side + gap) + side / 2
        axis.text(
            middle, head - 5, plain(text, max(6, side // 5)), ha="center", va="bottom", size=6
        )
    axis.imshow(canvas, extent=(0, wide, tall, 0), interpolation="none", aspect="auto")
    axis.set_xlim(0, wide)
    axis.set_ylim(tall, 0)
    return figure


def fit(image: NDArray[np.uint8], side: int, *, pixelated: int = 48) -> NDArray[np.uint8]:
    """Fit an image's longest side to `side` pixels, or near it.

    Parameters
    ----------
    image : (H, W, 1) or (H, W, 3) uint8. side : pixels wanted.
    pixelated : images up to this size are enlarged by a whole factor with nearest
        neighbour, so that their own pixels show; larger ones are resampled.

    Returns
    -------
    (h, w, 3) uint8, neither side longer than `side`, unless one pixel already was.
    """
    from PIL import Image

    pixels = np.asarray(image, np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    h, w = pixels.shape[:2]
    longest = max(h, w)
    if longest <= min(side, pixelated):
        factor = max(1, side // longest)
        enlarged: NDArray[np.uint8] = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
        return enlarged
    if longest <= side:
        return pixels
    size = (max(1, round(w * side / longest)), max(1, round(h * side / longest)))
    shrunk = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(shrunk, np.uint8)
