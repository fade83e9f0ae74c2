"""The style of the report's figures, the same on every machine, and how they are written.

A figure is a matplotlib `Figure` made without pyplot, so nothing is shared between
figures and no display is needed; `save` writes it. Colours are those of Okabe
and Ito (2008, "Color Universal Design"), distinct for people who are colour-blind and
in grey print; lines differ by style too. Text of an SVG stays text: any script shows
where the reader's machine has a font for it, and it can be searched.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.machine import disk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
def drawing() -> Iterator[None]:
    """Matplotlib's settings for a figure, and silence about glyphs that no font has."""
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
        if suffix == "svg":
            text = _numbered(part.read_text(encoding="utf-8"), Path(path).stem)
            part.write_text(text, encoding="utf-8")


def _numbered(svg: str, name: str) -> str:
    """A drawing whose ids are its name and numbers in their order.

    Matplotlib's are digests of coordinates, whose last bits the layout's solver does not repeat.
    """
    made = dict.fromkeys(re.findall(r'\bid="([A-Za-z]+[0-9a-f]{10})"', svg))
    number = {old: f"{name}-{n}" for n, old in enumerate(made)}
    return re.sub(
        r'(["#])([A-Za-z]+[0-9a-f]{10})(?=[")])',
        lambda found: found[1] + number.get(found[2], found[2]),
        svg,
    )


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
