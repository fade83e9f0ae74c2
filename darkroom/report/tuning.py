"""The section of tuning: the value of each trial, and which setting mattered.

Searches of one model, or of one classifier on one model, over folds and seeds share their panels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.overrides import plain as written
from darkroom.report.drawing import (
    BLUE,
    GRAY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RULE,
    VERMILION,
    WIDTH,
    in_words,
    plain,
)
from darkroom.report.results import Results
from darkroom.report.searches import Search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SEARCHED = 6  # models and classifiers drawn; the table has all
MOST_AXES = 8  # settings of the parallel coordinates, the most important first


def section(results: Results) -> list[dict[str, Any]]:
    """A row a search."""
    return table(results.searches)


def figure(results: Results) -> Figure:
    """The trials of all searches."""
    return drawn(results.searches)


def table(searches: Sequence[Search]) -> list[dict[str, Any]]:
    """A row a search for the page: its name, trials, values, what was chosen."""
    rows = []
    for search in searches:
        best, trials = search.best, search.trials
        whole = max((t.epochs for t in trials if t.state == "complete"), default=0)
        first = trials[0] if trials and trials[0].state == "complete" else None
        ran = sum(t.epochs for t in trials)
        pruned = [t for t in trials if t.state == "pruned"]
        rows.append(
            {
                "name": search.name,
                "of": search.of,
                "objective": best["objective"].replace("_", " "),
                "trials": best["trials"],
                "pruned": best["pruned"],
                "failed": best["failed"],
                "first": math.nan if first is None else first.value,
                "value": best["value"],
                "trial": best["trial"],
                "epochs": ran,
                "spared": sum(whole - t.epochs for t in pruned),
                "params": [(path, written(value)) for path, value in best["params"].items()],
            }
        )
    return rows


# ---------------------------------------------------------------- drawing


def drawn(searches: Sequence[Search]) -> Figure:
    """History, importances and parallel coordinates of each model and classifier tuned."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not searches:
        return in_words("No setting was tuned for this data set.")
    names = list(dict.fromkeys(s.name for s in searches))[:MOST_SEARCHED]
    figure = Figure(figsize=(WIDTH, 0.4 + 4.3 * len(names)), layout="constrained")
    parts = figure.subfigures(len(names), 1, squeeze=False)
    for (part,), name in zip(parts, names, strict=True):
        own = [s for s in searches if s.name == name]
        grid = part.add_gridspec(2, 2, height_ratios=(1, 1.05), width_ratios=(1.55, 1))
        _history(part.add_subplot(grid[0, 0]), own)
        _importances(part.add_subplot(grid[0, 1]), own)
        _coordinates(part.add_subplot(grid[1, :]), own)
    states = {t.state for s in searches if s.name in names for t in s.trials}
    handles = [
        Line2D([], [], color=ORANGE, label="best so far"),
        Line2D([], [], color=BLUE, marker="o", ls="", ms=4, label="came to its end"),
    ]
    if "pruned" in states:
        handles.append(Line2D([], [], color=GRAY, marker="x", ls="", ms=4, label="stopped early"))
    if "failed" in states:
        handles.append(Line2D([], [], color=VERMILION, marker="|", ls="", ms=7, label="failed"))
    handles.append(Line2D([], [], color=VERMILION, lw=2, label="chosen"))
    figure.legend(handles=handles, loc="outside upper right", ncols=5, handlelength=1.4)
    return figure


def _history(axis: Axes, searches: Sequence[Search]) -> None:
    from matplotlib.ticker import MaxNLocator

    fade = max(0.3, min(1.0, 1.5 / len(searches) ** 0.5))
    complete = [t.value for s in searches for t in s.trials if t.state == "complete"]
    low, high = _focus(complete, searches[0].sign)
    axis.set_ylim(low, high)
    for search in searches:
        best = math.inf
        steps: list[tuple[int, float]] = []
        for trial in search.trials:
            if trial.state == "complete":
                best = min(best, search.sign * trial.value)
                axis.plot(trial.number, np.clip(trial.value, low, high), "o", color=BLUE, ms=3.5,
                          alpha=fade, clip_on=False, mec="none")  # fmt: skip
            elif trial.state == "pruned" and math.isfinite(trial.value):
                axis.plot(trial.number, np.clip(trial.value, low, high), "x", color=GRAY, ms=4,
                          clip_on=False)  # fmt: skip
            else:
                end = high if search.sign > 0 else low
                axis.plot(trial.number, end, "|", color=VERMILION, ms=8, mew=1.5, clip_on=False)
            if math.isfinite(best):
                steps.append((trial.number, search.sign * best))
        axis.plot(*zip(*steps, strict=True), color=ORANGE, alpha=fade, drawstyle="steps-post")
    name = searches[0].name
    axis.set_title(f"{plain(name, 34)}: {searches[0].best['objective'].replace('_', ' ')}")
    axis.set_xlabel("trial")
    axis.set_xlim(0.4, max(len(s.trials) for s in searches) + 0.6)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axis.grid(axis="y")


def _focus(values: Sequence[float], sign: int, room: bool = True) -> tuple[float, float]:
    """Limits that a few bad trials do not squeeze the rest out of, with room around or not."""
    good = np.sort(sign * np.asarray(values, float))
    best, far = float(good[0]), float(good[math.ceil(0.8 * (len(good) - 1))])
    span = (far - best) or abs(best) or 1.0
    low, high = (best - 0.12 * span, far + 0.35 * span) if room else (best, best + span)
    return (low, high) if sign > 0 else (-high, -low)


def _importances(axis: Axes, searches: Sequence[Search]) -> None:
    known = [s.best["importances"] for s in searches if s.best["importances"]]
    if not known:
        axis.axis("off")
        axis.set_title("importance")
        reason = searches[0].best["note"]
        axis.text(0, 0.9, f"not known: {_folded(reason)}", transform=axis.transAxes, va="top",
                  color=MUTED, style="italic", fontsize=8)  # fmt: skip
        return
    mean = _mean_importances(searches)
    paths = sorted(mean, key=lambda p: -mean[p])[:MOST_AXES]
    at = np.arange(len(paths))
    axis.barh(at, [mean[p] for p in paths], 0.6, color=BLUE, lw=0)
    for y, path in zip(at, paths, strict=True):
        axis.annotate(f"{mean[path]:.2f}", (mean[path], y), xytext=(3, 0), va="center",
                      textcoords="offset points", fontsize=8, color=MUTED)  # fmt: skip
    axis.set_yticks(at, [plain(p, 24) for p in paths])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(max(len(paths), 3) - 0.4, -0.6)
    axis.set_xlim(0, 1.15 * max(0.3, *mean.values()))
    axis.spines["left"].set_visible(False)
    axis.set_title("importance")
    axis.set_xlabel("share of 1")


def _folded(text: str, width: int = 34) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _mean_importances(searches: Sequence[Search]) -> dict[str, float]:
    known = [s.best["importances"] for s in searches if s.best["importances"]]
    return {p: float(np.mean([k.get(p, 0.0) for k in known])) for p in searches[0].best["space"]}


def _coordinates(axis: Axes, searches: Sequence[Search]) -> None:
    """A line a trial across an axis a setting; darker is better, gray came to no end."""
    first = searches[0]
    space = first.best["space"]
    weight = _mean_importances(searches) if any(s.best["importances"] for s in searches) else {}
    paths = sorted(space, key=lambda p: -weight.get(p, 0.0))[:MOST_AXES]
    complete = [t.value for s in searches for t in s.trials if t.state == "complete"]
    low, high = _focus(complete, first.sign, room=False)
    for search in searches:
        ranked = sorted(
            (t for t in search.trials if t.state == "complete"), key=lambda t: search.sign * t.value
        )
        rank = {t.number: i / max(len(ranked) - 1, 1) for i, t in enumerate(ranked)}
        ordered = sorted(search.trials, key=lambda t: -rank.get(t.number, 2))
        for trial in ordered:
            at = [_place(trial.params[p], space[p]) for p in paths]
            x = list(range(len(paths)))
            if trial.state == "complete":
                shown = float(np.clip((trial.value - low) / (high - low), 0, 1))
                at, x = [*at, shown], [*x, len(paths)]
            chosen = trial.number == search.best["trial"]
            fade = 0.1 + 0.75 * (1 - rank.get(trial.number, 1)) ** 2
            axis.plot(
                x,
                at,
                color=VERMILION if chosen else BLUE if trial.state == "complete" else GRAY,
                alpha=1 if chosen else fade if trial.state == "complete" else 0.45,
                lw=2 if chosen else 1,
                ls="-" if trial.state == "complete" else ":",
                solid_capstyle="round",
                zorder=4 if chosen else 3,
            )
    for number in range(len(paths) + 1):
        axis.axvline(number, color=RULE, lw=1, zorder=1)
    for number, path in enumerate(paths):
        for height, label in _ticks(space[path]):
            _label(axis, number, height, label)
    for height, value in ((0.0, low), (1.0, high)):
        _label(axis, len(paths), height, f"{value:.3g}")
    axis.set_xlim(-0.12, len(paths) + 0.35)
    axis.set_ylim(-0.06, 1.06)
    width = max(14, 110 // (len(paths) + 1))
    names = [*(plain(p, width) for p in paths), first.best["objective"].replace("_", " ")]
    axis.set_xticks(range(len(names)), names)
    axis.tick_params(axis="x", length=0)
    axis.xaxis.tick_top()
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)


def _label(axis: Axes, x: int, y: float, text: str) -> None:
    axis.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center",
                  fontsize=7.5, color=INK, zorder=6,
                  bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.75})  # fmt: skip


def _place(value: Any, values: Any) -> float:
    """Where a value stands on its axis, 0 to 1."""
    if isinstance(values, list):
        return values.index(value) / max(len(values) - 1, 1) if value in values else 0.5
    low, high = values["low"], values["high"]
    if values["log"]:
        return float((math.log(value) - math.log(low)) / (math.log(high) - math.log(low)))
    return float((value - low) / (high - low))


def _ticks(values: Any) -> Iterator[tuple[float, str]]:
    if isinstance(values, list):
        for value in values if len(values) <= 8 else (values[0], values[-1]):
            yield _place(value, values), plain(written(value), 16)
        return
    low, high = values["low"], values["high"]
    yield 0.0, written(low)
    middle = math.sqrt(low * high) if values["log"] else (low + high) / 2
    yield 0.5, f"{middle:.3g}"
    yield 1.0, written(high)
