"""The section of training: each network's curves and the epochs that were kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.report.drawing import BLUE, ORANGE, PAPER, WIDTH, in_words, plain, whole_numbers
from darkroom.report.results import Curve, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 8  # networks drawn one below the other


def section(results: Results) -> dict[str, Any]:
    """Each network's runs: epochs, the epoch kept, seconds."""
    networks = []
    for model in dict.fromkeys(c.model for c in results.curves):
        runs = [c for c in results.curves if c.model == model and len(c.history)]
        if not runs:
            continue
        seconds = [float(c.history["seconds"].sum()) for c in runs if "seconds" in c.history]
        kept = [c.kept for c in runs if c.kept is not None]
        networks.append(
            {
                "name": model,
                "runs": len(runs),
                "epochs": _range([len(c.history) for c in runs]),
                "kept": _range(kept) if kept else "–",
                "seconds": float(np.mean(seconds)) if seconds else math.nan,
            }
        )
    return {"networks": networks, "most": MOST}


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def figure(results: Results) -> Figure:
    """Loss and accuracy by epoch of every network."""
    return learning_curves(results.curves)


def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Loss and accuracy by epoch: a row of panels for each network, a line for each run."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    curves = [c for c in curves if len(c.history)]
    if not curves:
        return in_words("No network was trained, so there are no learning curves.")
    models = list(dict.fromkeys(c.model for c in curves))[:MOST]
    figure = Figure(figsize=(WIDTH, 0.45 + 2.3 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), 2, squeeze=False)
    for (left, right), model in zip(axes, models, strict=True):
        runs = [c for c in curves if c.model == model]
        fade = max(0.25, min(1.0, 1.6 / len(runs) ** 0.5))
        for axis, what in ((left, "loss"), (right, "accuracy")):
            for run in runs:
                table = run.history
                for column, color, style in ((what, BLUE, "--"), (f"val_{what}", ORANGE, "-")):
                    if column not in table or not table[column].notna().any():
                        continue
                    single = len(table) == 1
                    axis.plot(
                        table["epoch"],
                        table[column],
                        color=color,
                        linestyle=style,
                        alpha=fade,
                        marker="." if single else "",
                    )
                    kept = table.loc[table["epoch"] == run.kept, column]
                    if column.startswith("val_") and len(kept):
                        axis.plot(run.kept, kept.iloc[0], "o", color=color, ms=4.5, mec=PAPER)
            values = np.concatenate(
                [
                    r.history[c].to_numpy(float)
                    for r in runs
                    for c in (what, f"val_{what}")
                    if c in r.history
                ]
                or [np.zeros(1)]
            )
            _focus(axis, values, what)
            axis.set_title(f"{plain(model)}: {what}")
            axis.grid(axis="y")
            whole_numbers(axis)
        for axis in (left, right):
            axis.set_xlabel("epoch")
    seen = any("val_loss" in c.history and c.history["val_loss"].notna().any() for c in curves)
    handles = [Line2D([], [], color=BLUE, linestyle="--", label="training")]
    if seen:
        handles.append(Line2D([], [], color=ORANGE, label="validation"))
    if seen and any(c.kept for c in curves):
        dot = Line2D([], [], color=ORANGE, marker="o", linestyle="", ms=4.5, label="epoch kept")
        handles.append(dot)
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def _focus(axis: Axes, values: NDArray[np.float64], what: str) -> None:
    """Limits that a diverging first epoch does not squeeze the rest out of."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    if what == "accuracy":
        low = float(values.min())
        axis.set_ylim(max(0.0, low - 0.04), min(1.0, float(values.max()) + 0.02) + 0.005)
        return
    high = min(float(values.max()), 4 * float(np.median(values)) + 1e-9)
    least = float(values.min())
    low = 0.0 if least < 0.4 * high else least - 0.1 * (high - least) - 0.01
    axis.set_ylim(low, 1.05 * high if low == 0 else high + 0.1 * (high - least) + 0.01)
