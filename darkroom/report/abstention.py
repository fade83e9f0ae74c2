"""Accuracy of the most confident part of the images: what leaving the doubtful ones to a person gains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.report import drawing
from darkroom.report.results import Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = (1.0, 0.9, 0.8, 0.5)  # coverages of the table


def section(results: Results) -> dict[str, Any] | None:
    """The sureness of what is reported, over its runs; None where nothing was evaluated."""
    score, points = results.headline, _points(results)
    if score is None or points is None:
        return None
    names = ("calibration_error", "brier", "aurc", "set_coverage", "set_size")
    return {
        "level": round(100 * float(score["set_level"])),
        "figures": [
            {s or "value": float(score[f"{name}{s}"]) for s in ("", "_low", "_high")}
            for name in names
        ],
        "rows": [
            {
                "coverage": round(100 * share),
                "confidence": float(row["confidence"]),
                "accuracy": {
                    s or "value": float(row[f"accuracy{s}"]) for s in ("", "_low", "_high")
                },
            }
            for share in SHOWN
            for _, row in points[np.isclose(points["coverage"], share)].iterrows()
        ],
    }


def _points(results: Results) -> pd.DataFrame | None:
    """The curve of what is reported, from all images to the most confident ones."""
    key, t = results.reported, results.abstention
    if key is None:
        return None
    own = (t["model"] == key[0]) & (t["classifier"] == key[1]) & (t["part"] == results.part)
    return t[own]


def figure(results: Results) -> Figure:
    """The curve of what is reported."""
    points = _points(results)
    if points is None or points.empty:
        return drawing.in_words("Nothing was evaluated, so there is no curve.")
    return drawn(points)


def drawn(points: pd.DataFrame) -> Figure:
    """Accuracy by coverage, with its interval as a band.

    Parameters
    ----------
    points : `coverage`, `accuracy`, `accuracy_low`, `accuracy_high`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.7 * drawing.WIDTH, 2.6), layout="constrained")
    axis = figure.subplots()
    x = 100 * points["coverage"].to_numpy(float)
    value, low, high = (
        points[name].to_numpy(float) for name in ("accuracy", "accuracy_low", "accuracy_high")
    )
    axis.fill_between(x, low, high, color=drawing.BLUE, alpha=0.15, lw=0)
    axis.plot(x, value, "-o", color=drawing.BLUE, ms=3, mec=drawing.PAPER)
    axis.set_xlim(0, 101)
    seen = np.concatenate([value, low[np.isfinite(low)]])
    axis.set_ylim(max(0.0, float(seen.min()) - 0.02), 1.01)
    axis.grid(axis="y")
    axis.set(xlabel="most confident images, %", ylabel="share that is right")
    return figure
